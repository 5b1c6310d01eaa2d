//! Questions about people and their accounts.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{ProjectionError, Reader, bodies};
use crate::{
    correlation::{
        identity::{Identities, person_of},
        people::Whose,
    },
    domain::{
        Email,
        decision::{Anchor, PeopleDecision},
    },
    projection::robots,
};

/// One thing that says who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// An account, an address or a decision.
    pub what: String,
    /// What is known of it.
    pub fact: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Reader<'_> {
    /// At most `most` of everybody whom an inventory knows, in order, behind `after`.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn people_after(&self, after: &str, most: usize) -> Result<Vec<String>, ProjectionError> {
        let mut statement = self.0.prepare_cached(
            "SELECT DISTINCT person FROM accounts WHERE person > ?1 AND in_inventory
             AND person NOT IN (SELECT name FROM ambiguous)
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

    /// To whom an address leads at `at`, by the one name; that of several where nobody knows whom.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn whose_address(
        &self,
        email: &Email,
        at: Timestamp,
        identities: &Identities,
    ) -> Result<String, ProjectionError> {
        let spelled = identities.rules.spell(email);
        let mut statement = self.0.prepare_cached(
            "SELECT until, person FROM addresses WHERE email = ?1 AND since <= ?2
             ORDER BY since, person",
        )?;
        let at = at.as_microsecond();
        let rows = statement.query_map(params![spelled.as_str(), at], |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, String>(1)?))
        })?;
        let begun: Vec<(Option<i64>, String)> = rows.collect::<Result<_, _>>()?;
        let holds = |until: &Option<i64>| until.is_none_or(|until| until > at);
        let held: Vec<String> = begun
            .iter()
            .filter(|(until, _)| holds(until))
            .map(|(_, person)| person.clone())
            .collect();
        Ok(match (held.is_empty(), begun.last()) {
            (false, _) => Whose::of(held).name(),
            (true, Some((_, last))) => last.clone(),
            (true, None) => person_of(identities, "", None, Some(email)),
        })
    }

    /// Everybody to whom an account or an address leads, at any time.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn named(
        &self,
        anchor: &Anchor,
        identities: &Identities,
    ) -> Result<Vec<String>, ProjectionError> {
        robots::named(self.0, anchor, identities)
    }

    /// What says who `person` is.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn evidence(&self, person: &str) -> Result<Vec<Evidence>, ProjectionError> {
        // Of each kind the first words of the rows are the same, so one order holds for all.
        let mut statement = self.0.prepare_cached(
            "SELECT 'address ' || email, CASE WHEN until IS NULL THEN 'leads to them'
                 ELSE 'led to them' END, nullif(since, -9223372036854775808)
             FROM addresses WHERE person = ?1
             UNION ALL
             SELECT 'account ' || a.system || ':' || a.account,
                 CASE WHEN s.email = '' THEN 'shown without an address'
                     WHEN s.told THEN 'shown with ' || s.email
                     ELSE 'its id tells ' || s.email END,
                 nullif(s.at, 9223372036854775807)
             FROM accounts a JOIN account_sightings s ON s.account = a.id WHERE a.person = ?1
             UNION ALL
             SELECT coalesce('account ' || source || ':' || account, 'address ' || email),
                 count(*) || ' changes by ' || source
                     || coalesce(', with ' || group_concat(DISTINCT email), ''),
                 min(effective_at)
             FROM changes WHERE person = ?1 GROUP BY source, coalesce(account, ''),
                 CASE WHEN account IS NULL THEN email END
             ORDER BY 1, 3, 2",
        )?;
        let rows = statement.query_map([person], |row| {
            let since: Option<i64> = row.get(2)?;
            Ok(Evidence {
                what: row.get(0)?,
                fact: row.get(1)?,
                since: since.and_then(|at| Timestamp::from_microsecond(at).ok()),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What was decided about people and not taken back, oldest first.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn decisions(&self) -> Result<Vec<PeopleDecision>, ProjectionError> {
        let sql = "SELECT body FROM decisions WHERE NOT undone ORDER BY decided_at, key";
        bodies(self.0, sql, [])
    }

    /// The newest decision of the key, taken back or not.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn decision(&self, key: &str) -> Result<Option<PeopleDecision>, ProjectionError> {
        let sql = "SELECT body FROM decisions WHERE key = ?1";
        Ok(bodies(self.0, sql, [key])?.pop())
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
