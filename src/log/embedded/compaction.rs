//! Compaction: of the records with one key only the newest stays. Offsets never change.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tokio::sync::mpsc;

use super::{
    batch::{COLUMNS, Place, StoredBatch},
    connection::{classify, cursor},
    maintenance::perform,
    writer::Job,
};
use crate::{
    domain::{Record, Topic},
    log::LogError,
};

/// Fewer new records than this are not worth reading the topic.
const FEW_RECORDS: i64 = 10_000;
/// How many rows are rewritten between two commits.
const ROWS_A_STEP: usize = 64;

/// The dead records of one row, by offset.
type DeadInRow = (i64, BTreeSet<u64>);

/// Compacts `topic` when at least half of it may be dead.
pub(super) fn compact(
    reader: &Connection,
    jobs: &mpsc::Sender<Job>,
    topic: Topic,
) -> Result<(), LogError> {
    let (done_mark, live_mark) = (format!("compacted:{topic}"), format!("live:{topic}"));
    let (done, live) = (cursor(reader, &done_mark)?, cursor(reader, &live_mark)?);
    let (new, end) = reader
        .query_row(
            "SELECT coalesce(sum(span), 0), coalesce(max(base + span), 0) FROM batches
             WHERE topic = ?1 AND base >= ?2",
            (topic.name(), done),
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
        )
        .map_err(|error| classify(&error))?;
    if new < FEW_RECORDS.max(live) {
        return Ok(());
    }
    let live = note_newest(reader, topic, end)?;
    for step in dead_records(reader, topic, end)?.chunks(ROWS_A_STEP) {
        let step = step.to_vec();
        perform(jobs, move |db| rewrite(db, &step))?;
    }
    perform(jobs, move |db| {
        for (mark, value) in [(done_mark, end), (live_mark, live)] {
            db.execute(
                "INSERT OR REPLACE INTO cursors (name, next) VALUES (?1, ?2)",
                (mark, value),
            )
            .map_err(|error| classify(&error))?;
        }
        Ok(())
    })?;
    tracing::info!(%topic, live, "compacted");
    Ok(())
}

/// Notes, on disk and not in memory, the newest offset of every key; returns how many there are.
fn note_newest(reader: &Connection, topic: Topic, end: i64) -> Result<i64, LogError> {
    let failed = |error: rusqlite::Error| classify(&error);
    reader
        .execute_batch(
            "PRAGMA temp_store = FILE; DROP TABLE IF EXISTS temp.newest;
             CREATE TEMP TABLE newest (key TEXT PRIMARY KEY, at INTEGER) WITHOUT ROWID;",
        )
        .map_err(failed)?;
    let mut note = reader
        .prepare("INSERT OR REPLACE INTO temp.newest (key, at) VALUES (?1, ?2)")
        .map_err(failed)?;
    for_each_row(reader, topic, end, |batch| {
        for entry in batch.open()? {
            note.execute(params![entry.record.key, entry.offset.cast_signed()])
                .map_err(failed)?;
        }
        Ok(())
    })?;
    reader
        .query_row("SELECT count(*) FROM temp.newest", [], |row| row.get(0))
        .map_err(failed)
}

fn dead_records(reader: &Connection, topic: Topic, end: i64) -> Result<Vec<DeadInRow>, LogError> {
    let failed = |error: rusqlite::Error| classify(&error);
    let mut newest = reader
        .prepare("SELECT at FROM temp.newest WHERE key = ?1")
        .map_err(failed)?;
    let mut all = Vec::new();
    for_each_row(reader, topic, end, |batch| {
        let mut dead = BTreeSet::new();
        for entry in batch.open()? {
            let at: i64 = newest
                .query_row([&entry.record.key], |row| row.get(0))
                .map_err(failed)?;
            if at != entry.offset.cast_signed() {
                dead.insert(entry.offset);
            }
        }
        if !dead.is_empty() {
            all.push((batch.base, dead));
        }
        Ok(())
    })?;
    Ok(all)
}

