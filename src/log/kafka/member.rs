//! A member of a group: its share, the reading of it, and its commits.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

use super::{
    Shared, codec,
    group::{Group, Held},
    promises::Promises,
    reader::{Reader, Scope},
    transactions::{Commit, Transactions},
};
use crate::{
    domain::{Record, Topic},
    log::{Batch, LogError, Member, Partition, Position, Share},
};

/// The most records of one transaction; a larger commit is refused before anything is sent.
const MOST_OUTPUTS: usize = 1 << 20;

pub(super) struct KafkaMember {
    shared: Arc<Shared>,
    group: Group,
    held: watch::Receiver<Held>,
    /// The share as the member's owner saw it last.
    seen: Held,
    reader: Option<Reader>,
    transactions: Transactions,
}

impl KafkaMember {
    pub(super) fn join(
        shared: Arc<Shared>,
        name: &str,
        topics: Vec<Topic>,
        turn: Option<Partition>,
        promises: Promises,
    ) -> Result<Self, LogError> {
        // First, so that what a predecessor left open is being ended when the group asks for it.
        let transactions = Transactions::start(shared.clone(), name, promises)?;
        let group = Group::join(shared.clone(), name, topics, turn)?;
        Ok(Self {
            held: group.held(),
            group,
            shared,
            seen: Held::default(),
            reader: None,
            transactions,
        })
    }

    fn has_moved(&self) -> bool {
        self.held.borrow().moves != self.seen.moves
    }

    fn see(&mut self) {
        self.seen = self.held.borrow_and_update().clone();
        self.reader = None;
    }

    /// A reader of the share, from what is committed.
    fn open_reader(&mut self) -> Result<&mut Reader, LogError> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                let partitions = self.seen.share.held.keys().copied().collect();
                let scope = Scope::Partitions(partitions);
                Reader::start(self.shared.clone(), scope, &self.seen.committed)?
            }
        };
        Ok(self.reader.insert(reader))
    }

    fn offsets(&self, through: &Position) -> Vec<(Partition, u64)> {
        let held = self.seen.share.held.keys();
        held.map(|&partition| {
            let known = self.seen.committed.next_in(partition);
            (partition, through.next_in(partition).max(known))
        })
        .collect()
    }
}

#[async_trait]
impl Member for KafkaMember {
    fn share(&mut self) -> Share {
        if self.has_moved() {
            self.see();
        }
        self.seen.share.clone()
    }

    async fn moved(&mut self) {
        let seen = self.seen.moves;
        // The group outlives its watchers: it is a field beside them.
        drop(self.held.wait_for(|held| held.moves != seen).await);
    }

    async fn next(&mut self, most: usize) -> Result<Batch, LogError> {
        if self.has_moved() {
            self.see();
            return Err(LogError::Moved);
        }
        if self.seen.share.is_empty() {
            self.moved().await;
            self.see();
            return Err(LogError::Moved);
        }
        let seen = self.seen.moves;
        let mut held = self.held.clone();
        let reader = self.open_reader()?;
        let batch = tokio::select! {
            biased;
            _ = held.wait_for(|held| held.moves != seen) => None,
            batch = reader.next(most) => Some(batch),
        };
        if let Some(batch) = batch {
            if batch.is_err() {
                self.reader = None;
            }
            return batch;
        }
        self.see();
        Err(LogError::Moved)
    }

    async fn commit(&mut self, through: &Position, outputs: Vec<Record>) -> Result<(), LogError> {
        let most = self.shared.settings.max_record;
        check(&outputs, most)?;
        if self.has_moved() {
            self.see();
            return Err(LogError::Moved);
        }
        let Some(proof) = self.seen.proof.clone() else {
            return Err(LogError::Moved);
        };
        let (done, answer) = oneshot::channel();
        let offsets = self.offsets(through);
        self.transactions.submit(Commit {
            outputs,
            offsets: offsets.clone(),
            through: through.clone(),
            proof,
            done,
        })?;
        let result = answer.await.map_err(|_| LogError::Closed)?;
        match &result {
            Ok(()) => {
                for (partition, next) in offsets {
                    self.seen.committed.advance(partition, next);
                }
            }
            Err(_) => self.doubt(),
        }
        result
    }
}

impl KafkaMember {
    /// What was committed may be there or not: nothing goes on before the log was read that far.
    fn doubt(&mut self) {
        // Without it everything is said twice, for the test that shows that somebody would notice.
        fail::fail_point!("kafka.no-doubt", |_| ());
        self.group.renew();
        self.see();
    }
}

/// Whether every output can be sent.
fn check(outputs: &[Record], most: usize) -> Result<(), LogError> {
    if outputs.len() > MOST_OUTPUTS {
        let why = format!("{} records in one commit are too many", outputs.len());
        return Err(LogError::Failed(why));
    }
    let sizes = outputs.iter().map(codec::size);
    match sizes.max().filter(|size| *size > most) {
        Some(size) => Err(LogError::TooLarge { size, most }),
        None => Ok(()),
    }
}
