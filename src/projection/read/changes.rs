//! Questions about changes, and what was said of them.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{ProjectionError, Reader, bodies};
use crate::{correlation::Published, domain::MembershipChange, projection::history::published};

impl Reader<'_> {
    /// Every known change of one person.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn changes_of(&self, person: &str) -> Result<Vec<MembershipChange>, ProjectionError> {
        let sql = "SELECT body FROM changes WHERE person = ?1 ORDER BY id";
        bodies(self.0, sql, [person])
    }

    /// The ids of the changes that take effect at `from` or later and before `to`, in that order.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn changes_between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<String>, ProjectionError> {
        let mut statement = self.0.prepare_cached(
            "SELECT id FROM changes WHERE effective_at >= ?1 AND effective_at < ?2
             ORDER BY effective_at, id",
        )?;
        let range = params![from.as_microsecond(), to.as_microsecond()];
        let rows = statement.query_map(range, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A change, and whose it is.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn change(&self, id: &str) -> Result<Option<(MembershipChange, String)>, ProjectionError> {
        let row: Option<(String, String)> = self
            .0
            .prepare_cached("SELECT body, person FROM changes WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        row.map(|(body, person)| Ok((serde_json::from_str(&body)?, person)))
            .transpose()
    }

    /// What was published of a change.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn published(&self, change: &str) -> Result<Published, ProjectionError> {
        published(self.0, change)
    }
}
