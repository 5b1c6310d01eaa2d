//! Opening the file, and what SQLite's errors mean for us.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, config::DbConfig};

use super::batch::NO_BATCH;
use crate::{domain::Topic, log::LogError};

const SCHEMA: &str = include_str!("schema.sql");
/// `PRAGMA user_version` of the schema above.
const VERSION: i64 = 1;
/// How many rows at the end, of the log and of each topic, are checked at open.
const CHECKED_TAIL: i64 = 1000;

/// Opens the file to write, creating it when there is none.
pub(super) fn open_writer(file: &Path) -> Result<Connection, LogError> {
    let is_new = !file.exists();
    let db = Connection::open(file).map_err(|error| classify(&error))?;
    settle(&db, is_new).map_err(|error| classify(&error))?;
    if is_new {
        sync_folder(file)?;
    }
    let version: i64 = query(&db, "PRAGMA user_version")?;
    if version != VERSION {
        return Err(LogError::Corrupt(format!(
            "{} has layout {version}, this version reads {VERSION}; use the version that wrote it",
            file.display()
        )));
    }
    Ok(db)
}

/// Opens the file to read.
pub(super) fn open_reader(file: &Path) -> Result<Connection, LogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags).map_err(|error| classify(&error))?;
    plan_once(&db).map_err(|error| classify(&error))?;
    Ok(db)
}

/// Waits for others, and plans a statement when it is prepared, never again for another parameter.
fn plan_once(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(Duration::from_secs(5))?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
}

fn settle(db: &Connection, is_new: bool) -> rusqlite::Result<()> {
    plan_once(db)?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::InvalidParameterName(format!(
            "the file system does not allow a write-ahead log (journal mode {mode})"
        )));
    }
    // 2xx means durable: FULL syncs the write-ahead log at every commit, NORMAL would not.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "fullfsync", true)?;
    // Checkpoints happen off the commit path, see `maintenance`. The write-ahead log is never cut
    // short when it starts anew: disks that are told of freed blocks answer nobody meanwhile.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    if is_new {
        db.execute_batch(&format!(
            "BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
        let identity = uuid::Uuid::new_v4().to_string();
        db.execute(
            "INSERT INTO head (next, identity) VALUES (0, ?1)",
            [identity],
        )?;
    }
    Ok(())
}

/// Makes the new file's name durable.
fn sync_folder(file: &Path) -> Result<(), LogError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| LogError::Failed(format!("{}: {error}", folder.display())))
}

/// Refuses a log whose newest rows have a gap or lie beyond its head.
pub(super) fn check_tail(db: &Connection) -> Result<(), LogError> {
    // One transaction, so that what another process appends meanwhile is seen whole or not at all.
    let db = &db
        .unchecked_transaction()
        .map_err(|error| classify(&error))?;
    let next: i64 = query(db, "SELECT next FROM head")?;
    let end: Option<i64> = query(db, "SELECT max(base + span) FROM batches")?;
    if end.is_some_and(|end| end > next) {
        return Err(LogError::Corrupt(
            "rows lie beyond the head of the log".to_owned(),
        ));
    }
    check_index(db)?;
    for topic in Topic::ALL {
        check_chain(db, topic.name())?;
    }
    Ok(())
}

/// Readers find rows by their topic: what they would not find there would be passed over.
fn check_index(db: &Connection) -> Result<(), LogError> {
    let failed = |error: rusqlite::Error| classify(&error);
    let mut newest = db
        .prepare("SELECT topic, base FROM batches NOT INDEXED ORDER BY base DESC LIMIT ?1")
        .map_err(failed)?;
    let mut by_topic = db
        .prepare("SELECT 1 FROM batches INDEXED BY batches_by_topic WHERE topic = ?1 AND base = ?2")
        .map_err(failed)?;
    let mut rows = newest.query([CHECKED_TAIL]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let found: (String, i64) = row
            .get(0)
            .and_then(|topic| Ok((topic, row.get(1)?)))
            .map_err(failed)?;
        if !by_topic.exists((&found.0, found.1)).map_err(failed)? {
            return Err(LogError::Corrupt(format!(
                "the batch at offset {} is not found under its topic; restore it from a backup",
                found.1
            )));
        }
    }
    Ok(())
}

fn check_chain(db: &Connection, topic: &str) -> Result<(), LogError> {
    let failed = |error: rusqlite::Error| classify(&error);
    let mut newest = db
        .prepare("SELECT base, prev FROM batches WHERE topic = ?1 ORDER BY base DESC LIMIT ?2")
        .map_err(failed)?;
    let rows = newest
        .query_map((topic, CHECKED_TAIL), |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failed)?;
    let mut expected: Option<i64> = None;
    for row in rows {
        let (base, prev): (i64, i64) = row.map_err(failed)?;
        if expected.is_some_and(|expected| expected != base) {
            return Err(LogError::Corrupt(format!(
                "topic {topic} lacks the batch before offset {base}; restore it from a backup"
            )));
        }
        expected = (prev != NO_BATCH).then_some(prev);
    }
    Ok(())
}

/// The one value of a query.
pub(super) fn query<T: rusqlite::types::FromSql>(
    db: &Connection,
    sql: &str,
) -> Result<T, LogError> {
    db.query_row(sql, [], |row| row.get(0))
        .map_err(|error| classify(&error))
}

/// How far `group` has come.
pub(super) fn cursor(db: &Connection, group: &str) -> Result<i64, LogError> {
    db.query_row("SELECT next FROM cursors WHERE name = ?1", [group], |row| {
        row.get(0)
    })
    .optional()
    .map(|next| next.unwrap_or(0))
    .map_err(|error| classify(&error))
}

/// What an error of SQLite means for who waits.
///
/// A full disk can be emptied. After a failed write or sync the kernel may have dropped what it
/// could not write and say so only once, so nothing later can be believed until the file is
/// opened anew (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
pub(super) fn classify(error: &rusqlite::Error) -> LogError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LogError::Unavailable("the disk is full".to_owned()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            LogError::Unavailable("another process holds the log".to_owned())
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            LogError::Corrupt(error.to_string())
        }
        _ => LogError::Failed(error.to_string()),
    }
}

/// How many records of `topic` lie at `next` or behind it.
pub(super) fn behind(db: &Connection, topic: Topic, next: i64) -> Result<u64, LogError> {
    db.query_row(
        "SELECT coalesce(sum(min(span, base + span - ?2)), 0) FROM batches
         WHERE topic = ?1 AND base + span > ?2",
        (topic.name(), next),
        |row| row.get(0),
    )
    .map(i64::unsigned_abs)
    .map_err(|error| classify(&error))
}
