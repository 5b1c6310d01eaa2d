//! The log: one seam, several engines.
//!
//! Nothing outside this folder knows which engine runs. A log is ordered within a partition and
//! durable: what [`Log::append`] and [`Member::commit`] have answered survives a power cut.

pub mod copy;
pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
mod retention;

use std::{collections::BTreeMap, fs, path::Path};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::retention::Retention;
use crate::domain::{Record, Topic};

/// Appends, and hands out readers.
#[async_trait]
pub trait Log: Send + Sync {
    /// Brings the records to disk and returns when all of them are there.
    ///
    /// # Errors
    /// [`LogError`]; with any of them the records may or may not be there, so the caller says so
    /// to whoever waits and lets a repeat decide.
    async fn append(&self, records: Vec<Record>) -> Result<(), LogError>;

    /// Joins `group`, whose members share the records of `topics` and remember how far they came.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be read.
    fn join(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Member>, LogError>;

    /// The same for somebody who reads back what was committed: what brokers lose of it is said again
    /// by whoever holds the share then, and not by the log behind their back.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be read.
    fn join_and_read_back(
        &self,
        group: &str,
        topics: &[Topic],
    ) -> Result<Box<dyn Member>, LogError> {
        self.join(group, topics)
    }

    /// Joins those who could do `duty`, of whom one does it at a time; its member reads nothing.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be read.
    fn take_turns(&self, duty: &str) -> Result<Box<dyn Member>, LogError>;

    /// Reads `topics` from `from` on, remembering nothing.
    ///
    /// # Errors
    /// [`LogError::Replaced`] when the log never came as far as `from`, and what reading meets.
    fn follow(&self, topics: &[Topic], from: &Position) -> Result<Box<dyn Follower>, LogError>;

    /// The position behind the last durable record.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be read.
    fn end(&self) -> Result<Position, LogError>;

    /// How much of `topics` lies before `group`: records, and on a cluster the ends of transactions
    /// too.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be read.
    fn lag(&self, group: &str, topics: &[Topic]) -> Result<u64, LogError>;

    /// Up to where `group` is done with `topics`; nothing is done in a partition that is not named.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be read.
    fn cursor(&self, group: &str, topics: &[Topic]) -> Result<Position, LogError>;

    /// The position behind which `group` has work left to do for each partition of `topics`, as
    /// whoever held the partition said last ([`Share::held`]); nothing where one process holds all.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be read.
    fn settled(
        &self,
        _group: &str,
        _topics: &[Topic],
    ) -> Result<BTreeMap<Partition, Position>, LogError> {
        Ok(BTreeMap::new())
    }

    /// What about the log is not as it has to be, and how to mend it.
    ///
    /// # Errors
    /// [`LogError`] when the log does not tell.
    fn faults(&self) -> Result<Vec<String>, LogError> {
        Ok(Vec::new())
    }

    /// Identifies the log's contents: another one means that positions are not comparable.
    fn identity(&self) -> String;

    /// Whether records can be appended now.
    fn health(&self) -> Health;
}

/// Reads from a position of its own.
#[async_trait]
pub trait Follower: Send {
    /// The next records, at most `most`; waits when there are none. Dropping the future loses
    /// nothing.
    async fn next(&mut self, most: usize) -> Result<Batch, LogError>;
}

/// Works as a member of a group: on a share of it, which can become another at any time.
///
/// What is committed counts only when the share is still the one that the member saw last, through
/// [`Member::share`] or an error of [`LogError::Moved`].
#[async_trait]
pub trait Member: Send {
    /// What this member holds now.
    fn share(&mut self) -> Share;

    /// Waits until the share is another one than the member saw last. Dropping the future loses
    /// nothing.
    async fn moved(&mut self);

    /// The next records of the share that were not given out, at most `most`; waits when there
    /// are none. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`LogError::Moved`] once after every move of the share: what was given out before and is not
    /// committed is given out again, here or to another member.
    async fn next(&mut self, most: usize) -> Result<Batch, LogError>;

    /// Commits, as one step, that the group is done with everything before `through` in the
    /// share, and `outputs`.
    ///
    /// # Errors
    /// [`LogError`]; then neither may be taken as done, and the member reads again from what is
    /// committed.
    async fn commit(&mut self, through: &Position, outputs: Vec<Record>) -> Result<(), LogError>;
}

/// What one member of a group holds: nobody else works on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// The partitions of the group's topics, each with the position behind which the group has
    /// work left to do, in all topics.
    pub held: BTreeMap<Partition, Position>,
    /// How far the log had come, others' unfinished commits included, when the share became
    /// this one. Who decides by what others have put out reads up to here first.
    pub since: Position,
}

impl Share {
    /// The numbers of the partitions of `topic` that are held.
    #[must_use]
    pub fn numbers(&self, topic: Topic) -> Vec<u32> {
        let held = self.held.keys();
        held.filter(|partition| partition.topic.is_none_or(|known| known == topic))
            .map(|partition| partition.number)
            .collect()
    }

