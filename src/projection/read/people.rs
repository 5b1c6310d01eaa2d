//! Questions about people and their accounts.

use rusqlite::{OptionalExtension, params};

use super::{ProjectionError, Reader};

impl Reader<'_> {
    /// At most `most` of everybody whom an inventory knows, in order, behind `after`.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn people_after(&self, after: &str, most: usize) -> Result<Vec<String>, ProjectionError> {
        let mut statement = self.0.prepare_cached(
            "SELECT DISTINCT person FROM accounts WHERE person > ?1 AND in_inventory
             ORDER BY person LIMIT ?2",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![after, most], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whose account it is; nothing for one that nobody knows.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn person_behind(
        &self,
        system: &str,
        account: &str,
    ) -> Result<Option<String>, ProjectionError> {
        let sql = "SELECT person FROM accounts WHERE system = ?1 AND account = ?2";
        let mut statement = self.0.prepare_cached(sql)?;
        Ok(statement
            .query_row([system, account], |row| row.get(0))
            .optional()?)
    }

    /// Whether the person has, or had, a role that can take keys over.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn leads(&self, person: &str) -> Result<bool, ProjectionError> {
        let mut statement = self.0.prepare_cached(
            "SELECT 1 FROM accounts JOIN members
             ON members.provider = accounts.system AND members.account = accounts.account
             WHERE accounts.person = ?1 AND members.leads LIMIT 1",
        )?;
        Ok(statement.exists([person])?)
    }
}
