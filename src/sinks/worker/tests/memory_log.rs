//! A log in memory: one partition over all topics.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    domain::{Record, Topic},
    log::{Batch, Entry, Follower, Health, Log, LogError, Member, Partition, Position, Share},
};

#[derive(Default)]
struct State {
    records: Vec<Record>,
    cursors: HashMap<String, u64>,
    failures: Vec<LogError>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    appended: Notify,
}

pub(super) struct MemoryLog(Arc<Shared>);

struct MemoryMember {
    shared: Arc<Shared>,
    group: String,
    topics: Vec<Topic>,
    next: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl MemoryLog {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Arc::default()))
    }

    pub(super) fn in_topic(&self, topic: Topic) -> Vec<Record> {
        let state = self.0.state();
        let records = state.records.iter().filter(|record| record.topic == topic);
        records.cloned().collect()
    }

    /// The next commits fail with `errors`, one each.
    pub(super) fn fail_commits(&self, errors: &[LogError]) {
        self.0.state().failures.extend_from_slice(errors);
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn append(&self, records: Vec<Record>) -> Result<(), LogError> {
        self.0.state().records.extend(records);
        self.0.appended.notify_waiters();
        Ok(())
    }

    fn join(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Member>, LogError> {
        let next = self.0.state().cursors.get(group).copied().unwrap_or(0);
        Ok(Box::new(MemoryMember {
            shared: Arc::clone(&self.0),
            group: group.to_owned(),
            topics: topics.to_vec(),
            next,
        }))
    }

    fn take_turns(&self, _: &str) -> Result<Box<dyn Member>, LogError> {
        Err(LogError::Closed)
    }

    fn follow(&self, _: &[Topic], _: &Position) -> Result<Box<dyn Follower>, LogError> {
        Err(LogError::Closed)
    }

    fn end(&self) -> Result<Position, LogError> {
        let end = self.0.state().records.len() as u64;
        Ok(vec![(Partition::WHOLE, end)].into())
    }

    fn lag(&self, _: &str, _: &[Topic]) -> Result<u64, LogError> {
        Err(LogError::Closed)
    }

    fn cursor(&self, _: &str, _: &[Topic]) -> Result<Position, LogError> {
        Err(LogError::Closed)
    }

    fn identity(&self) -> String {
        "memory".to_owned()
    }

    fn health(&self) -> Health {
        Health::Writable
    }
}

impl MemoryMember {
    fn read(&mut self, most: usize) -> Batch {
        let mut batch = Batch::default();
        let state = self.shared.state();
        let start = usize::try_from(self.next).unwrap();
        for record in state.records.iter().skip(start) {
            if batch.entries.len() == most {
                break;
            }
            if self.topics.contains(&record.topic) {
                batch.entries.push(Entry {
                    partition: Partition::WHOLE,
                    offset: self.next,
                    record: record.clone(),
                });
            }
            self.next += 1;
        }
        batch.through.advance(Partition::WHOLE, self.next);
        batch
    }
}

#[async_trait]
impl Member for MemoryMember {
    fn share(&mut self) -> Share {
        Share {
            held: BTreeMap::from([(Partition::WHOLE, Position::default())]),
            since: Position::default(),
        }
    }

    async fn moved(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn next(&mut self, most: usize) -> Result<Batch, LogError> {
        let shared = Arc::clone(&self.shared);
        loop {
            let appended = shared.appended.notified();
            let start = self.next;
            let batch = self.read(most);
            if self.next > start {
                return Ok(batch);
            }
            appended.await;
        }
    }

    async fn commit(&mut self, through: &Position, outputs: Vec<Record>) -> Result<(), LogError> {
        let mut state = self.shared.state();
        let committed = state.cursors.get(&self.group).copied().unwrap_or(0);
        if !state.failures.is_empty() {
            self.next = committed;
            return Err(state.failures.remove(0));
        }
        let next = through.next_in(Partition::WHOLE);
        assert!(next >= committed, "the cursor went back");
        state.cursors.insert(self.group.clone(), next);
        state.records.extend(outputs);
        drop(state);
        self.shared.appended.notify_waiters();
        Ok(())
    }
}
