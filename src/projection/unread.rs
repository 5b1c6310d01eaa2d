//! What this process said last and has not read back from the log.
//!
//! Of each partition the last outcome is enough: what brokers lose of it is its end.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};

use super::{Said, Waits};
use crate::{domain::Topic, log::Entry};

/// What an earlier process left.
pub(super) fn all(db: &Connection) -> rusqlite::Result<BTreeMap<u32, String>> {
    let mut rows = db.prepare_cached("SELECT part, id FROM unread")?;
    let found = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.collect()
}

/// The last outcome of each partition among what is `said` of the changes in `done`.
pub(super) fn latest(done: &[Waits], said: &[Said]) -> BTreeMap<u32, String> {
    let parts = done.iter().map(|one| (one.change, one.part));
    let parts: BTreeMap<_, _> = parts.collect();
    let outcomes = said.iter().filter_map(|one| {
        let part = parts.get(&one.report.as_ref()?.outcome.change_id)?;
        Some((*part, one.records.last()?.id.clone()))
    });
    outcomes.collect()
}

pub(super) fn note(db: &Transaction<'_>, latest: &BTreeMap<u32, String>) -> rusqlite::Result<()> {
    let mut put = db.prepare_cached("INSERT OR REPLACE INTO unread (part, id) VALUES (?1, ?2)")?;
    for (part, id) in latest {
        put.execute(params![part, id])?;
    }
    Ok(())
}

/// The partitions of which `entries` hold what is `unread`. The outcome of a change that lies in an
/// old partition may lie in one that was added since.
pub(crate) fn parts_read_back(unread: &BTreeMap<u32, String>, entries: &[Entry]) -> Vec<u32> {
    let outcomes = entries
        .iter()
        .filter(|entry| entry.record.topic == Topic::Outcomes);
    let found = outcomes.filter_map(|entry| {
        let mut parts = unread.iter();
        parts.find(|(_, id)| **id == entry.record.id)
    });
    found.map(|(part, _)| *part).collect()
}

pub(super) fn forget(db: &Transaction<'_>, parts: &[u32]) -> rusqlite::Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM unread WHERE part = ?1")?;
    for part in parts {
        delete.execute([part])?;
    }
    Ok(())
}
