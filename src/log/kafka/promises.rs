//! What commits have promised, kept until their ends are in the log for certain.
//!
//! A commit counts once the coordinator has decided it, and the ends that readers wait for are written
//! behind that. Where brokers forget them ([`super::hanging`]), the next abort under the same
//! transactional id is read as the end of both: what was promised is gone. Then it is said again.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Shared,
    reader::{Reader, Scope},
};
use crate::{
    domain::Record,
    log::{LogError, Partition, Position},
};

/// The most records that are read in one step.
const MOST_RECORDS: usize = 1000;

/// Outputs of commits, and where the first of them lies in each partition.
#[derive(Default)]
pub(super) struct Promises(Vec<Promise>);

struct Promise {
    outputs: Vec<Record>,
    first: BTreeMap<Partition, u64>,
}

impl Promises {
    pub(super) fn add(&mut self, outputs: Vec<Record>, first: BTreeMap<Partition, u64>) {
        if !first.is_empty() {
            self.0.push(Promise { outputs, first });
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many outputs are kept.
    pub(super) fn records(&self) -> usize {
        self.0.iter().map(|promise| promise.outputs.len()).sum()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Drops those whose ends are in the log. Not to be asked after an abort: its end is as good a one.
    pub(super) fn look(&mut self, shared: &Shared) -> Result<(), LogError> {
        let partitions: Vec<Partition> = self.first().into_keys().collect();
        let decided = shared.cluster.decided(&partitions)?;
        self.0.retain(|promise| {
            let mut places = promise.first.iter();
            places.any(|(&partition, &first)| decided.next_in(partition) <= first)
        });
        Ok(())
    }

    /// The outputs that nobody will read. Waits until everything that came since is decided, for
    /// `patience` at most.
    pub(super) fn lost(
        &self,
        shared: &Arc<Shared>,
        patience: Duration,
    ) -> Result<Vec<Record>, LogError> {
        let from: Position = self.first().into_iter().collect::<Vec<_>>().into();
        let partitions: Vec<Partition> = from.parts().map(|(partition, _)| partition).collect();
        let ends = shared.cluster.ends(&partitions)?;
        let mut reader = Reader::start(shared.clone(), Scope::Partitions(partitions), &from)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| LogError::Failed(format!("a thread cannot wait: {error}")))?;
        let read = async {
            let mut there = HashSet::new();
            loop {
                let batch = reader.next(MOST_RECORDS).await?;
                there.extend(batch.entries.into_iter().map(|entry| entry.record.id));
                if batch.through.has_reached(&ends) {
                    return Ok::<_, LogError>(there);
                }
            }
        };
        let there = runtime
            .block_on(async { tokio::time::timeout(patience, read).await })
            .map_err(|_| LogError::Unavailable("open transactions do not end".to_owned()))??;
        let outputs = self.0.iter().flat_map(|promise| &promise.outputs);
        let lost = outputs.filter(|output| !there.contains(&output.id));
        Ok(lost.cloned().collect())
    }

    fn first(&self) -> BTreeMap<Partition, u64> {
        let mut all = BTreeMap::new();
        for (&partition, &first) in self.0.iter().flat_map(|promise| &promise.first) {
            let known = all.entry(partition).or_insert(first);
            *known = first.min(*known);
        }
        all
    }
}
