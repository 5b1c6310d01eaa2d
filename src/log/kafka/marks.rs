//! By what a topic is known again: one that was deleted, made anew and filled past where it was read
//! looks, by its offsets, as if it were the old one.
//!
//! The client library tells no ids of topics. So what is read of a partition leaves a mark: how new
//! the newest of all records before an offset is. In the same topic no record before that offset
//! ever becomes newer; in one that was made later everything is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock as _, SystemClock},
    log::{Partition, Position},
};

/// No record before `before` is newer than `newest` (milliseconds since 1970, as brokers tell it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) before: u64,
    pub(super) newest: i64,
}

impl Mark {
    /// What holds of what was read `up_to` by somebody who left no mark: it was written before now.
    fn of_now(up_to: u64) -> Self {
        Self {
            before: up_to,
            newest: SystemClock.now().as_millisecond(),
        }
    }

    pub(super) fn add(&mut self, offset: u64, time: i64) {
        self.before = self.before.max(offset + 1);
        self.newest = self.newest.max(time);
    }
}

/// A mark a partition.
pub(super) type Found = BTreeMap<Partition, Mark>;

/// The marks of one instance.
pub(super) struct Marks {
    /// Where they outlive the process; absent: nowhere.
    file: Option<PathBuf>,
    /// Whose topics they are of.
    cluster: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Of topics that were the same when they were looked at since.
    sure: Found,
    /// With what was read since then.
    latest: Found,
}

#[derive(Serialize, Deserialize)]
struct File {
    cluster: String,
    marks: Vec<(Partition, Mark)>,
}

impl Marks {
    /// Those in `folder`. What is of another cluster or cannot be read is as if there were none.
    pub(super) fn open(folder: Option<&Path>, cluster: String) -> Self {
        let file = folder.map(|folder| folder.join("marks.json"));
        let text = file.as_ref().and_then(|file| fs::read(file).ok());
        let found = text.and_then(|text| serde_json::from_slice::<File>(&text).ok());
        let found = found.filter(|found| found.cluster == cluster);
        let sure: Found = found.map_or_else(Found::new, |it| it.marks.into_iter().collect());
        let latest = sure.clone();
        Self {
            file,
            cluster,
            known: Mutex::new(Known { sure, latest }),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with what is read of `partitions` from `position` on: who begins at the beginning takes
    /// whatever there is.
    pub(super) fn begin(&self, partitions: &[Partition], position: &Position) {
        let mut known = self.lock();
        for &partition in partitions {
            let at = position.next_in(partition);
            if at == 0 {
                known.sure.remove(&partition);
                known.latest.remove(&partition);
            } else {
                let mark = Mark::of_now(at);
                let latest = *known.latest.entry(partition).or_insert(mark);
                known.sure.entry(partition).or_insert(latest);
            }
        }
    }

    /// Takes note of what was read.
    pub(super) fn note(&self, read: &Found) {
        let mut known = self.lock();
        for (&partition, mark) in read {
            let latest = known.latest.entry(partition).or_insert(*mark);
            latest.add(mark.before.saturating_sub(1), mark.newest);
        }
    }

    /// What has to hold of `partitions`, and what holds then as well.
    pub(super) fn to_check(&self, partitions: &[Partition]) -> (Found, Found) {
        let known = self.lock();
        let of = |found: &Found| -> Found {
            let wanted = found.iter().filter(|(it, _)| partitions.contains(it));
            wanted.map(|(it, mark)| (*it, *mark)).collect()
        };
        (of(&known.sure), of(&known.latest))
    }

    /// `latest` holds of the topics that there are now.
    pub(super) fn keep(&self, latest: Found) {
        let mut known = self.lock();
        let before = known.sure.clone();
        known.sure.extend(latest);
        if known.sure == before {
            return;
        }
        let marks = known.sure.iter().map(|(it, mark)| (*it, *mark)).collect();
        let (Some(file), cluster) = (&self.file, self.cluster.clone()) else {
            return;
        };
        let text = serde_json::to_vec(&File { cluster, marks }).unwrap_or_default();
        let new = file.with_extension("new");
        // Older marks hold as well.
        if let Err(error) = fs::write(&new, text).and_then(|()| fs::rename(&new, file)) {
            tracing::debug!(%error, "the marks of what was read are not written down");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Mark, Marks};
    use crate::{
        domain::Topic,
        log::{Partition, Position},
    };

    const PARTITION: Partition = Partition {
        topic: Some(Topic::Impacts),
        number: 3,
    };

    fn found(before: u64, newest: i64) -> Found {
        Found::from([(PARTITION, Mark { before, newest })])
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_only_for_the_same_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::open(Some(folder.path()), "one".to_owned());
        marks.note(&found(7, 100));
        // Nobody has looked yet whether it is the topic that it was.
        assert_eq!(marks.to_check(&[PARTITION]).0, Found::new());
        let (_, latest) = marks.to_check(&[PARTITION]);
        marks.keep(latest);
        marks.note(&found(9, 50));
        assert_eq!(marks.to_check(&[PARTITION]), (found(7, 100), found(9, 100)));
        let again = |cluster: &str| Marks::open(Some(folder.path()), cluster.to_owned());
        assert_eq!(again("one").to_check(&[PARTITION]).0, found(7, 100));
        assert_eq!(again("other").to_check(&[PARTITION]).0, Found::new());
    }

    #[test]
    fn who_begins_at_the_beginning_expects_nothing() {
        let marks = Marks::open(None, String::new());
        marks.keep(found(7, 100));
        marks.begin(&[PARTITION], &Position::default());
        assert_eq!(marks.to_check(&[PARTITION]).0, Found::new());
        marks.begin(&[PARTITION], &vec![(PARTITION, 5)].into());
        assert_eq!(marks.to_check(&[PARTITION]).0[&PARTITION].before, 5);
    }
}