    /// Whether there is nothing to work on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// One ordered part of the log.
///
/// The embedded log is one partition over all topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition {
    /// Absent: the partition spans all topics.
    pub topic: Option<Topic>,
    /// Its number within the topic.
    pub number: u32,
}

impl Partition {
    /// The only partition of a log that orders everything.
    pub const WHOLE: Self = Self {
        topic: None,
        number: 0,
    };
}

/// `membership/3`; the whole log is `*`.
impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.topic {
            Some(topic) => write!(f, "{topic}/{}", self.number),
            None => f.write_str("*"),
        }
    }
}

impl std::str::FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::WHOLE);
        }
        let (topic, number) = text
            .split_once('/')
            .ok_or_else(|| format!("{text:?} is no partition"))?;
        Ok(Self {
            topic: Some(topic.parse()?),
            number: number
                .parse()
                .map_err(|_| format!("{number:?} is no number of a partition"))?,
        })
    }
}

/// How far somebody has read: per partition the offset of the next record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(Partition, u64)>", into = "Vec<(Partition, u64)>")]
pub struct Position(BTreeMap<Partition, u64>);

impl From<Vec<(Partition, u64)>> for Position {
    fn from(parts: Vec<(Partition, u64)>) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl From<Position> for Vec<(Partition, u64)> {
    fn from(position: Position) -> Self {
        position.0.into_iter().collect()
    }
}

impl Position {
    /// The next offset in `partition`; 0 when nothing was read.
    #[must_use]
    pub fn next_in(&self, partition: Partition) -> u64 {
        self.0.get(&partition).copied().unwrap_or(0)
    }

    /// Moves to `next` in `partition`, never back.
    pub fn advance(&mut self, partition: Partition, next: u64) {
        let known = self.0.entry(partition).or_default();
        *known = (*known).max(next);
    }

    /// How far both have come.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let parts = self.0.iter();
        let parts =
            parts.map(|(&partition, &next)| (partition, next.min(other.next_in(partition))));
        Self(parts.filter(|&(_, next)| next > 0).collect())
    }

    /// The same, of `topics` only.
    #[must_use]
    pub fn within(&self, topics: &[Topic]) -> Self {
        let parts = self
            .0
            .iter()
            .filter(|(partition, _)| partition.topic.is_none_or(|topic| topics.contains(&topic)));
        Self(parts.map(|(partition, next)| (*partition, *next)).collect())
    }

    /// The partitions and the next offset in each.
    pub fn parts(&self) -> impl Iterator<Item = (Partition, u64)> + '_ {
        self.0.iter().map(|(partition, next)| (*partition, *next))
    }

    /// Whether everything before `end` was read.
    #[must_use]
    pub fn has_reached(&self, end: &Self) -> bool {
        end.0
            .iter()
            .all(|(partition, next)| self.next_in(*partition) >= *next)
    }
}

/// A record and where it lies.
#[derive(Debug, Clone)]
pub struct Entry {
    /// In which partition.
    pub partition: Partition,
    /// At which offset.
    pub offset: u64,
    /// What.
    pub record: Record,
}

/// Records in the order of their partitions, and the position behind them.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Possibly none, when only the position moved.
    pub entries: Vec<Entry>,
    /// Behind the last of them.
    pub through: Position,
}

/// Whether the log takes records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Writable,
    /// It does not now, and tries again by itself.
    Unavailable(String),
    /// It never will again in this process.
    Failed(String),
}

/// Why the log did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// Not now: the disk is full, the broker is away, too many wait. Trying later can help.
    #[error("the log cannot take records now: {0}")]
    Unavailable(String),
    /// A write or sync failed in a way after which nothing of this process can be trusted.
    #[error("the log failed and has to be opened anew: {0}")]
    Failed(String),
    /// What is stored is not what was written.
    #[error("the log is damaged: {0}")]
    Corrupt(String),
    /// One record is larger than the log takes.
    #[error("a record of {size} bytes is larger than the {most} bytes the log takes")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The most bytes of one record.
        most: usize,
    },
    /// It is not configured so that it can be used; mending that mends it.
    #[error("the log cannot be used as it is configured: {0}")]
    Configured(String),
    /// The share of the member became another one.
    #[error("the share of the work became another one")]
    Moved,
    /// The log is not the one that was read before: it ends before what was read of it.
    #[error("the log was replaced: {0}")]
    Replaced(String),
    /// The log is shut down.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    /// Whether the same call can succeed later in this process.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Moved)
    }
}

/// Takes the folder for this process, creating it when absent; it is free again when the process
/// ends, however it does.
///
/// # Errors
/// [`LogError::Unavailable`] when another process has it.
pub(crate) fn lock_folder(folder: &Path) -> Result<fs::File, LogError> {
    let failed = |error: std::io::Error| LogError::Failed(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let lock = fs::File::create(folder.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(LogError::Unavailable(format!(
            "another process serves {}; stop it or choose another log.path",
            folder.display()
        ))),
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}
