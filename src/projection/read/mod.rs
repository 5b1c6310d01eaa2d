//! Questions to the projection.

mod changes;
pub mod people;
mod rules;

pub use self::rules::RuleRecord;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{
    ProjectionError,
    history::{bodies, of_person},
};
use crate::{
    correlation::PersonHistory,
    domain::{Impact, Key, Outcome, Project, Report, inventory::SnapshotSummary},
    log::Position,
};

const WAITING: &str = "SELECT (SELECT count(*) FROM stale)
    + (SELECT count(*) FROM snapshots LEFT JOIN looks USING (provider)
       WHERE looks.body IS NOT json_array(snapshots.body ->> '$.last_complete',
                                          snapshots.body ->> '$.finished_at'))";

/// Reads the projection beside whoever writes it.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a Connection);

impl<'a> Reader<'a> {
    /// A reader on an open projection.
    #[must_use]
    pub fn new(db: &'a Connection) -> Self {
        Self(db)
    }

    /// The same reader; from now on everything is answered as of one moment.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn as_of_now(self) -> Result<Self, ProjectionError> {
        self.0.execute_batch("BEGIN")?;
        // The moment is that of the first question.
        self.position()?;
        Ok(self)
    }

    /// Everybody whom an inventory knows, in order.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn people(&self) -> Result<Vec<String>, ProjectionError> {
        let mut statement = self.0.prepare_cached(
            "SELECT DISTINCT person FROM accounts WHERE in_inventory
             AND person NOT IN (SELECT name FROM ambiguous) ORDER BY person",
        )?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Everything known of one person.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn history(&self, person: &str) -> Result<PersonHistory, ProjectionError> {
        of_person(self.0, person)
    }

    /// Every key, ordered by provider, project and id.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn keys(&self) -> Result<Vec<Key>, ProjectionError> {
        bodies(
            self.0,
            "SELECT body FROM keys ORDER BY provider, project, key",
            [],
        )
    }

    /// Every project.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn projects(&self) -> Result<Vec<Project>, ProjectionError> {
        bodies(
            self.0,
            "SELECT body FROM projects ORDER BY provider, project",
            [],
        )
    }

    /// Every membership of `provider`, ordered by project and account.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn members_of(
        &self,
        provider: &str,
    ) -> Result<Vec<crate::domain::Member>, ProjectionError> {
        let sql = "SELECT body FROM members WHERE provider = ?1 ORDER BY project, account";
        bodies(self.0, sql, [provider])
    }

    /// Every key of `provider`, ordered by project and id.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn keys_of(&self, provider: &str) -> Result<Vec<Key>, ProjectionError> {
        let sql = "SELECT body FROM keys WHERE provider = ?1 ORDER BY project, key";
        bodies(self.0, sql, [provider])
    }

    /// One key of `provider`.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn key(
        &self,
        provider: &str,
        project: &str,
        key: &str,
    ) -> Result<Option<Key>, ProjectionError> {
        let sql = "SELECT body FROM keys WHERE provider = ?1 AND project = ?2 AND key = ?3";
        Ok(bodies(self.0, sql, [provider, project, key])?.pop())
    }

    /// At most `most` keys of `provider`, ordered by project and id, behind the one at `after`.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn keys_after(
        &self,
        provider: &str,
        after: Option<(&str, &str)>,
        most: u32,
    ) -> Result<Vec<Key>, ProjectionError> {
        let (project, key) = after.unwrap_or_default();
        bodies(
            self.0,
            "SELECT body FROM keys WHERE provider = ?1 AND (project, key) > (?2, ?3)
             ORDER BY project, key LIMIT ?4",
            rusqlite::params![provider, project, key, most],
        )
    }

    /// One membership at `provider`.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn member(
        &self,
        provider: &str,
        project: &str,
        account: &str,
    ) -> Result<Option<crate::domain::Member>, ProjectionError> {
        let sql = "SELECT body FROM members WHERE provider = ?1 AND project = ?2 AND account = ?3";
        Ok(bodies(self.0, sql, [provider, project, account])?.pop())
    }

    /// How far the log has been read.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn position(&self) -> Result<crate::log::Position, ProjectionError> {
        super::position(self.0)
    }

    /// The newest snapshot of `provider`.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn snapshot(&self, provider: &str) -> Result<Option<SnapshotSummary>, ProjectionError> {
        let sql = "SELECT body FROM snapshots WHERE provider = ?1";
        Ok(bodies(self.0, sql, [provider])?.pop())
    }

    /// The newest outcome and impacts of a change.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn report(&self, change: &str) -> Result<Option<Report>, ProjectionError> {
        let outcome: Option<Outcome> = bodies(
            self.0,
            "SELECT body FROM outcomes WHERE change = ?1",
            [change],
        )?
        .pop();
        let Some(outcome) = outcome else {
            return Ok(None);
        };
        let sql = "SELECT body FROM impact_bodies WHERE change = ?1 ORDER BY id";
        let impacts: Vec<Impact> = bodies(self.0, sql, [change])?;
        Ok(Some(Report { outcome, impacts }))
    }

    /// The newest revision of the impacts whose id begins with `id`, two at most.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn impacts_named(&self, id: &str) -> Result<Vec<Impact>, ProjectionError> {
        let sql = "SELECT body FROM impact_bodies WHERE substr(id, 1, length(?1)) = lower(?1)
            ORDER BY id LIMIT 2";
        bodies(self.0, sql, [id])
    }

    /// The bodies in quarantine, as JSON.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn quarantine(&self) -> Result<Vec<serde_json::Value>, ProjectionError> {
        bodies(self.0, "SELECT body FROM quarantine ORDER BY id", [])
    }

    /// The dead letters that were not delivered since, as JSON.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn dead_letters(&self) -> Result<Vec<serde_json::Value>, ProjectionError> {
        let sql = "SELECT body FROM dead_letters d WHERE NOT EXISTS (
            SELECT 1 FROM deliveries s
            WHERE s.sink = d.sink AND s.event = d.event AND s.status = 'delivered')
            ORDER BY id";
        bodies(self.0, sql, [])
    }

    /// How many changes wait for their report, and looks at providers for being counted.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn waiting(&self) -> Result<u64, ProjectionError> {
        let count: Option<i64> = self.0.query_row(WAITING, [], |row| row.get(0)).optional()?;
        Ok(count.unwrap_or(0).cast_unsigned())
    }

    /// How many changes wait for their report, and when we heard of the oldest; `settled` says of
    /// other processes' partitions how far they have made theirs.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn unreported(
        &self,
        settled: &BTreeMap<u32, Position>,
    ) -> Result<(u64, Option<Timestamp>), ProjectionError> {
        let sql = "SELECT stale.part, change, cause, next, recorded_at FROM stale
                   JOIN changes ON changes.id = stale.change";
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let held: Option<Vec<u32>> = super::meta(self.0, super::HELD)?
            .map(|held| serde_json::from_str(&held))
            .transpose()?;
        let mut waiting: BTreeMap<String, i64> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (part, cause, next): (u32, String, i64) = (row.get(0)?, row.get(2)?, row.get(3)?);
            let is_done = match cause.parse() {
                Ok(cause) => settled
                    .get(&part)
                    .is_some_and(|done| done.next_in(cause) >= next.cast_unsigned()),
                // Looks count where the change is judged; what we waited for when we judged it is
                // another's now.
                Err(_) => held.as_ref().is_some_and(|held| !held.contains(&part)),
            };
            if !is_done {
                waiting.insert(row.get(1)?, row.get(4)?);
            }
        }
        let oldest = waiting.values().min().copied();
        let oldest = oldest.and_then(|at| Timestamp::from_microsecond(at).ok());
        Ok((u64::try_from(waiting.len()).unwrap_or(u64::MAX), oldest))
    }

    /// Every row of every table that is content, as text: two projections of the same log are
    /// equal in it.
    ///
    /// # Errors
    /// [`ProjectionError`] when the projection cannot be read.
    pub fn dump(&self) -> Result<String, ProjectionError> {
        const CONTENT: [&str; 18] = [
            "SELECT system, account, person, name, named_at, in_inventory FROM accounts",
            "SELECT a.system, a.account, s.email, s.told, s.at, s.since_before
             FROM account_sightings s JOIN accounts a ON a.id = s.account",
            "SELECT email, since, until, person FROM addresses",
            "SELECT * FROM decisions",
            "SELECT * FROM projects",
            "SELECT * FROM members",
            "SELECT provider, project, key, body FROM keys",
            "SELECT a.system, a.account, k.provider, k.project, k.key FROM key_holders h
             JOIN accounts a ON a.id = h.account JOIN keys k ON k.id = h.key",
            "SELECT * FROM snapshots",
            "SELECT id, person, recorded_at, partition_key, email, formerly, body FROM changes",
            "SELECT * FROM previews",
            "SELECT * FROM outcomes",
            "SELECT change, id, revision, body FROM impact_bodies",
            "SELECT * FROM places",
            "SELECT * FROM passed",
            "SELECT * FROM reminders",
            "SELECT * FROM deliveries",
            "SELECT id, body FROM quarantine UNION ALL SELECT id, body FROM dead_letters",
        ];
        let mut dump = String::new();
        for sql in CONTENT {
            let mut statement = self.0.prepare(sql)?;
            let columns = statement.column_count();
            let mut rows = statement.query([])?;
            let mut lines = Vec::new();
            while let Some(row) = rows.next()? {
                let values: Vec<rusqlite::types::Value> = (0..columns)
                    .map(|column| row.get(column))
                    .collect::<Result<_, _>>()?;
                lines.push(format!("{values:?}"));
            }
            lines.sort();
            dump.extend([sql, "\n", &lines.join("\n"), "\n"]);
        }
        Ok(dump)
    }
}
