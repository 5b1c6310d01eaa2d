//! Gathers what correlation needs to know of one person.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::de::DeserializeOwned;

use super::{
    ProjectionError, Stale, Waiting,
    awaited::{MOST_DUE, add_changes, add_look, given},
    robots,
};
use crate::{
    correlation::{
        PersonHistory, Published,
        ownership::{AccountName, Departure, Moment},
    },
    domain::{ChangeId, ChangeKind, Key, Member, MembershipChange, inventory::SnapshotSummary},
};

/// How many keys the people of the changes may have that are gathered at once. Three such steps are in
/// memory while much waits.
const MOST_KEYS: usize = 2500;

/// Stale changes in `parts`, and some for which something fell due up to `now`, with everything
/// their reports depend on.
pub(super) fn stale(
    db: &Connection,
    parts: &[u32],
    besides: &[ChangeId],
    most: usize,
    now: Timestamp,
) -> Result<Waiting, ProjectionError> {
    let parts = serde_json::to_string(parts)?;
    let besides = serde_json::to_string(besides)?;
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let rows: Vec<(String, String, String, String, u32)> = db
        .prepare_cached(
            "SELECT changes.id, changes.body, changes.partition_key, changes.person, due.part
             FROM (SELECT * FROM (SELECT DISTINCT part, change FROM stale
                   WHERE part IN (SELECT value FROM json_each(?1))
                   AND change NOT IN (SELECT value FROM json_each(?5)) LIMIT ?2)
                   UNION
                   SELECT * FROM (SELECT part, change FROM due
                   WHERE part IN (SELECT value FROM json_each(?1)) AND at <= ?3
                   AND change NOT IN (SELECT value FROM json_each(?5)) LIMIT ?4)) due
             JOIN changes ON changes.id = due.change",
        )?
        .query_map(
            params![parts, limit, now.as_microsecond(), MOST_DUE, besides],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            },
        )?
        .collect::<Result<_, _>>()?;
    // One person's changes come together more often than not.
    let mut known: BTreeMap<String, Arc<PersonHistory>> = BTreeMap::new();
    let mut is_all = rows.len() < most;
    let mut keys = 0;
    let mut all = Vec::with_capacity(rows.len());
    for (id, body, partition_key, person, part) in rows {
        let history = match known.get(&person) {
            Some(history) => history.clone(),
            None => {
                let history = Arc::new(of_person(db, &person)?);
                known.insert(person, history.clone());
                history
            }
        };
        keys += history.keys.len();
        if keys > MOST_KEYS && !all.is_empty() {
            is_all = false;
            break;
        }
        let change: MembershipChange = serde_json::from_str(&body)?;
        all.push(Stale {
            change,
            part,
            partition_key,
            history,
            published: published(db, &id)?,
            reminded: given(db, &id)?,
        });
    }
    Ok(Waiting { stale: all, is_all })
}

/// Everything known of `person`, who may be one of several.
pub(super) fn of_person(db: &Connection, person: &str) -> Result<PersonHistory, ProjectionError> {
    let mut history = PersonHistory {
        person: person.to_owned(),
        ..PersonHistory::default()
    };
    add_changes(db, &mut history)?;
    history.previews = bodies(
        db,
        "SELECT body FROM previews WHERE person = ?1 ORDER BY id",
        [person],
    )?;
    history.candidates = candidates(db, person)?;
    accounts(db, &mut history)?;
    robots::behind(db, &mut history)?;
    let mut known = BTreeSet::new();
    // A key can have gone from one account of theirs to another.
    if history.accounts.len() + history.behind.len() > 1 {
        let place = |key: &Key| (key.provider.clone(), key.project.clone(), key.id.clone());
        history.keys.retain(|key| known.insert(place(key)));
    }
    let places: BTreeSet<(String, String)> = history
        .keys
        .iter()
        .map(|key| (key.provider.clone(), key.project.clone()))
        .collect();
    own_keys(db, &places, &mut history)?;
    let since = lost_since(&history.changes);
    for (provider, project) in places {
        let place = params![provider, project];
        history.projects.extend(bodies(
            db,
            "SELECT body FROM projects WHERE provider = ?1 AND project = ?2",
            place,
        )?);
        history.members.extend(bodies::<Member>(
            db,
            "SELECT body FROM members WHERE provider = ?1 AND project = ?2
             AND (leads OR account IN
                 (SELECT account FROM accounts WHERE system = ?1 AND person = ?3))
             ORDER BY account",
            params![provider, project, person],
        )?);
        if let Some(since) = since {
            others(db, (&provider, &project), since, &mut history)?;
        }
        departures(db, (&provider, &project), &mut history)?;
    }
    robots::note(db, &mut history)?;
    Ok(history)
}

