//! What time and looks at providers bring: moments that fall due, and how far providers were read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Projection, ProjectionError, put_meta};
use crate::{
    correlation::{Awaited, PersonHistory, Policy, ownership::Look},
    domain::{ChangeId, MembershipChange, Record, passed::Passed, reminder::Reminder},
};

type Done = Result<(), ProjectionError>;

/// The most changes that are judged at once because something fell due: they must not keep new ones
/// waiting.
pub(super) const MOST_DUE: u32 = 100;

/// What a judged change waits for.
#[derive(Debug, Clone)]
pub struct Waits {
    /// The number of the partition the change lies in.
    pub part: u32,
    /// Which change.
    pub change: ChangeId,
    /// When something falls due next.
    pub due: Option<Timestamp>,
    /// What else makes its report another one.
    pub awaited: Awaited,
}

impl Projection {
    /// Whether a look at a provider was read that counts for nothing yet.
    ///
    /// # Errors
    /// [`ProjectionError`] when the file cannot be read.
    pub fn has_new_looks(&self) -> Result<bool, ProjectionError> {
        let mut new = self.db.prepare_cached(
            "SELECT 1 FROM snapshots LEFT JOIN looks USING (provider)
             WHERE looks.body IS NULL
                OR looks.body <> json_array(snapshots.body ->> '$.last_complete',
                                            snapshots.body ->> '$.finished_at')",
        )?;
        Ok(new.exists([])?)
    }

