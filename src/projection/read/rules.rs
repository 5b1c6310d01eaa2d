//! How often the rules of the catalogue came true.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ProjectionError, Reader};

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
        let mut rows = self.0.prepare_cached(
            "SELECT body ->> '$.rule.rule', body ->> '$.status', count(*) FROM impact_bodies
             WHERE body ->> '$.status' = 'unverifiable'
                OR (body ->> '$.observed.tests_rule'
                    AND body ->> '$.status' IN ('confirmed', 'still_alive', 'died_unexpectedly'))
             GROUP BY 1, 2",
        )?;
        let mut found = rows.query([])?;
        let mut records: BTreeMap<String, RuleRecord> = BTreeMap::new();
        while let Some(row) = found.next()? {
            let count = row.get::<_, i64>(2)?.cast_unsigned();
            let record = records.entry(row.get(0)?).or_default();
            match row.get::<_, String>(1)?.as_str() {
                "confirmed" => record.confirmed += count,
                "unverifiable" => record.unverifiable += count,
                _ => record.contradicted += count,
            }
        }
        Ok(records)
    }
}
