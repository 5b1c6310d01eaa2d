//! Reading: followers with a position of their own, and members of a group.

use std::{collections::VecDeque, time::Duration};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{mpsc, watch};

use super::{
    batch::{COLUMNS, StoredBatch},
    connection::{classify, cursor, query},
    recent::Recent,
    writer::Job,
};
use crate::{
    domain::{Record, Topic},
    log::{Batch, Entry, Follower, LogError, Member, Partition, Position, Share},
};

/// How often to look for what another process has appended.
const GLANCE: Duration = Duration::from_millis(250);
/// The most rows fetched at once.
const MOST_ROWS: usize = 64;

/// Reads the records of some topics in order of their offsets.
pub(super) struct Reader {
    db: Connection,
    topics: Vec<Topic>,
    /// Finds rows of these topics; their names are ours, not anybody's input.
    sql: String,
    /// The offset behind everything that is known to be there.
    known: i64,
    /// The offset from which rows were not fetched yet.
    fetched: i64,
    /// Records before this offset were given out.
    next: i64,
    /// Fetched and not given out.
    waiting: VecDeque<Entry>,
    recent: watch::Receiver<Recent>,
}

impl Reader {
    pub(super) fn new(
        db: Connection,
        topics: &[Topic],
        next: i64,
        recent: watch::Receiver<Recent>,
    ) -> Result<Self, LogError> {
        let names: Vec<_> = topics.iter().map(|topic| format!("'{topic}'")).collect();
        // With several topics the rows have to come in the order of the table: by the index they
        // would all be read and sorted, however few are wanted, hence the plus that hides it.
        let filter = match names.as_slice() {
            [one] => format!("topic = {one}"),
            several => format!("+topic IN ({})", several.join(", ")),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM batches
             WHERE base >= ?1 AND base < ?2 AND {filter} ORDER BY base LIMIT {MOST_ROWS}"
        );
        let mut reader = Self {
            known: query(&db, "SELECT next FROM head")?,
            db,
            topics: topics.to_vec(),
            sql,
            fetched: next,
            next,
            waiting: VecDeque::new(),
            recent,
        };
        reader.seek(next)?;
        Ok(reader)
    }

    /// Goes to `next`, which may lie within a row.
    fn seek(&mut self, next: i64) -> Result<(), LogError> {
        self.waiting.clear();
        self.next = next;
        self.fetched = self
            .db
            .query_row(
                "SELECT base, span FROM batches WHERE base <= ?1 ORDER BY base DESC LIMIT 1",
                [next],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
            )
            .optional()
            .map_err(|error| classify(&error))?
            .filter(|(base, span)| base + span > next)
            .map_or(next, |(base, _)| base);
        Ok(())
    }

    async fn next(&mut self, most: usize) -> Result<Batch, LogError> {
        loop {
            // Marked before looking, so that what is appended meanwhile wakes us.
            self.known = self.known.max(self.recent.borrow_and_update().end());
            if let Some(batch) = self.take(most)? {
                return Ok(batch);
            }
            match tokio::time::timeout(GLANCE, self.recent.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_closed)) => return Err(LogError::Closed),
                // Another process tells nobody.
                Err(_elapsed) => self.known = query(&self.db, "SELECT next FROM head")?,
            }
        }
    }

    /// What is there; nothing when the position does not move either.
    fn take(&mut self, most: usize) -> Result<Option<Batch>, LogError> {
        while self.waiting.len() < most && self.fetched < self.known {
            if !self.recall() {
                self.fetch(most)?;
            }
        }
        let count = most.min(self.waiting.len());
        let entries: Vec<Entry> = self.waiting.drain(..count).collect();
        let through = match (self.waiting.front(), entries.last()) {
            (None, _) => self.fetched.max(self.next),
            (Some(_), Some(last)) => last.offset.cast_signed() + 1,
            (Some(_), None) => self.next,
        };
        if through == self.next && entries.is_empty() {
            return Ok(None);
        }
        self.next = through;
        Ok(Some(Batch {
            entries,
            through: whole(through),
        }))
    }

    /// Takes a commit that is in memory still; false when it is not.
    fn recall(&mut self) -> bool {
        let Some(commit) = self.recent.borrow().holding(self.fetched) else {
            return false;
        };
        let from = self.fetched.max(self.next);
        self.waiting.extend(commit.entries(&self.topics, from));
        self.fetched = commit.end();
        true
    }

    /// Fetches rows of what is known until `most` records wait; moves `fetched` in any case.
    fn fetch(&mut self, most: usize) -> Result<(), LogError> {
        let failed = |error: rusqlite::Error| classify(&error);
        let mut statement = self.db.prepare_cached(&self.sql).map_err(failed)?;
        let rows = statement
            .query_map([self.fetched, self.known], StoredBatch::from_row)
            .map_err(failed)?;
        for (row, count) in rows.zip(1..) {
            let batch = row.map_err(failed)?;
            let next = self.next.cast_unsigned();
            let entries = batch.open()?.into_iter();
            self.waiting
                .extend(entries.filter(|entry| entry.offset >= next));
            self.fetched = batch.end();
            if count == MOST_ROWS || self.waiting.len() >= most {
                return Ok(());
            }
        }
        self.fetched = self.known;
        Ok(())
    }
}

/// A position in the one partition.
pub(super) fn whole(next: i64) -> Position {
    Position::from(vec![(Partition::WHOLE, next.cast_unsigned())])
}

pub(super) struct EmbeddedFollower(pub(super) Reader);

#[async_trait]
impl Follower for EmbeddedFollower {
    async fn next(&mut self, most: usize) -> Result<Batch, LogError> {
        self.0.next(most).await
    }
}

pub(super) struct EmbeddedMember {
    pub(super) reader: Reader,
    pub(super) group: String,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) share: Share,
}

#[async_trait]
impl Member for EmbeddedMember {
    fn share(&mut self) -> Share {
        self.share.clone()
    }

    /// There is nobody to share with.
    async fn moved(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn next(&mut self, most: usize) -> Result<Batch, LogError> {
        self.reader.next(most).await
    }

    async fn commit(&mut self, through: &Position, outputs: Vec<Record>) -> Result<(), LogError> {
        let next = through.next_in(Partition::WHOLE).cast_signed();
        let result = super::submit(&self.jobs, outputs, Some((self.group.clone(), next))).await;
        if result.is_err() {
            let committed = cursor(&self.reader.db, &self.group)?;
            self.reader.seek(committed)?;
        }
        result
    }
}
