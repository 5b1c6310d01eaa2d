//! How often the rules of the catalogue came true.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ProjectionError, Reader};
use crate::domain::{Impact, Status};

/// What was seen of the predictions that cite one rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RuleRecord {
    /// How often a key met the fate that the rule says.
    pub confirmed: u64,
    /// How often it met another one.
    pub contradicted: u64,
    /// How often nobody could tell.
    pub unverifiable: u64,
}

impl Reader<'_> {
    /// The record of every rule whose predictions were checked. What says something of one key
    /// only, as one that somebody ended by hand, does not count.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn rule_records(&self) -> Result<BTreeMap<String, RuleRecord>, ProjectionError> {
        // One after the other: there can be millions.
        let mut bodies = self.0.prepare_cached("SELECT body FROM impact_bodies")?;
        let mut rows = bodies.query([])?;
        let mut records: BTreeMap<String, RuleRecord> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            let impact: Impact = serde_json::from_str(body)?;
            let tests_rule = impact.observed.is_some_and(|seen| seen.tests_rule);
            let count: fn(&mut RuleRecord) -> &mut u64 = match impact.status {
                Status::Unverifiable => |record| &mut record.unverifiable,
                Status::Confirmed if tests_rule => |record| &mut record.confirmed,
                Status::StillAlive | Status::DiedUnexpectedly if tests_rule => {
                    |record| &mut record.contradicted
                }
                _ => continue,
            };
            let rule = impact.rule.rule.clone();
            *count(records.entry(rule).or_default()) += 1;
        }
        Ok(records)
    }
}
