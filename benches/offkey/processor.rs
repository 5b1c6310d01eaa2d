//! Processor time by thread: unlike a rate it hardly depends on what else the machine does.

use std::{collections::BTreeMap, fs, time::Duration};

/// The processor time of every thread of this process by name, since the threads began.
#[derive(Debug, Default)]
pub(crate) struct Spent(BTreeMap<String, Duration>);

impl Spent {
    /// Until now.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let mut spent = Self::default();
        for thread in fs::read_dir("/proc/self/task")? {
            let path = thread?.path();
            let read = |name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
            let text = read("schedstat");
            let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
            let name = read("comm").trim().to_owned();
            *spent.0.entry(name).or_default() += Duration::from_nanos(nanos.unwrap_or(0));
        }
        Ok(spent)
    }

    /// By the threads that `counts` names, since `before`.
    pub(crate) fn since(&self, before: &Self, counts: impl Fn(&str) -> bool) -> Duration {
        let named = self.0.iter().filter(|(name, _)| counts(name));
        let spent = named.map(|(name, until)| {
            let from = before.0.get(name).copied().unwrap_or_default();
            until.saturating_sub(from)
        });
        spent.sum()
    }
}

/// Whether a thread has to do with answering a request: HTTP, and the writer of the log.
pub(crate) fn answers(thread: &str) -> bool {
    ["actix", "offkey-log", "floor", "http", "tokio"]
        .iter()
        .any(|begin| thread.starts_with(begin))
        && thread != "offkey-log-care"
}

/// Whether a thread turns changes into outcomes.
pub(crate) fn correlates(thread: &str) -> bool {
    thread == "pipeline"
}
