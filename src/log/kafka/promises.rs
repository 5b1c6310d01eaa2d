//! What commits have promised, kept until their ends are in the log for certain.
//!
//! A commit counts once the coordinator has decided it, and the ends that readers wait for are written
//! behind that. Where brokers forget them ([`super::hanging`]), the next abort under the same
//! transactional id is read as the end of both: what was promised is gone. Then it is said again, and
//! whoever reads it hears it twice at worst. Work that must not be said twice is left to those who
//! read it back: a partition that moves meanwhile has another holder, who sees what is missing.

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
pub(super) struct Promises {
    kept: Vec<Promise>,
    /// Whoever commits reads what was lost and sees to it.
    are_left: bool,
}

struct Promise {
    outputs: Vec<Record>,
    first: BTreeMap<Partition, u64>,
}

impl Promises {
    /// None yet.
    pub(super) const fn kept() -> Self {
        Self {
            kept: Vec::new(),
            are_left: false,
        }
    }

    /// None ever: whoever commits reads back what was put out.
    pub(super) const fn left_to_the_reader() -> Self {
        Self {
            kept: Vec::new(),
            are_left: true,
        }
    }

    pub(super) fn add(&mut self, outputs: Vec<Record>, first: BTreeMap<Partition, u64>) {
        if !self.are_left && !first.is_empty() {
            self.kept.push(Promise { outputs, first });
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many outputs are kept.
    pub(super) fn records(&self) -> usize {
        self.kept.iter().map(|promise| promise.outputs.len()).sum()
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }

    /// Drops those whose ends are in the log. Not to be asked after an abort: its end is as good a one.
    pub(super) fn look(&mut self, shared: &Shared) -> Result<(), LogError> {
        let partitions: Vec<Partition> = self.first().into_keys().collect();
        let decided = shared.cluster.decided(&partitions)?;
        self.kept.retain(|promise| {
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
        let outputs = self.kept.iter().flat_map(|promise| &promise.outputs);
        let lost = outputs.filter(|output| !there.contains(&output.id));
        Ok(lost.cloned().collect())
    }

    fn first(&self) -> BTreeMap<Partition, u64> {
        let mut all = BTreeMap::new();
        for (&partition, &first) in self.kept.iter().flat_map(|promise| &promise.first) {
            let known = all.entry(partition).or_insert(first);
            *known = first.min(*known);
        }
        all
    }
}
