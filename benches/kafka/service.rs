//! The real program, in a process of its own.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::cluster::Place;

const BINARY: &str = env!("CARGO_BIN_EXE_offkey");
/// How long it may take to become ready.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long to look at a process at rest.
const REST: Duration = Duration::from_secs(3);

/// A running instance.
pub(crate) struct Service {
    process: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// From its start to its readiness.
    pub(crate) took: Duration,
}

impl Service {
    /// Starts `instance`, and waits until it is ready.
    pub(crate) fn start(place: &Place, instance: &str) -> anyhow::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let file = place.configure(instance, address)?;
        let said = file.with_extension("err");
        let begin = Instant::now();
        let process = Command::new(BINARY)
            .arg("serve")
            .arg("--config")
            .arg(file)
            .stderr(Stdio::from(File::create(&said)?))
            .spawn()?;
        let mut service = Self {
            process,
            address,
            took: Duration::ZERO,
        };
        while !is_ready(address) {
            let is_alive = service.process.try_wait()?.is_none();
            anyhow::ensure!(
                is_alive && begin.elapsed() < PATIENCE,
                "{BINARY} does not become ready: {}",
                fs::read_to_string(&said)?
            );
            thread::sleep(Duration::from_millis(5));
        }
        service.took = begin.elapsed();
        Ok(service)
    }

    /// The megabytes it takes after a rest, and the most there ever were.
    pub(crate) fn memory(&self) -> anyhow::Result<(f64, f64)> {
        thread::sleep(REST);
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        Ok((field(&status, "VmRSS:")?, field(&status, "VmHWM:")?))
    }

    /// Freezes it, so that what is appended waits for it.
    pub(crate) fn pause(&self) -> anyhow::Result<()> {
        self.signal("-STOP")
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        self.signal("-CONT")
    }

    /// Stops it, and waits for its end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.signal("-TERM")?;
        self.process.wait()?;
        Ok(())
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .arg(signal)
            .arg(self.process.id().to_string())
            .status()?;
        anyhow::ensure!(status.success(), "kill {signal} failed");
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended, or an error on the way here is what counts.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 204"))
    };
    ask().unwrap_or(false)
}

/// A field of `/proc/PID/status` in megabytes.
fn field(status: &str, name: &str) -> anyhow::Result<f64> {
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .with_context(|| format!("there is no {name}"))?;
    let kilobytes = u32::try_from(kilobytes.parse::<u64>()?)?;
    Ok(f64::from(kilobytes) * 1.024 / 1000.0)
}
