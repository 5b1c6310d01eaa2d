//! The embedded log: a SQLite file in one folder, one process that serves it.
//!
//! Other processes on the same machine may read it and append to it (the command line does);
//! SQLite's locks keep them apart.

mod batch;
mod compaction;
mod connection;
mod maintenance;
mod reader;
mod recent;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    connection::{behind, check_tail, cursor, open_reader, open_writer, query},
    maintenance::Maintenance,
    reader::{EmbeddedFollower, EmbeddedMember, Reader, whole},
    recent::Recent,
    writer::{Job, MOST_RECORD_BYTES, Writer},
};
use super::{Follower, Health, Log, LogError, Member, Partition, Position, Retention, Share};
use crate::{
    clock::Clock,
    domain::{Record, Topic},
};

/// How many requests may wait for a commit before those behind them wait to wait.
const WAITING_ROOM: usize = 1024;

/// A log in a folder.
pub struct EmbeddedLog {
    file: PathBuf,
    identity: String,
    jobs: mpsc::Sender<Job>,
    health: Arc<ArcSwap<Health>>,
    recent: watch::Receiver<Recent>,
    /// Held by the one process that serves the folder.
    _lock: Option<fs::File>,
}

impl EmbeddedLog {
    /// Opens the log in `folder` as the one process that serves it, creating both when absent,
    /// and keeps it in order from then on.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when another process serves the folder, and what opening meets.
    pub fn serve(
        folder: &Path,
        clock: Arc<dyn Clock>,
        retention: Retention,
    ) -> Result<Self, LogError> {
        let lock = super::lock_folder(folder)?;
        let log = Self::open(folder, clock.clone(), Some(lock))?;
        let care = Maintenance::new(&log.file, log.jobs.downgrade(), clock, retention)?;
        spawn("offkey-log-care", move || care.run())?;
        Ok(log)
    }

    /// Opens the log in `folder` as the one process that works with it, creating both when absent,
    /// and leaves in it all that is there.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when another process serves the folder, and what opening meets.
    pub fn hold(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        let lock = super::lock_folder(folder)?;
        Self::open(folder, clock, Some(lock))
    }

    /// Whether there is a log in `folder`.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        Self::file_in(folder).exists()
    }

    /// Opens the log in `folder` beside the process that serves it.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when there is no log, and what opening meets.
    pub fn attach(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        if !Self::is_in(folder) {
            return Err(LogError::Unavailable(format!(
                "there is no log in {}; start `offkey serve` first, or name the folder it uses",
                folder.display()
            )));
        }
        Self::open(folder, clock, None)
    }

    fn open(
        folder: &Path,
        clock: Arc<dyn Clock>,
        lock: Option<fs::File>,
    ) -> Result<Self, LogError> {
        let file = Self::file_in(folder);
        // The first connection creates the file, so that readers find one.
        drop(open_writer(&file)?);
        let db = open_reader(&file)?;
        check_tail(&db)?;
        let identity: String = query(&db, "SELECT identity FROM head")?;
        let next: i64 = query(&db, "SELECT next FROM head")?;
        let (jobs, waiting) = mpsc::channel(WAITING_ROOM);
        let (announce, recent) = watch::channel(Recent::new(next));
        let health = Arc::new(ArcSwap::from_pointee(Health::Writable));
        let writer = Writer::open(&file, waiting, clock, health.clone(), announce)?;
        spawn("offkey-log", move || writer.run())?;
        Ok(Self {
            file,
            identity,
            jobs,
            health,
            recent,
            _lock: lock,
        })
    }

    fn file_in(folder: &Path) -> PathBuf {
        folder.join("log.db")
    }

    fn reader(&self, topics: &[Topic], next: i64) -> Result<Reader, LogError> {
        Reader::new(open_reader(&self.file)?, topics, next, self.recent.clone())
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn append(&self, records: Vec<Record>) -> Result<(), LogError> {
        submit(&self.jobs, records, None).await
    }

    fn join(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Member>, LogError> {
        let next = cursor(&open_reader(&self.file)?, group)?;
        Ok(Box::new(EmbeddedMember {
            reader: self.reader(topics, next)?,
            group: group.to_owned(),
            jobs: self.jobs.clone(),
            share: Share {
                held: BTreeMap::from([(Partition::WHOLE, whole(next))]),
                since: self.end()?,
            },
        }))
    }

    /// One process serves the folder, and it takes every turn.
    fn take_turns(&self, duty: &str) -> Result<Box<dyn Member>, LogError> {
        self.join(duty, &[])
    }

    fn follow(&self, topics: &[Topic], from: &Position) -> Result<Box<dyn Follower>, LogError> {
        let next = from.next_in(Partition::WHOLE).cast_signed();
        Ok(Box::new(EmbeddedFollower(self.reader(topics, next)?)))
    }

    fn end(&self) -> Result<Position, LogError> {
        Ok(whole(query(
            &open_reader(&self.file)?,
            "SELECT next FROM head",
        )?))
    }

    fn lag(&self, group: &str, topics: &[Topic]) -> Result<u64, LogError> {
        let db = open_reader(&self.file)?;
        let next = cursor(&db, group)?;
        topics.iter().map(|topic| behind(&db, *topic, next)).sum()
    }

    fn cursor(&self, group: &str, _: &[Topic]) -> Result<Position, LogError> {
        Ok(whole(cursor(&open_reader(&self.file)?, group)?))
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn health(&self) -> Health {
        Health::clone(&self.health.load())
    }
}

/// The records in the body of one row of `batches`, whatever its checksum says: to see what a
/// damaged file still holds.
///
/// # Errors
/// Why the bytes are no such body.
pub fn read_row(body: &[u8]) -> Result<Vec<Record>, String> {
    let records = batch::read_body(body)?;
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

async fn submit(
    jobs: &mpsc::Sender<Job>,
    records: Vec<Record>,
    cursor: Option<(String, i64)>,
) -> Result<(), LogError> {
    if let Some(record) = records
        .iter()
        .find(|record| record.data.len() > MOST_RECORD_BYTES)
    {
        return Err(LogError::TooLarge {
            size: record.data.len(),
            most: MOST_RECORD_BYTES,
        });
    }
    let (done, answer) = oneshot::channel();
    let job = Job::Append {
        records,
        cursor,
        done,
    };
    jobs.send(job).await.map_err(|_closed| LogError::Closed)?;
    answer.await.map_err(|_closed| LogError::Closed)?
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), LogError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| LogError::Failed(format!("the thread {name} cannot start: {error}")))
}