    /// Lets every look count that was read, and judges again what waited for one. Call it when
    /// everything is read that the log held when the look was.
    ///
    /// # Errors
    /// [`ProjectionError`]; then nothing was noted.
    pub fn take_looks(&mut self) -> Done {
        let transaction = self.db.transaction()?;
        let looks: Vec<(String, String)> = transaction
            .prepare_cached(
                "SELECT provider, json_array(body ->> '$.last_complete', body ->> '$.finished_at')
                 FROM snapshots",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (provider, body) in looks {
            let news = transaction
                .prepare_cached(
                    "INSERT INTO looks (provider, body) VALUES (?1, ?2)
                     ON CONFLICT (provider) DO UPDATE SET body = excluded.body
                     WHERE looks.body <> excluded.body",
                )?
                .execute([&provider, &body])?;
            if news > 0 {
                transaction
                    .prepare_cached(
                        "INSERT OR IGNORE INTO stale (part, change, cause, next)
                         SELECT part, change, 'look', 0 FROM awaited_looks WHERE provider = ?1",
                    )?
                    .execute([&provider])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// When something falls due next in `parts`.
    ///
    /// # Errors
    /// [`ProjectionError`] when the file cannot be read.
    pub fn next_due(&self, parts: &[u32]) -> Result<Option<Timestamp>, ProjectionError> {
        let sql = "SELECT min(at) FROM due WHERE part = ?1";
        let mut first = self.db.prepare_cached(sql)?;
        let mut soonest: Option<i64> = None;
        for part in parts {
            let at: Option<i64> = first.query_row([part], |row| row.get(0))?;
            soonest = soonest.into_iter().chain(at).min();
        }
        Ok(soonest.map(|at| Timestamp::from_microsecond(at).unwrap_or(Timestamp::MIN)))
    }

    /// Everything that waits is looked at again when `policy` says otherwise than before when what
    /// falls due.
    pub(super) fn heed(&self, policy: &Policy) -> Done {
        let now = format!("{:?}{:?}", policy.reminders, policy.verify_within);
        if super::meta(&self.db, "schedule")?.as_ref() != Some(&now) {
            self.db.execute("UPDATE due SET at = 0", [])?;
            put_meta(&self.db, "schedule", &now)?;
        }
        Ok(())
    }
}

/// Notes what a judged change waits for, in place of what it waited for before.
pub(super) fn note(db: &Transaction<'_>, waits: &Waits) -> Done {
    let change = waits.change.to_string();
    match waits.due {
        Some(at) => db
            .prepare_cached("INSERT OR REPLACE INTO due (part, change, at) VALUES (?1, ?2, ?3)")?
            .execute(params![waits.part, change, at.as_microsecond()])?,
        None => db
            .prepare_cached("DELETE FROM due WHERE part = ?1 AND change = ?2")?
            .execute(params![waits.part, change])?,
    };
    db.prepare_cached("DELETE FROM awaited_looks WHERE part = ?1 AND change = ?2")?
        .execute(params![waits.part, change])?;
    for provider in &waits.awaited.looks {
        db.prepare_cached(
            "INSERT INTO awaited_looks (part, change, provider) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![waits.part, change, provider])?;
    }
    Ok(())
}

/// Notes that somebody has to find out what `change`, which another process judged, waits for.
pub(super) fn find_out(db: &Transaction<'_>, change: &str) -> Done {
    db.prepare_cached(
        "INSERT OR IGNORE INTO due (part, change, at)
         SELECT part, id, 0 FROM changes WHERE id = ?1
         AND EXISTS (SELECT 1 FROM impacts WHERE change = ?1)",
    )?
    .execute([change])?;
    Ok(())
}

/// Takes in that a moment has passed; the change it is about.
pub(super) fn pass(db: &Transaction<'_>, record: &Record) -> Result<String, ProjectionError> {
    let passed: Passed = record.read()?;
    let change = passed.change_id.to_string();
    db.prepare_cached(
        "INSERT INTO passed (change, at) VALUES (?1, ?2)
         ON CONFLICT (change) DO UPDATE SET at = max(at, excluded.at)",
    )?
    .execute(params![change, passed.at.as_microsecond()])?;
    Ok(change)
}

/// Takes in that somebody was reminded.
pub(super) fn remind(db: &Transaction<'_>, record: &Record) -> Done {
    let reminder: Reminder = record.read()?;
    db.prepare_cached(
        "INSERT INTO reminders (change, act_by, due_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (change, act_by) DO UPDATE SET due_at = max(due_at, excluded.due_at)",
    )?
    .execute(params![
        reminder.change_id.to_string(),
        reminder.act_by.as_microsecond(),
        reminder.due_at.as_microsecond()
    ])?;
    Ok(())
}

/// Of each deadline of a change, when the latest reminder that was given was due.
pub(super) fn given(
    db: &Connection,
    change: &str,
) -> Result<BTreeMap<Timestamp, Timestamp>, ProjectionError> {
    let mut rows = db.prepare_cached("SELECT act_by, due_at FROM reminders WHERE change = ?1")?;
    let found = rows.query_map([change], |row| {
        Ok((moment(row.get(0)?), moment(row.get(1)?)))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Adds the person's changes, when they were heard of, and up to when time has passed for them.
pub(super) fn add_changes(db: &Connection, history: &mut PersonHistory) -> Done {
    let mut rows = db.prepare_cached(
        "SELECT changes.body, changes.recorded_at, passed.at FROM changes
         LEFT JOIN passed ON passed.change = changes.id WHERE changes.person = ?1
         ORDER BY changes.id",
    )?;
    let mut found = rows.query([&history.person])?;
    while let Some(row) = found.next()? {
        let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        let change: MembershipChange = serde_json::from_str(body)?;
        history.heard.insert(change.id, moment(row.get(1)?));
        if let Some(at) = row.get::<_, Option<i64>>(2)? {
            history.passed.insert(change.id, moment(at));
        }
        history.changes.push(change);
    }
    Ok(())
}

/// Adds how far `provider` was looked at.
pub(super) fn add_look(db: &Connection, provider: &str, history: &mut PersonHistory) -> Done {
    let body: Option<String> = db
        .prepare_cached("SELECT body FROM looks WHERE provider = ?1")?
        .query_row([provider], |row| row.get(0))
        .optional()?;
    if let Some(body) = body {
        let (complete, read_until) = serde_json::from_str(&body)?;
        let look = Look {
            complete,
            read_until,
        };
        history.looks.insert(provider.to_owned(), look);
    }
    Ok(())
}

fn moment(at: i64) -> Timestamp {
    Timestamp::from_microsecond(at).unwrap_or_default()
}
