//! The file: opening it, and the few notes in it about itself.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig, params};
use sha2::{Digest, Sha256};

use super::{Lens, Projection, ProjectionError, SCHEMA, impacts, unsynced};

/// What the projection is built of; another one means that it has to be built anew.
pub(super) fn stamp(log: &str, lens: Lens<'_>) -> String {
    let mut hash = Sha256::new();
    hash.update(SCHEMA);
    hash.update(log);
    hash.update(format!(
        "{:?}{:?}",
        lens.policy.identities, lens.policy.providers
    ));
    hex::encode(hash.finalize())
}

/// Nothing: there is no projection there, or it cannot be used as it is.
pub(super) fn usable(path: &Path, stamp: &str) -> Result<Option<Connection>, ProjectionError> {
    if !path.exists() {
        return Ok(None);
    }
    let db = connect(path)?;
    if meta(&db, "stamp")?.as_deref() != Some(stamp) {
        tracing::info!("the projection is of another make; building it anew");
        return Ok(None);
    }
    if !unsynced::is_whole(&db)? {
        tracing::warn!("the machine went down while the projection was written; building it anew");
        return Ok(None);
    }
    Ok(Some(db))
}

/// Opens the file to write what is synced with every checkpoint.
pub(super) fn connect(path: &Path) -> Result<Connection, ProjectionError> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    // When the write-ahead log is this long (64 MiB), whoever writes does what is left of a
    // checkpoint, so that it starts anew.
    db.pragma_update(None, "wal_autocheckpoint", 16_384)?;
    db.pragma_update(None, "cache_size", -32_000)?;
    // What a question sorts is small.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    prepare(&db)?;
    Ok(db)
}

/// For those who write and those who read.
fn prepare(db: &Connection) -> rusqlite::Result<()> {
    impacts::teach(db)?;
    // A statement is planned when it is prepared, and not again for every other parameter.
    db.set_prepared_statement_cache_capacity(64);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
}

/// Opens the projection in `folder` to read, beside whoever writes it.
///
/// # Errors
/// [`ProjectionError`] when there is none.
pub fn open_reader(folder: &Path) -> Result<Connection, ProjectionError> {
    let path = Projection::file_in(folder);
    let absent = || {
        let reason = std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "there is none yet; start `offkey serve` first, or name the folder it uses",
        );
        ProjectionError::File {
            path: path.clone(),
            reason,
        }
    };
    if !path.exists() {
        return Err(absent());
    }
    let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(Duration::from_secs(5))?;
    prepare(&db)?;
    // The file is there a moment before what is in it.
    if db.table_exists(None, "meta")? {
        Ok(db)
    } else {
        Err(absent())
    }
}

pub(super) fn meta(db: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn put_meta(db: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value])
        .map(drop)
}
