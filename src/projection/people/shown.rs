//! Accounts as inventories show them.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    super::{Lens, ProjectionError, touch::Touched},
    closure::Seed,
    ensure_account, newcomer,
    settle::settle,
};
use crate::domain::{Account, Email, Member};

/// An account as an inventory shows it at one time.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Shown<'a> {
    pub(in super::super) provider: &'a str,
    pub(in super::super) account: &'a Account,
    /// The address, where the account's is not the one of that time.
    pub(in super::super) email: Option<&'a Email>,
    /// Since when; absent: since before anybody looked.
    pub(in super::super) since: Option<Timestamp>,
    pub(in super::super) observed_at: Timestamp,
}

/// An account as it was shown before.
pub(in super::super) struct LastShown {
    provider: String,
    account: Account,
    since: Option<Timestamp>,
    observed_at: Timestamp,
}

impl From<&Shown<'_>> for LastShown {
    fn from(shown: &Shown<'_>) -> Self {
        Self {
            provider: shown.provider.to_owned(),
            account: shown.account.clone(),
            since: shown.since,
            observed_at: shown.observed_at,
        }
    }
}

impl LastShown {
    /// Whether this told everything that `shown` tells.
    pub(in super::super) fn tells(&self, shown: &Shown<'_>) -> bool {
        let is_as_old = match (self.since, shown.since) {
            (None, None) => true,
            (Some(known), Some(since)) => known <= since,
            (None, Some(_)) | (Some(_), None) => false,
        };
        is_as_old
            && self.provider == shown.provider
            && self.account == *shown.account
            && self.observed_at == shown.observed_at
    }
}

/// Whose account it is, by the addresses that it has and had.
pub(in super::super) fn member_account(
    db: &Transaction<'_>,
    member: &Member,
    lens: Lens<'_>,
    touched: &mut Touched,
) -> Result<String, ProjectionError> {
    let first = member.history.first();
    let observed_at = first.map_or(Timestamp::MIN, |first| first.observed_at);
    let mut shown = Shown {
        provider: &member.provider,
        account: &member.account,
        email: None,
        since: first.and_then(|first| first.valid_from),
        observed_at,
    };
    for before in &member.formerly {
        shown.email = Some(&before.email);
        account(db, &shown, lens, touched)?;
        shown.since = Some(before.until);
        shown.observed_at = before.until;
    }
    shown.email = member.account.email.as_ref();
    Ok(account(db, &shown, lens, touched)?.1)
}

/// What is known of an account that an inventory shows.
struct Known {
    row: i64,
    person: String,
    in_inventory: bool,
    name: Option<(i64, String)>,
    /// When it was first seen with the address, and whether it can have been before.
    sighting: Option<(i64, bool)>,
}

/// The row and the person of a provider's account; learns both.
pub(in super::super) fn account(
    db: &Transaction<'_>,
    shown: &Shown<'_>,
    lens: Lens<'_>,
    touched: &mut Touched,
) -> Result<(i64, String), ProjectionError> {
    let identities = &lens.policy.identities;
    let email = shown.email.map(|email| identities.rules.spell(email));
    let known = known(db, shown, email.as_ref())?;
    let since = shown
        .since
        .map_or(shown.observed_at, |since| since.min(shown.observed_at));
    let (since, before) = (since.as_microsecond(), shown.since.is_none());
    let is_news = known.as_ref().is_none_or(|known| {
        let is_known = |(at, known): (i64, bool)| at <= since && (known || !before);
        !known.in_inventory || !known.sighting.is_some_and(is_known)
    });
    if let (Some(known), false) = (&known, is_news) {
        learn_name(db, known, shown)?;
        return Ok((known.row, known.person.clone()));
    }
    let new = match (&known, &email) {
        (None, Some(email)) => {
            let name = (shown.provider, shown.account.id.as_str());
            newcomer(db, name, email, identities)?
        }
        _ => None,
    };
    let row = match &new {
        Some((row, _)) => *row,
        None => ensure_account(db, shown.provider, &shown.account.id, identities)?,
    };
    db.prepare_cached("UPDATE accounts SET in_inventory = 1 WHERE id = ?1")?
        .execute([row])?;
    db.prepare_cached(
        "INSERT INTO account_sightings VALUES (?1, ?2, 1, ?3, ?4)
         ON CONFLICT (account, email) DO UPDATE SET told = 1, at = min(at, excluded.at),
             since_before = max(since_before, excluded.since_before)",
    )?
    .execute(params![
        row,
        email.as_ref().map_or("", Email::as_str),
        since,
        before
    ])?;
    let known = known.unwrap_or(Known {
        row,
        person: String::new(),
        in_inventory: false,
        name: None,
        sighting: None,
    });
    learn_name(db, &known, shown)?;
    if let Some(new) = new {
        return Ok(new);
    }
    let seed = Seed::Account(shown.provider.to_owned(), shown.account.id.clone());
    settle(db, vec![seed], lens, touched)?;
    let mut person = db.prepare_cached("SELECT person FROM accounts WHERE id = ?1")?;
    Ok((row, person.query_row([row], |row| row.get(0))?))
}

fn known(
    db: &Transaction<'_>,
    shown: &Shown<'_>,
    email: Option<&Email>,
) -> Result<Option<Known>, ProjectionError> {
    let mut known = db.prepare_cached(
        "SELECT a.id, a.person, a.in_inventory, a.named_at, a.name, s.at, s.since_before
         FROM accounts a
         LEFT JOIN account_sightings s ON s.account = a.id AND s.email = ?3 AND s.told
         WHERE a.system = ?1 AND a.account = ?2",
    )?;
    let email = email.map_or("", Email::as_str);
    Ok(known
        .query_row([shown.provider, &shown.account.id, email], |row| {
            let named_at: Option<i64> = row.get(3)?;
            let at: Option<i64> = row.get(5)?;
            Ok(Known {
                row: row.get(0)?,
                person: row.get(1)?,
                in_inventory: row.get(2)?,
                name: named_at
                    .map(|at| Ok::<_, rusqlite::Error>((at, row.get(4)?)))
                    .transpose()?,
                sighting: at
                    .map(|at| Ok::<_, rusqlite::Error>((at, row.get(6)?)))
                    .transpose()?,
            })
        })
        .optional()?)
}

/// Keeps the newest name: not the one that came last.
fn learn_name(
    db: &Transaction<'_>,
    known: &Known,
    shown: &Shown<'_>,
) -> Result<(), ProjectionError> {
    let Some(name) = &shown.account.name else {
        return Ok(());
    };
    let news = (shown.observed_at.as_microsecond(), name.clone());
    if known.name.as_ref().is_none_or(|known| *known < news) {
        db.prepare_cached("UPDATE accounts SET named_at = ?2, name = ?3 WHERE id = ?1")?
            .execute(params![known.row, news.0, news.1])?;
    }
    Ok(())
}
