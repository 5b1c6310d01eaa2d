//! Which reports have to be made again, and because of which record.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};

use super::{ProjectionError, history::is_ambiguous, people::LastShown, robots};
use crate::{
    domain::{ChangeKind, Key, MembershipChange},
    log::Partition,
};

type Done = Result<(), ProjectionError>;

/// Where a record lies: its partition and the offset behind it.
pub(super) type Place = (Partition, u64);

/// The place of what this process has just put out: it makes no report stale.
pub(super) const OUR_OUTPUT: Place = (Partition::WHOLE, 0);

/// Whose reports have to be made.
pub(super) struct Touched {
    people: BTreeMap<(String, Partition), u64>,
    /// Projects with a key that may have taken the place of another.
    projects: BTreeMap<(String, String, Partition), u64>,
    /// Where the record lies that is being taken in.
    pub(super) cause: Place,
    /// How the last key's maker was shown, their row and their person.
    pub(super) maker: Option<(LastShown, (i64, String))>,
}

impl Default for Touched {
    fn default() -> Self {
        Self {
            people: BTreeMap::new(),
            projects: BTreeMap::new(),
            cause: OUR_OUTPUT,
            maker: None,
        }
    }
}

impl Touched {
    pub(super) fn insert(&mut self, person: String) {
        let (partition, next) = self.cause;
        let latest = self.people.entry((person, partition)).or_default();
        *latest = (*latest).max(next);
    }

    /// Remembers a key: reports of those who came back say what replaced their keys meanwhile.
    pub(super) fn insert_key(&mut self, key: &Key) {
        let (partition, next) = self.cause;
        let place = (key.provider.clone(), key.project.clone(), partition);
        let latest = self.projects.entry(place).or_default();
        *latest = (*latest).max(next);
    }

    /// Marks the changes of everybody touched.
    pub(super) fn mark(mut self, db: &Transaction<'_>) -> Done {
        let mut humans = Vec::new();
        for ((person, partition), next) in &self.people {
            let behind = robots::humans_behind(db, person)?;
            humans.extend(behind.into_iter().map(|human| ((human, *partition), *next)));
        }
        for (human, next) in humans {
            let latest = self.people.entry(human).or_default();
            *latest = next.max(*latest);
        }
        for ((person, partition), next) in self.people {
            db.prepare_cached(if is_ambiguous(db, &person)? {
                "INSERT INTO stale SELECT part, id, ?2, ?3 FROM changes WHERE person = ?1
                 OR person IN (SELECT name FROM ambiguous WHERE candidate = ?1)
                 OR person IN (SELECT candidate FROM ambiguous WHERE name = ?1)
                 ON CONFLICT DO UPDATE SET next = max(next, excluded.next)"
            } else {
                "INSERT INTO stale SELECT part, id, ?2, ?3 FROM changes WHERE person = ?1
                 ON CONFLICT DO UPDATE SET next = max(next, excluded.next)"
            })?
            .execute(params![person, partition.to_string(), next.cast_signed()])?;
        }
        for ((provider, project, partition), next) in self.projects {
            let (partition, next) = (partition.to_string(), next.cast_signed());
            db.prepare_cached(
                "INSERT INTO stale SELECT changes.part, changes.id, ?3, ?4
                 FROM places JOIN changes ON changes.id = places.change
                 WHERE places.provider = ?1 AND places.project = ?2
                 AND json_extract(changes.body, '$.change') IN ('joined', 'reinstated')
                 ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
            )?
            .execute(params![provider, project, partition, next])?;
        }
        Ok(())
    }
}

/// Marks the changes of whoever made a key that we read `provider` with now and did not at the
/// last snapshot, or the other way round.
pub(super) fn touch_makers(
    db: &Transaction<'_>,
    touched: &mut Touched,
    provider: &str,
    keys: &[&String],
) -> Done {
    let mut makers = db.prepare_cached(
        "SELECT DISTINCT accounts.person FROM keys
         JOIN key_holders ON key_holders.key = keys.id
         JOIN accounts ON accounts.id = key_holders.account
         WHERE keys.provider = ?1 AND keys.key = ?2",
    )?;
    for key in keys {
        let mut rows = makers.query([provider, key.as_str()])?;
        while let Some(row) = rows.next()? {
            touched.insert(row.get(0)?);
        }
    }
    Ok(())
}

/// Marks one change.
pub(super) fn touch_change(db: &Transaction<'_>, (partition, next): Place, change: &str) -> Done {
    db.prepare_cached(
        "INSERT INTO stale SELECT part, id, ?2, ?3 FROM changes WHERE id = ?1
         ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
    )?
    .execute(params![change, partition.to_string(), next.cast_signed()])?;
    Ok(())
}

/// Marks the changes that take effect at `from` or later, and before `to`.
pub(super) fn touch_range(
    db: &Transaction<'_>,
    (partition, next): Place,
    (from, to): (jiff::Timestamp, jiff::Timestamp),
) -> Done {
    db.prepare_cached(
        "INSERT INTO stale SELECT part, id, ?3, ?4 FROM changes
         WHERE effective_at >= ?1 AND effective_at < ?2
         ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
    )?
    .execute(params![
        from.as_microsecond(),
        to.as_microsecond(),
        partition.to_string(),
        next.cast_signed()
    ])?;
    Ok(())
}

/// Marks the reports in which `person` takes keys over, or would if they did not leave.
pub(super) fn touch_taken_over(
    db: &Transaction<'_>,
    cause: Place,
    change: &MembershipChange,
    person: &str,
) -> Done {
    let since = match change.change {
        ChangeKind::Removed | ChangeKind::Suspended => change.effective_at,
        // What it undoes may be older than everything known.
        ChangeKind::Joined
        | ChangeKind::Reinstated
        | ChangeKind::LeaveScheduled
        | ChangeKind::LeaveCancelled => jiff::Timestamp::MIN,
        ChangeKind::RoleChanged | ChangeKind::Renamed => return Ok(()),
    };
    touch_led_by(db, cause, person, since.as_microsecond())
}

/// Marks the reports, whose changes took effect at `since` (microseconds) or later, about keys of
/// the projects in which `person` can take keys over.
pub(super) fn touch_led_by(db: &Transaction<'_>, cause: Place, person: &str, since: i64) -> Done {
    let mut places = db.prepare_cached(
        "SELECT members.provider, members.project FROM accounts
         JOIN members ON members.provider = accounts.system AND members.account = accounts.account
         WHERE accounts.person = ?1 AND members.leads",
    )?;
    let mut rows = places.query([person])?;
    while let Some(row) = rows.next()? {
        let (provider, project): (String, String) = (row.get(0)?, row.get(1)?);
        touch_project(db, cause, (&provider, &project), since)?;
    }
    Ok(())
}

/// Marks the reports about keys of a project whose changes took effect at `since` (microseconds) or
/// later.
pub(super) fn touch_project(
    db: &Transaction<'_>,
    (partition, next): Place,
    (provider, project): (&str, &str),
    since: i64,
) -> Done {
    db.prepare_cached(
        "INSERT INTO stale
         SELECT changes.part, changes.id, ?4, ?5
         FROM places JOIN changes ON changes.id = places.change
         WHERE places.provider = ?1 AND places.project = ?2 AND changes.effective_at >= ?3
         ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
    )?
    .execute(params![
        provider,
        project,
        since,
        partition.to_string(),
        next.cast_signed()
    ])?;
    Ok(())
}
