//! What was committed just now, kept for the readers of this process: they need not read it back.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    domain::{Record, Topic},
    log::{Entry, Partition},
};

/// The most bytes kept, about. Who is further behind reads the file.
const MOST_BYTES: usize = 8 << 20;
/// What a record takes beside its data, about.
const BYTES_A_RECORD: usize = 400;

/// One commit of this process: its records of every topic, in order of their offsets.
#[derive(Debug)]
pub(super) struct Commit {
    base: i64,
    end: i64,
    bytes: usize,
    topics: Vec<(Topic, Vec<Record>)>,
}

impl Commit {
    /// The commit whose first record lies at `base`.
    pub(super) fn new(base: i64, topics: Vec<(Topic, Vec<Record>)>) -> Self {
        let (mut end, mut bytes) = (base, 0);
        for record in topics.iter().flat_map(|(_, records)| records) {
            end += 1;
            bytes += record.data.len() + BYTES_A_RECORD;
        }
        Self {
            base,
            end,
            bytes,
            topics,
        }
    }

    /// The offset behind it.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Its records of `topics` from the offset `from` on.
    pub(super) fn entries(&self, topics: &[Topic], from: i64) -> impl Iterator<Item = Entry> {
        let mut next = self.base;
        let placed = self.topics.iter().flat_map(move |(topic, records)| {
            let first = next;
            next += i64::try_from(records.len()).unwrap_or(i64::MAX);
            (first..)
                .zip(records)
                .map(move |(at, one)| (*topic, at, one))
        });
        placed
            .filter(move |(topic, at, _)| *at >= from && topics.contains(topic))
            .map(|(_, at, record)| Entry {
                partition: Partition::WHOLE,
                offset: at.cast_unsigned(),
                record: record.clone(),
            })
    }
}

/// The end of the log as this process knows it, and the newest commits without a gap before it.
#[derive(Debug)]
pub(super) struct Recent {
    end: i64,
    commits: VecDeque<Arc<Commit>>,
    bytes: usize,
}

impl Recent {
    /// Nothing yet, in a log that ends at `end`.
    pub(super) fn new(end: i64) -> Self {
        Self {
            end,
            commits: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The offset behind the last commit.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Adds what was committed last.
    pub(super) fn push(&mut self, commit: Commit) {
        if commit.base != self.end {
            // Another process came between: what lies before it is not all that was there.
            self.forget();
        }
        self.end = commit.end;
        self.bytes += commit.bytes;
        self.commits.push_back(Arc::new(commit));
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.commits.pop_front()
        {
            self.bytes -= oldest.bytes;
        }
    }

    /// Keeps nothing: everything is read from the file.
    pub(super) fn forget(&mut self) {
        self.commits.clear();
        self.bytes = 0;
    }

    /// The commit that holds the record at `offset`; none: it has to be read from the file.
    pub(super) fn holding(&self, offset: i64) -> Option<Arc<Commit>> {
        let at = self.commits.partition_point(|commit| commit.end <= offset);
        let commit = self.commits.get(at)?;
        (commit.base <= offset).then(|| commit.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{Commit, MOST_BYTES, Recent};
    use crate::domain::{Record, Topic};

    fn commit(base: i64, data: &[(Topic, &str)]) -> Commit {
        let topics = data.iter().map(|(topic, data)| {
            let record = Record::json(*topic, "k".to_owned(), data);
            (*topic, vec![record.clone(), record])
        });
        Commit::new(base, topics.collect())
    }

    #[test]
    fn a_commit_gives_what_was_asked_for_at_its_offsets() {
        let mut recent = Recent::new(5);
        recent.push(commit(5, &[(Topic::Outcomes, "o"), (Topic::Impacts, "i")]));
        let held = recent.holding(6).unwrap();
        let offsets = |topics: &[Topic], from| -> Vec<u64> {
            let entries = held.entries(topics, from);
            entries.map(|entry| entry.offset).collect()
        };
        assert_eq!(offsets(&[Topic::Impacts], 0), [7, 8]);
        assert_eq!(offsets(&[Topic::Impacts], 8), [8]);
        assert_eq!(offsets(&[Topic::Outcomes, Topic::Impacts], 6), [6, 7, 8]);
        assert_eq!((held.end(), recent.end()), (9, 9));
        assert!(recent.holding(4).is_none() && recent.holding(9).is_none());
    }

    #[test]
    fn nothing_is_given_across_the_gap_that_another_process_left() {
        let mut recent = Recent::new(0);
        recent.push(commit(0, &[(Topic::Impacts, "a")]));
        recent.push(commit(3, &[(Topic::Impacts, "b")]));
        assert!(recent.holding(0).is_none() && recent.holding(2).is_none());
        assert!(recent.holding(3).is_some());
    }

    #[test]
    fn only_so_much_is_kept() {
        let mut recent = Recent::new(0);
        let large = "x".repeat(MOST_BYTES / 5);
        for n in 0..9 {
            recent.push(commit(n * 2, &[(Topic::Impacts, &large)]));
        }
        assert!(recent.holding(0).is_none());
        assert!(recent.holding(17).is_some());
        assert!(recent.bytes <= MOST_BYTES);
    }
}
