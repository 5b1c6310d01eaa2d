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