/// Who can be meant by a name; nobody, where it is one person's.
pub(super) fn candidates(db: &Connection, name: &str) -> Result<Vec<String>, ProjectionError> {
    let mut candidates =
        db.prepare_cached("SELECT candidate FROM ambiguous WHERE name = ?1 ORDER BY candidate")?;
    let rows = candidates.query_map([name], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether `name` can mean several people, or is one of those whom another can mean.
pub(super) fn is_ambiguous(db: &Connection, name: &str) -> Result<bool, ProjectionError> {
    let mut any = db.prepare_cached(
        "SELECT 1 FROM ambiguous WHERE name = ?1
         UNION ALL SELECT 1 FROM ambiguous WHERE candidate = ?1",
    )?;
    Ok(any.exists([name])?)
}

/// Adds the person's accounts, those that can be theirs, and the keys these made.
fn accounts(db: &Connection, history: &mut PersonHistory) -> Result<(), ProjectionError> {
    let mut rows = Vec::new();
    let mut accounts = db.prepare_cached(if is_ambiguous(db, &history.person)? {
        "SELECT id, system, account, name, person FROM accounts
         WHERE in_inventory AND (person = ?1
             OR person IN (SELECT candidate FROM ambiguous WHERE name = ?1)
             OR person IN (SELECT name FROM ambiguous WHERE candidate = ?1))
         ORDER BY system, account"
    } else {
        "SELECT id, system, account, name, person FROM accounts
         WHERE in_inventory AND person = ?1 ORDER BY system, account"
    })?;
    let mut found = accounts.query([&history.person])?;
    while let Some(row) = found.next()? {
        rows.push(row.get::<_, i64>(0)?);
        let account: AccountName = (row.get(1)?, row.get(2)?);
        history.accounts.push(account.clone());
        let owner: String = row.get(4)?;
        if !history.candidates.is_empty() {
            history.doubtful.insert(account, history.candidates.clone());
        } else if owner != history.person {
            history.doubtful.insert(account, candidates(db, &owner)?);
        } else if history.name.is_none() {
            history.name = row.get(3)?;
        }
    }
    for account in rows {
        keys_of(db, account, history)?;
    }
    Ok(())
}

/// Adds the keys that an account made.
pub(super) fn keys_of(
    db: &Connection,
    account: i64,
    history: &mut PersonHistory,
) -> Result<(), ProjectionError> {
    history.keys.extend(bodies::<Key>(
        db,
        "SELECT keys.body FROM key_holders JOIN keys ON keys.id = key_holders.key
         WHERE key_holders.account = ?1 ORDER BY keys.key",
        [account],
    )?);
    Ok(())
}

/// Adds which keys we read the providers of `places` with.
fn own_keys(
    db: &Connection,
    places: &BTreeSet<(String, String)>,
    history: &mut PersonHistory,
) -> Result<(), ProjectionError> {
    let providers: BTreeSet<&String> = places.iter().map(|(provider, _)| provider).collect();
    for provider in providers {
        let sql = "SELECT body FROM snapshots WHERE provider = ?1";
        for snapshot in bodies::<SnapshotSummary>(db, sql, [provider])? {
            let own = snapshot.own_keys.into_iter();
            let own = own.map(|key| (provider.clone(), key));
            history.own_keys.extend(own);
        }
        add_look(db, provider, history)?;
    }
    Ok(())
}

/// Since when other keys can have taken the place of the person's: from the first loss on that a
/// return followed. Nothing: nobody came back.
fn lost_since(changes: &[MembershipChange]) -> Option<Timestamp> {
    use ChangeKind::{Joined, LeaveScheduled, Reinstated, Removed, Suspended};
    let returns = changes
        .iter()
        .filter(|change| matches!(change.change, Joined | Reinstated));
    let back = returns.map(|change| change.effective_at).max()?;
    let losses = changes.iter().filter(|change| {
        matches!(change.change, Removed | Suspended | LeaveScheduled) && change.effective_at <= back
    });
    losses
        .map(|loss| loss.published_at.min(Moment::of(loss).from))
        .min()
}

/// Adds the keys of others in a project that were made from `since` on: they may have taken the
/// place of the person's.
fn others(
    db: &Connection,
    (provider, project): (&str, &str),
    since: Timestamp,
    history: &mut PersonHistory,
) -> Result<(), ProjectionError> {
    // To the second: fractions are written with as many digits as they have.
    let since = since.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    history.others.extend(bodies::<Key>(
        db,
        "SELECT body FROM keys k WHERE provider = ?1 AND project = ?2
         AND coalesce(body ->> '$.created_at', body ->> '$.history[0].valid_from') >= ?4
         AND NOT EXISTS
         (SELECT 1 FROM key_holders h JOIN accounts a ON a.id = h.account
          WHERE h.key = k.id AND a.person = ?3 AND a.in_inventory)
         ORDER BY key",
        params![provider, project, history.person, since],
    )?);
    Ok(())
}

/// Adds where those who lead a project left: whoever leaves as well takes nothing over.
fn departures(
    db: &Connection,
    (provider, project): (&str, &str),
    history: &mut PersonHistory,
) -> Result<(), ProjectionError> {
    let mut leading = db.prepare_cached(
        "SELECT members.account, changes.body FROM members
         JOIN accounts ON accounts.system = members.provider AND accounts.account = members.account
         JOIN changes ON changes.person = accounts.person
         WHERE members.provider = ?1 AND members.project = ?2 AND members.leads
         AND accounts.person <> ?3 ORDER BY members.account, changes.id",
    )?;
    let mut rows = leading.query([provider, project, &history.person])?;
    let mut found: BTreeMap<String, Vec<MembershipChange>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let change =
            serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        found.entry(row.get(0)?).or_default().push(change);
    }
    for (account, changes) in found {
        let departures = Departure::among(&changes);
        if !departures.is_empty() {
            let account = (provider.to_owned(), account);
            history.departures.insert(account, departures);
        }
    }
    Ok(())
}

pub(super) fn published(db: &Connection, change: &str) -> Result<Published, ProjectionError> {
    let outcome: Option<String> = db
        .prepare_cached("SELECT body FROM outcomes WHERE change = ?1")?
        .query_row([change], |row| row.get(0))
        .optional()?;
    Ok(Published {
        outcome: outcome
            .map(|body| serde_json::from_str(&body))
            .transpose()?,
        impacts: bodies(
            db,
            "SELECT body FROM impact_bodies WHERE change = ?1 ORDER BY id",
            [change],
        )?,
    })
}

/// The parsed bodies that a query finds.
pub(super) fn bodies<T: DeserializeOwned>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<T>, ProjectionError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(serde_json::from_str(
            row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?,
        )?);
    }
    Ok(all)
}
