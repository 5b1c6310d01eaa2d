//! The process under test.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use super::{Stage, until};

/// A running `offkey serve`; killed when dropped.
pub(crate) struct Service {
    child: Child,
    messages: PathBuf,
}

impl Service {
    /// Starts the program; `environment` adds to its variables.
    pub(crate) fn spawn(stage: &Stage, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offkey"));
        command.envs(environment.iter().copied());
        Self::spawn_as(stage, command)
    }

    /// Starts the program as the last arguments of `wrapper`, which has to become it.
    pub(crate) fn spawn_within(stage: &Stage, mut wrapper: Command) -> Self {
        wrapper.arg(env!("CARGO_BIN_EXE_offkey"));
        Self::spawn_as(stage, wrapper)
    }

    fn spawn_as(stage: &Stage, mut command: Command) -> Self {
        let messages = stage.path("messages");
        let output = File::options()
            .create(true)
            .append(true)
            .open(&messages)
            .unwrap();
        let child = command
            .arg("--config")
            .arg(stage.config())
            .arg("serve")
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, messages }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(done.unwrap().success());
    }

    /// A figure of the kernel's about its memory, in bytes: `VmRSS`, or `VmHWM` for the peak.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes * 1024
    }

    /// What it has written to its standard streams; several starts write one after the other.
    pub(crate) fn messages(&self) -> String {
        fs::read_to_string(&self.messages).unwrap()
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the process to end", || self.has_ended())
    }

    /// SIGTERM; how it ended, and after how long.
    pub(crate) fn stop(mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        self.signal("TERM");
        (self.wait(), began.elapsed())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended long ago.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let messages = fs::read_to_string(&self.messages);
            eprintln!("the service said: {}", messages.unwrap_or_default());
        }
    }
}
