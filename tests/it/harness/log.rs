//! The log, read beside the service.

use std::sync::Arc;

use offkey::{
    clock::SystemClock,
    config::{Config, Overrides},
    domain::{Record, Topic},
    log::{Entry, Log, LogError, Position},
};

use super::{PATIENCE, Stage, until};

impl Stage {
    /// The log, opened beside the service.
    pub(crate) fn attach(&self) -> Arc<dyn Log> {
        let config = Config::load(Some(&self.config()), &Overrides::default()).unwrap();
        until("the log to be there", || {
            let log = offkey::app::attach_log(&config, Arc::new(SystemClock));
            log.inspect_err(|error| eprintln!("no log yet: {error}"))
                .ok()
        })
    }

    /// The records of `topics` in the order of the log.
    pub(crate) fn records(&self, topics: &[Topic]) -> Vec<Record> {
        let entries = self.entries(topics).into_iter();
        entries.map(|entry| entry.record).collect()
    }

    /// The same with their places.
    pub(crate) fn entries(&self, topics: &[Topic]) -> Vec<Entry> {
        until("the records", || match self.try_entries(topics) {
            Err(error) if error.is_retriable() => None,
            read => Some(read.unwrap()),
        })
    }

    fn try_entries(&self, topics: &[Topic]) -> Result<Vec<Entry>, LogError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let log = self.attach();
            let end = log.end()?.within(topics);
            let mut position = Position::default();
            let mut follower = log.follow(topics, &position)?;
            let mut entries = Vec::new();
            while !position.has_reached(&end) {
                let batch = tokio::time::timeout(PATIENCE, follower.next(1000)).await;
                assert!(batch.is_ok(), "waited in vain for the end of the log");
                let batch = batch.unwrap()?;
                position = batch.through;
                entries.extend(batch.entries);
            }
            Ok(entries)
        })
    }
}
