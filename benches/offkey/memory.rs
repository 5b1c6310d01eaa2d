//! The real binary: how much memory it takes, how soon it is ready, how large it is.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use offkey::{
    app,
    clock::SystemClock,
    domain::Topic,
    log::{Log as _, Position, embedded::EmbeddedLog},
    projection::Projection,
};

use crate::{
    figures::{Figures, median},
    stand::{append, configure},
    world::keys,
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_offkey");
pub(crate) const PEOPLE: usize = 50_000;
pub(crate) const KEYS_EACH: usize = 20;
const ROUNDS: usize = 3;

/// What a service costs that has nothing, or 1,000,000 keys, to remember.
pub(crate) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let size = megabytes(fs::metadata(BINARY)?.len());
    figures.add("binary (floor: none)", "MB", size, f64::NAN);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (bare, _) = Served::start(folder.path())?.rest()?;
    figures.add(
        "memory, idle without data (floor: none)",
        "MB",
        bare,
        f64::NAN,
    );

    fill(folder.path())?;
    let (mut build, mut floor, mut build_memory) = (Vec::new(), Vec::new(), Vec::new());
    let (mut again, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(read_all(folder.path())?.as_secs_f64());
        Projection::delete(&folder.path().join("data"))?;
        let served = Served::start(folder.path())?;
        build.push(served.took.as_secs_f64());
        build_memory.push(served.rest()?.1);
        let served = Served::start(folder.path())?;
        again.push(served.took.as_secs_f64());
        memory.push(served.rest()?.0);
    }
    let name = "1,000,000 keys: projection built anew (floor: reading the log)";
    figures.add(name, "s", median(&mut build), median(&mut floor));
    let name = "1,000,000 keys: start to ready";
    figures.add(name, "s", median(&mut again), median(&mut floor));
    let name = "1,000,000 keys: memory (floor: without data)";
    figures.add(name, "MB", median(&mut memory), bare);
    let name = "1,000,000 keys: most memory while building";
    figures.add(name, "MB", median(&mut build_memory), bare);
    Ok(())
}

fn fill(folder: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let config = configure(folder, ([127, 0, 0, 1], 0).into())?;
    let log = app::serve_log(&config, Arc::new(SystemClock))?;
    append(&runtime, log.as_ref(), keys(0..PEOPLE, KEYS_EACH))?;
    drop(log);
    // The maintenance thread ends with its next look.
    thread::sleep(Duration::from_secs(1));
    Ok(())
}

/// Reads and decodes everything, and does nothing with it.
fn read_all(folder: &Path) -> anyhow::Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let begin = Instant::now();
    let log = EmbeddedLog::attach(&folder.join("data"), Arc::new(SystemClock))?;
    let end = log.end()?;
    let mut follower = log.follow(&Topic::ALL, &Position::default())?;
    let mut position = Position::default();
    while !position.has_reached(&end) {
        position = runtime.block_on(follower.next(2000))?.through;
    }
    Ok(begin.elapsed())
}

/// A running binary.
pub(crate) struct Served {
    process: Child,
    /// From its start to its readiness.
    took: Duration,
}

impl Served {
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        configure(folder, free)?;
        let begin = Instant::now();
        let process = Command::new(BINARY)
            .arg("serve")
            .arg("--config")
            .arg(folder.join("offkey.toml"))
            .stderr(Stdio::null())
            .spawn()?;
        let mut served = Self {
            process,
            took: Duration::ZERO,
        };
        while !is_ready(free) {
            anyhow::ensure!(
                served.process.try_wait()?.is_none() && begin.elapsed() < Duration::from_secs(300),
                "{BINARY} does not become ready"
            );
            thread::sleep(Duration::from_millis(5));
        }
        served.took = begin.elapsed();
        Ok(served)
    }

    /// The megabytes after some seconds of rest, and the most there ever were; then stops.
    pub(crate) fn rest(mut self) -> anyhow::Result<(f64, f64)> {
        thread::sleep(Duration::from_secs(3));
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let found = (field(&status, "VmRSS:")?, field(&status, "VmHWM:")?);
        Command::new("kill")
            .arg(self.process.id().to_string())
            .status()?;
        self.process.wait()?;
        Ok(found)
    }
}

impl Drop for Served {
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
pub(crate) fn field(status: &str, name: &str) -> anyhow::Result<f64> {
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .with_context(|| format!("there is no {name}"))?;
    Ok(megabytes(kilobytes.parse::<u64>()? * 1024))
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1000.0
}
