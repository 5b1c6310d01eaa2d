//! The one thread that writes: many waiting requests, one sync.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    batch::{NO_BATCH, Place, StoredBatch},
    connection::{classify, open_writer},
    recent::{Commit, Recent},
};
use crate::{
    clock::Clock,
    domain::{Record, Topic},
    log::{Health, LogError},
};

/// The most records of one commit.
const MOST_RECORDS: usize = 4096;
/// The most bytes of one commit, about.
const MOST_BYTES: usize = 8 << 20;
/// The most bytes of one record.
pub(super) const MOST_RECORD_BYTES: usize = 4 << 20;

/// What the writer is asked to do.
pub(super) enum Job {
    /// Bring records to disk and, with a cursor, move a group's cursor in the same step.
    Append {
        records: Vec<Record>,
        cursor: Option<(String, i64)>,
        done: oneshot::Sender<Result<(), LogError>>,
    },
    /// Do something between two commits.
    Maintain(Box<dyn FnOnce(&mut Connection) + Send>),
    /// Write nothing, but see whether one could.
    Probe,
}

/// The writer's state, on its own thread.
pub(super) struct Writer {
    db: Connection,
    jobs: mpsc::Receiver<Job>,
    clock: Arc<dyn Clock>,
    health: Arc<ArcSwap<Health>>,
    recent: watch::Sender<Recent>,
}

impl Writer {
    pub(super) fn open(
        file: &Path,
        jobs: mpsc::Receiver<Job>,
        clock: Arc<dyn Clock>,
        health: Arc<ArcSwap<Health>>,
        recent: watch::Sender<Recent>,
    ) -> Result<Self, LogError> {
        Ok(Self {
            db: open_writer(file)?,
            jobs,
            clock,
            health,
            recent,
        })
    }

    /// Works until nobody can send a job any more.
    pub(super) fn run(mut self) {
        let mut next = self.jobs.blocking_recv();
        while let Some(job) = next {
            next = match job {
                Job::Append { .. } => self.commit_with_others(job),
                Job::Maintain(work) => {
                    work(&mut self.db);
                    // What was deleted or rewritten is not given out any more.
                    self.recent.send_modify(Recent::forget);
                    None
                }
                Job::Probe => {
                    self.probe();
                    None
                }
            }
            .or_else(|| self.jobs.blocking_recv());
        }
    }

    /// Commits `first` and whatever waits behind it; returns the job that did not fit.
    fn commit_with_others(&mut self, first: Job) -> Option<Job> {
        let mut group = Group::default();
        let mut left = Some(first);
        while let Some(job) = left.take() {
            match job {
                Job::Append {
                    records,
                    cursor,
                    done,
                } if !group.is_full() => {
                    group.add(records, cursor, done);
                    left = self.jobs.try_recv().ok();
                }
                other => {
                    left = Some(other);
                    break;
                }
            }
        }
        let result = self.write(&mut group);
        if let Err(error) = &result {
            self.note_failure(error);
        } else {
            self.note_success();
        }
        group.answer(&result);
        left
    }

    fn write(&mut self, group: &mut Group) -> Result<(), LogError> {
        if let Health::Failed(why) = self.health.load().as_ref() {
            return Err(LogError::Failed(why.clone()));
        }
        let at = self.clock.now().as_microsecond();
        let base = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| classify(&error))
            .and_then(|transaction| {
                let base = insert(&transaction, group, at)?;
                fail::fail_point!("log.before-commit", |_| std::process::abort());
                transaction.commit().map_err(|error| classify(&error))?;
                fail::fail_point!("log.after-commit", |_| std::process::abort());
                Ok(base)
            })?;
        let topics = std::mem::take(&mut group.by_topic).into_iter().collect();
        let commit = Commit::new(base, topics);
        self.recent.send_modify(|recent| recent.push(commit));
        Ok(())
    }

    fn note_failure(&self, error: &LogError) {
        let health = match error {
            LogError::Unavailable(why) => Health::Unavailable(why.clone()),
            LogError::Failed(why) | LogError::Corrupt(why) => Health::Failed(why.clone()),
            _ => return,
        };
        if **self.health.load() != health {
            tracing::error!(error = %error, "the log does not take records");
            self.health.store(Arc::new(health));
        }
    }

    fn note_success(&self) {
        if !matches!(**self.health.load(), Health::Writable) {
            tracing::info!("the log takes records again");
            self.health.store(Arc::new(Health::Writable));
        }
    }

    /// Tries to write as much as one large commit takes, and takes it back.
    fn probe(&mut self) {
        if !matches!(**self.health.load(), Health::Unavailable(_)) {
            return;
        }
        let attempt = self
            .db
            .execute_batch("BEGIN IMMEDIATE; UPDATE head SET next = next; COMMIT;")
            .map_err(|error| classify(&error));
        match attempt {
            Ok(()) => self.note_success(),
            Err(error) => self.note_failure(&error),
        }
    }
}