fn for_each_row(
    reader: &Connection,
    topic: Topic,
    end: i64,
    mut work: impl FnMut(&StoredBatch) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let failed = |error: rusqlite::Error| classify(&error);
    let sql = format!("SELECT {COLUMNS} FROM batches WHERE topic = ?1 AND base < ?2 ORDER BY base");
    let mut statement = reader.prepare(&sql).map_err(failed)?;
    let rows = statement
        .query_map((topic.name(), end), StoredBatch::from_row)
        .map_err(failed)?;
    for row in rows {
        work(&row.map_err(failed)?)?;
    }
    Ok(())
}

fn rewrite(db: &mut Connection, step: &[DeadInRow]) -> Result<(), LogError> {
    let failed = |error: rusqlite::Error| classify(&error);
    let transaction = db.transaction().map_err(failed)?;
    for (base, dead) in step {
        let Some(batch) = row_at(&transaction, *base)? else {
            continue;
        };
        let records: Vec<(u32, Record)> = batch
            .open()?
            .into_iter()
            .filter(|entry| !dead.contains(&entry.offset))
            .map(|entry| {
                let distance = entry.offset - batch.base.cast_unsigned();
                (u32::try_from(distance).unwrap_or(u32::MAX), entry.record)
            })
            .collect();
        if records.is_empty() {
            unlink(&transaction, &batch)?;
        } else {
            replace(&transaction, &batch, batch.prev, &records)?;
        }
    }
    transaction.commit().map_err(failed)
}

/// Deletes an empty row, and has its successor name its predecessor.
fn unlink(transaction: &Transaction<'_>, batch: &StoredBatch) -> Result<(), LogError> {
    let failed = |error: rusqlite::Error| classify(&error);
    let next: Option<i64> = transaction
        .query_row(
            "SELECT min(base) FROM batches WHERE topic = ?1 AND base > ?2",
            (&batch.topic, batch.base),
            |row| row.get(0),
        )
        .map_err(failed)?;
    let Some(next) = next else { return Ok(()) };
    if let Some(successor) = row_at(transaction, next)? {
        let records: Vec<(u32, Record)> = successor
            .open()?
            .into_iter()
            .map(|entry| {
                let distance = entry.offset - successor.base.cast_unsigned();
                (u32::try_from(distance).unwrap_or(u32::MAX), entry.record)
            })
            .collect();
        replace(transaction, &successor, batch.prev, &records)?;
    }
    transaction
        .execute("DELETE FROM batches WHERE base = ?1", [batch.base])
        .map_err(failed)?;
    Ok(())
}

fn replace(
    transaction: &Transaction<'_>,
    old: &StoredBatch,
    prev: i64,
    records: &[(u32, Record)],
) -> Result<(), LogError> {
    let topic = old.topic.parse().map_err(LogError::Corrupt)?;
    let place = Place {
        base: old.base,
        topic,
        span: old.span,
        prev,
        at: old.at,
    };
    let records: Vec<(u32, &Record)> = records
        .iter()
        .map(|(distance, record)| (*distance, record))
        .collect();
    let new = StoredBatch::seal(place, &records)
        .map_err(|error| LogError::Failed(format!("a record cannot be encoded: {error}")))?;
    transaction
        .execute(
            "UPDATE batches SET prev = ?2, crc = ?3, body = ?4 WHERE base = ?1",
            params![new.base, new.prev, new.crc, new.body],
        )
        .map(drop)
        .map_err(|error| classify(&error))
}

fn row_at(transaction: &Transaction<'_>, base: i64) -> Result<Option<StoredBatch>, LogError> {
    transaction
        .query_row(
            &format!("SELECT {COLUMNS} FROM batches WHERE base = ?1"),
            [base],
            StoredBatch::from_row,
        )
        .optional()
        .map_err(|error| classify(&error))
}
