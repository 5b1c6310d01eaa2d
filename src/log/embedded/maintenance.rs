//! What keeps the file in order, off the commit path: checkpoints, retention, compaction.

use std::{path::Path, sync::Arc, thread, time::Duration};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    compaction::compact,
    connection::{classify, open_reader, open_writer},
    writer::Job,
};
use crate::{
    clock::Clock,
    domain::Topic,
    log::{LogError, Retention},
};

/// How often to see whether a full disk has room again.
const TICK: Duration = Duration::from_millis(200);
/// The write-ahead log is brought into the file every so many ticks (5 s): whoever appends
/// meanwhile waits for the disk, tens of milliseconds, and pages that change often are written
/// once.
const TICKS_OF_CHECKPOINT: u32 = 25;
/// Or when so many pages (32 MiB) wait to be brought there.
const MANY_PAGES: i64 = 8_192;
/// Retention and compaction come every so many ticks.
const TICKS_OF_CLEANING: u32 = 300;
/// Beyond so many pages (64 MiB) the writer waits until the write-ahead log starts anew.
const MOST_WAL_PAGES: i64 = 16_384;
/// How many rows are deleted between two commits.
const ROWS_A_STEP: i64 = 500;

/// Of a topic (1) goes a beginning without a gap, which any row behind it would show: up to the last
/// row from before a moment (2) that lies before the first one to be kept. A row that a clock which
/// ran ahead says to be of the future (4: now) tells nothing, and goes with those behind it. The
/// newest row stays: the next one names it as its predecessor.
const OLDEST_GO: &str = "
    WITH oldest AS (
        SELECT base, at FROM batches WHERE topic = ?1
        AND base < (SELECT max(base) FROM batches WHERE topic = ?1)
        ORDER BY base LIMIT ?3),
    kept AS (SELECT min(base) AS base FROM oldest WHERE at >= ?2 AND at <= ?4)
    DELETE FROM batches WHERE topic = ?1 AND base <= (
        SELECT max(oldest.base) FROM oldest, kept
        WHERE oldest.at < ?2 AND (kept.base IS NULL OR oldest.base < kept.base))";

pub(super) struct Maintenance {
    checkpoints: Connection,
    reader: Connection,
    jobs: mpsc::WeakSender<Job>,
    clock: Arc<dyn Clock>,
    retention: Retention,
}

impl Maintenance {
    pub(super) fn new(
        file: &Path,
        jobs: mpsc::WeakSender<Job>,
        clock: Arc<dyn Clock>,
        retention: Retention,
    ) -> Result<Self, LogError> {
        let (checkpoints, reader) = (open_writer(file)?, open_reader(file)?);
        Ok(Self {
            checkpoints,
            reader,
            jobs,
            clock,
            retention,
        })
    }

    /// Works until the log is dropped.
    pub(super) fn run(self) {
        let mut tick: u32 = 0;
        while let Some(jobs) = self.jobs.upgrade() {
            let done = self.tick(&jobs, tick);
            if let Err(error) = done {
                tracing::warn!(%error, "the log could not be put in order; trying again");
            }
            drop(jobs);
            tick = tick.wrapping_add(1);
            thread::sleep(TICK);
        }
    }

    fn tick(&self, jobs: &mpsc::Sender<Job>, tick: u32) -> Result<(), LogError> {
        // A full queue is being worked on, and needs no probe to find out whether it can be.
        drop(jobs.try_send(Job::Probe));
        let wal = checkpoint(&self.checkpoints, "NOOP")?;
        if tick.is_multiple_of(TICKS_OF_CHECKPOINT) || wal.waiting > MANY_PAGES {
            let wal = checkpoint(&self.checkpoints, "PASSIVE")?;
            if wal.pages > MOST_WAL_PAGES {
                perform(jobs, |db| checkpoint(db, "RESTART"))?;
            }
        }
        if tick.is_multiple_of(TICKS_OF_CLEANING) {
            for (topic, keep) in &self.retention.0 {
                self.expire(jobs, *topic, *keep)?;
            }
            for topic in Topic::ALL.into_iter().filter(|topic| topic.is_compacted()) {
                compact(&self.reader, jobs, topic)?;
            }
        }
        Ok(())
    }

    pub(super) fn expire(
        &self,
        jobs: &mpsc::Sender<Job>,
        topic: Topic,
        keep: Duration,
    ) -> Result<(), LogError> {
        let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
        let now = self.clock.now().as_microsecond();
        let before = now.saturating_sub(keep);
        loop {
            let deleted = perform(jobs, move |db| {
                db.execute(OLDEST_GO, (topic.name(), before, ROWS_A_STEP, now))
                    .map_err(|error| classify(&error))
            })?;
            if i64::try_from(deleted).unwrap_or(0) < ROWS_A_STEP {
                return Ok(());
            }
        }
    }
}

/// How the write-ahead log stands.
struct Wal {
    pages: i64,
    /// How many of them are not in the file yet.
    waiting: i64,
}

/// `NOOP` only looks, `PASSIVE` brings what it can into the file without hindering anybody,
/// `RESTART` waits until all of it is there, and starts anew.
fn checkpoint(db: &Connection, mode: &str) -> Result<Wal, LogError> {
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (pages, done): (i64, i64) = (row.get(1)?, row.get(2)?);
        let waiting = pages - done;
        Ok(Wal { pages, waiting })
    })
    .map_err(|error| classify(&error))
}

/// Has the writer do `work` between two commits, and waits for it.
pub(super) fn perform<T: Send + 'static>(
    jobs: &mpsc::Sender<Job>,
    work: impl FnOnce(&mut Connection) -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let (done, answer) = oneshot::channel();
    let job = Job::Maintain(Box::new(move |db| drop(done.send(work(db)))));
    jobs.blocking_send(job)
        .map_err(|_closed| LogError::Closed)?;
    answer.blocking_recv().map_err(|_closed| LogError::Closed)?
}
