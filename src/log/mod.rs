//! The log: one seam, several engines.
//!
//! Nothing outside this folder knows which engine runs. A log is ordered within a partition and
//! durable: what [`Log::append`] and [`Member::commit`] have answered survives a power cut.

pub mod embedded;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::{Record, Topic};

/// Appends, and hands out readers.
#[async_trait]
pub trait Log: Send + Sync {
    /// Brings the records to disk, all or none, and returns when they are there.
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

    /// Reads `topics` from `from` on, remembering nothing.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be read.
    fn follow(&self, topics: &[Topic], from: &Position) -> Result<Box<dyn Follower>, LogError>;

    /// The position behind the last durable record.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be read.
    fn end(&self) -> Result<Position, LogError>;

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

/// Reads as a member of a group.
#[async_trait]
pub trait Member: Send {
    /// The next records that nobody in the group has been given, at most `most`; waits when there
    /// are none. Dropping the future loses nothing.
    async fn next(&mut self, most: usize) -> Result<Batch, LogError>;

    /// Commits, as one step, that the group is done with everything before `through`, and
    /// `outputs`.
    ///
    /// # Errors
    /// [`LogError`]; then neither may be taken as done, and the member reads again from what is
    /// committed.
    async fn commit(&mut self, through: &Position, outputs: Vec<Record>) -> Result<(), LogError>;
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
    /// The log is shut down.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    /// Whether the same call can succeed later in this process.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
