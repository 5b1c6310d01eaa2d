//! Whether the file is as it was written, although nothing of it is synced.
//!
//! A sync of this file makes the log's syncs wait behind it, and everything in it comes back from
//! the log. So it is synced when it is let go of, and until then it says during which run of the
//! machine it is written. A process that dies leaves it whole: the kernel has what was written.
//! Found by a later run of the machine, it may lack any of it, and is not believed.

use std::fs;

use rusqlite::{Connection, OptionalExtension};

use super::file::{meta, put_meta};

const RUN: &str = "written_in_run";

/// Whether nothing that was written to `db` can be missing.
pub(super) fn is_whole(db: &Connection) -> rusqlite::Result<bool> {
    let written = meta(db, RUN)?;
    Ok(written.is_none() || written == this_run())
}

/// Notes durably that `db` is written from now on. Returns the `synchronous` to write it with:
/// `NORMAL`, which never damages the file, where one run of the machine cannot be told from
/// another, or somebody's reading kept the note from getting there.
pub(super) fn begin(db: &Connection) -> rusqlite::Result<&'static str> {
    let Some(run) = this_run() else {
        return Ok("NORMAL");
    };
    db.pragma_update(None, "synchronous", "FULL")?;
    put_meta(db, RUN, &run)?;
    Ok(if checkpoint(db)? { "OFF" } else { "NORMAL" })
}

/// Syncs what was written, and then says so.
pub(super) fn end(db: &Connection) -> rusqlite::Result<()> {
    let Some(run) = meta(db, RUN)? else {
        return Ok(());
    };
    db.pragma_update(None, "synchronous", "FULL")?;
    // A checkpoint syncs only when it has something to bring, and then the whole file.
    put_meta(db, RUN, &run)?;
    if checkpoint(db)? {
        db.execute("DELETE FROM meta WHERE name = ?1", [RUN])?;
        checkpoint(db)?;
    }
    Ok(())
}

/// Brings the write-ahead log into the file and syncs it; false when somebody's reading hindered it.
fn checkpoint(db: &Connection) -> rusqlite::Result<bool> {
    let busy: Option<i64> = db
        .query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(0))
        .optional()?;
    Ok(busy == Some(0))
}

/// Linux names each run of the machine (`random(4)`).
fn this_run() -> Option<String> {
    let run = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(run.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{RUN, begin, end, is_whole, this_run};
    use crate::projection::file::{connect, meta, put_meta};

    fn file() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let db = connect(&folder.path().join("file.db")).unwrap();
        db.execute_batch("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)")
            .unwrap();
        (folder, db)
    }

    #[test]
    fn what_was_let_go_of_is_whole_in_every_later_run() {
        let (_folder, db) = file();
        begin(&db).unwrap();
        end(&db).unwrap();
        assert_eq!(meta(&db, RUN).unwrap(), None);
        assert!(is_whole(&db).unwrap());
    }

    #[test]
    fn what_a_process_left_is_whole_in_the_same_run_and_not_in_another() {
        let (folder, db) = file();
        let synchronous = begin(&db).unwrap();
        assert_eq!(synchronous, this_run().map_or("NORMAL", |_| "OFF"));
        let left = Connection::open(folder.path().join("file.db")).unwrap();
        assert!(is_whole(&left).unwrap());
        put_meta(&left, RUN, "an earlier run").unwrap();
        assert!(!is_whole(&left).unwrap());
    }

    #[test]
    fn beside_somebody_who_reads_every_checkpoint_is_synced() {
        let (folder, db) = file();
        let reader = Connection::open(folder.path().join("file.db")).unwrap();
        let reading = reader.unchecked_transaction().unwrap();
        assert_eq!(meta(&reading, "x").unwrap(), None);
        db.busy_timeout(std::time::Duration::ZERO).unwrap();
        assert_eq!(begin(&db).unwrap(), "NORMAL");
        end(&db).unwrap();
        assert!(meta(&db, RUN).unwrap().is_some());
        reading.finish().unwrap();
    }
}