/// Requests that share one commit.
#[derive(Default)]
struct Group {
    by_topic: BTreeMap<Topic, Vec<Record>>,
    cursors: Vec<(String, i64)>,
    waiting: Vec<oneshot::Sender<Result<(), LogError>>>,
    records: usize,
    bytes: usize,
}

impl Group {
    fn is_full(&self) -> bool {
        self.records >= MOST_RECORDS || self.bytes >= MOST_BYTES
    }

    fn add(
        &mut self,
        records: Vec<Record>,
        cursor: Option<(String, i64)>,
        done: oneshot::Sender<Result<(), LogError>>,
    ) {
        self.records += records.len();
        for record in records {
            self.bytes += record.data.len();
            self.by_topic.entry(record.topic).or_default().push(record);
        }
        self.cursors.extend(cursor);
        self.waiting.push(done);
    }

    fn answer(self, result: &Result<(), LogError>) {
        for done in self.waiting {
            // Who asked may be gone: then nobody was told, and a repeat is the same record.
            drop(done.send(result.clone()));
        }
    }
}

/// Writes one row a topic and returns the offset of the first record.
fn insert(transaction: &Transaction<'_>, group: &Group, at: i64) -> Result<i64, LogError> {
    let failed = |error: rusqlite::Error| classify(&error);
    let base: i64 = transaction
        .prepare_cached("SELECT next FROM head")
        .and_then(|mut head| head.query_row([], |row| row.get(0)))
        .map_err(failed)?;
    let mut next = base;
    for (topic, records) in &group.by_topic {
        // Bounded rows keep reading and rewriting bounded, however large one append is.
        for chunk in records.chunks(MOST_RECORDS) {
            next = insert_batch(
                transaction,
                Place {
                    base: next,
                    topic: *topic,
                    span: 0,
                    prev: 0,
                    at,
                },
                chunk,
            )?;
        }
    }
    transaction
        .prepare_cached("UPDATE head SET next = ?1")
        .and_then(|mut head| head.execute([next]))
        .map_err(failed)?;
    for (group, through) in &group.cursors {
        transaction
            .prepare_cached(
                "INSERT INTO cursors (name, next) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET next = max(next, excluded.next)",
            )
            .and_then(|mut cursor| cursor.execute(params![group, through]))
            .map_err(failed)?;
    }
    Ok(base)
}

fn insert_batch(
    transaction: &Transaction<'_>,
    place: Place,
    records: &[Record],
) -> Result<i64, LogError> {
    let failed = |error: rusqlite::Error| classify(&error);
    let prev: Option<i64> = transaction
        .prepare_cached("SELECT max(base) FROM batches WHERE topic = ?1")
        .and_then(|mut last| last.query_row([place.topic.name()], |row| row.get(0)))
        .map_err(failed)?;
    let span = i64::try_from(records.len()).unwrap_or(i64::MAX);
    let place = Place {
        span,
        prev: prev.unwrap_or(NO_BATCH),
        ..place
    };
    let numbered: Vec<(u32, &Record)> = (0..).zip(records).collect();
    let batch = StoredBatch::seal(place, &numbered)
        .map_err(|error| LogError::Failed(format!("a record cannot be encoded: {error}")))?;
    transaction
        .prepare_cached(
            "INSERT INTO batches (base, topic, span, prev, at, crc, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                batch.base,
                batch.topic,
                batch.span,
                batch.prev,
                batch.at,
                batch.crc,
                batch.body
            ])
        })
        .map_err(failed)?;
    Ok(batch.end())
}
