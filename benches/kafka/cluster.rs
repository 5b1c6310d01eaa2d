//! A broker of our own, and the places on it that measurements have to themselves.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::Context as _;
use offkey::{
    app,
    clock::SystemClock,
    config::{Config, Overrides},
    domain::{Record, Topic},
    log::Log,
};

use crate::{
    ends::Ends,
    world::{SOURCE, secret},
};

/// The most records of one append.
const STEP: usize = 2000;
/// How the broker runs: with room, and with the first compiler alone, because the second takes half a
/// processor for minutes.
const JAVA_OPTIONS: &str = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xms768m -Xmx768m";

/// One broker that ends with this process.
pub(crate) struct Cluster {
    brokers: String,
    folder: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let pid = std::process::id().to_string();
        let brokers = script("start", folder.path(), &["--for", &pid])?;
        Ok(Self { brokers, folder })
    }

    /// Topics and folders that nobody else uses. The topics are there, with leaders.
    pub(crate) fn place(&self) -> anyhow::Result<Place> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        fs::write(folder.path().join("word"), secret())?;
        fs::write(folder.path().join("key"), "no key")?;
        let place = Place {
            brokers: self.brokers.clone(),
            prefix: format!("b{}.", NEXT.fetch_add(1, Ordering::Relaxed)),
            folder,
        };
        drop(place.log()?);
        for topic in Topic::ALL {
            Ends::new(&place, topic)?.sum()?;
        }
        Ok(place)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It ends with this process anyway.
        drop(script("stop", self.folder.path(), &[]));
    }
}

fn script(command: &str, folder: &Path, more: &[&str]) -> anyhow::Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
    // The tests' broker has less room; whoever measures for long says what suits them.
    let java = std::env::var("KAFKA_JAVA_OPTIONS").unwrap_or_else(|_| JAVA_OPTIONS.to_owned());
    let output = Command::new(script)
        .env("KAFKA_JAVA_OPTIONS", java)
        .arg(command)
        .arg(folder.join("kafka"))
        .args(more)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "kafka {command}: {said}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Topics with a prefix of their own, and a folder for instances that use them.
pub(crate) struct Place {
    pub(crate) brokers: String,
    prefix: String,
    folder: tempfile::TempDir,
}

impl Place {
    /// The name of a topic.
    pub(crate) fn topic(&self, topic: Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// Where an instance keeps what is its own.
    pub(crate) fn data(&self, instance: &str) -> PathBuf {
        self.folder.path().join(instance)
    }

    /// Writes the configuration of an instance.
    pub(crate) fn configure(&self, instance: &str, listen: SocketAddr) -> anyhow::Result<PathBuf> {
        let folder = self.folder.path();
        let text = format!(
            r#"[http]
listen = "{listen}"
[log]
kind = "kafka"
path = {data:?}
[log.kafka]
brokers = "{brokers}"
prefix = "{prefix}"
[telemetry]
filter = "warn"
[[source]]
name = "{SOURCE}"
kind = "standard-webhooks"
secrets = [{{ file = {word:?} }}]
[[provider]]
name = "deepgram"
kind = "deepgram"
base_url = "http://127.0.0.1:9"
api_key = {{ file = {key:?} }}
poll = "1day"
"#,
            data = self.data(instance),
            brokers = self.brokers,
            prefix = self.prefix,
            word = folder.join("word"),
            key = folder.join("key"),
        );
        let file = folder.join(format!("{instance}.toml"));
        fs::write(&file, text)?;
        Ok(file)
    }

    /// The log, to write to.
    pub(crate) fn log(&self) -> anyhow::Result<Arc<dyn Log>> {
        let file = self.configure("writer", SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let config = Config::load(Some(&file), &Overrides::default())?;
        app::serve_log(&config, Arc::new(SystemClock)).context("the log cannot be had")
    }
}

/// Appends, in steps.
pub(crate) fn append(
    log: &dyn Log,
    records: impl Iterator<Item = anyhow::Result<Record>>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut step = Vec::new();
    for record in records {
        step.push(record?);
        if step.len() == STEP {
            runtime.block_on(log.append(std::mem::take(&mut step)))?;
        }
    }
    Ok(runtime.block_on(log.append(step))?)
}
