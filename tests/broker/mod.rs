//! A real Kafka, run by the project's own script; shared by the tests of one program.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "not every program that has this uses all of it"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The one-node cluster of this process. `make test` has one running for all and names it;
/// otherwise it is started here and ends with the process.
static SHARED: LazyLock<Cluster> = LazyLock::new(|| {
    let known = std::env::var("OFFKEY_KAFKA").ok();
    let known = known.filter(|name| !name.is_empty());
    match known {
        Some(brokers) => Cluster {
            brokers,
            folder: PathBuf::new(),
            kept: None,
        },
        None => Cluster::start(&[]),
    }
});

/// A running cluster.
pub(crate) struct Cluster {
    /// The brokers' addresses.
    pub(crate) brokers: String,
    /// The folder that holds it, where it is one of ours.
    pub(crate) folder: PathBuf,
    kept: Option<tempfile::TempDir>,
}

impl Cluster {
    /// The cluster for tests that leave it whole.
    pub(crate) fn shared() -> &'static Self {
        &SHARED
    }

    /// A cluster of its own, for a test that breaks it; ends when dropped.
    pub(crate) fn start(options: &[&str]) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let folder = kept.path().join("kafka");
        let pid = std::process::id().to_string();
        let arguments = [options, &["--for", &pid]].concat();
        let brokers = script("start", &folder, &arguments);
        Self {
            brokers,
            folder,
            kept: Some(kept),
        }
    }

    /// Runs a command of the script on this cluster.
    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> String {
        script(command, &self.folder, arguments)
    }

    /// What the script wrote down about the cluster.
    pub(crate) fn note(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.join(name)).unwrap();
        text.trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.kept.is_some() {
            script("stop", &self.folder, &[]);
        }
    }
}

/// Runs the script, and says what it said when it fails: no test passes without a broker.
fn script(command: &str, folder: &Path, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
    let output = Command::new(script)
        .arg(command)
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kafka {command}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A prefix that no other test uses.
pub(crate) fn prefix() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("t{}-{number}.", std::process::id())
}

/// What a configuration says of a log at `brokers`, under a prefix of its own; `more` adds to it.
pub(crate) fn log_at(brokers: &str, more: &str) -> String {
    format!(
        "kind = \"kafka\"\n[log.kafka]\nbrokers = {brokers:?}\nprefix = {:?}\npartitions = 4\n\
         session_timeout = \"6s\"\ntransaction_timeout = \"6s\"\nappend_timeout = \"2s\"\n{more}",
        prefix(),
    )
}
