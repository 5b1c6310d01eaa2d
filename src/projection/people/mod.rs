//! Whose account, change and preview is whose, learnt from all of them alike.
//!
//! Most people have one address and one account a system; what is seen of these is theirs without
//! a further look. Everybody else is folded again over everything that touches them, whenever
//! anything of it is news.

mod closure;
mod settle;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

pub(super) use self::closure::Seed;
use self::settle::settle;
use super::{Lens, ProjectionError, touch::Touched};
use crate::{
    correlation::identity::{Identities, person_of},
    domain::{Account, Email, Member, MembershipChange, preview::Preview},
};

/// Whose change it is, whose row is there already and names nobody.
pub(super) fn person_of_change(
    db: &Transaction<'_>,
    change: &MembershipChange,
    lens: Lens<'_>,
    touched: &mut Touched,
) -> Result<String, ProjectionError> {
    let id = change.id.to_string();
    let identities = &lens.policy.identities;
    let who = &change.person;
    let mut seeds = Vec::new();
    if let Some(account) = &who.account {
        ensure_account(db, &change.source, account, identities)?;
        seeds.push(Seed::Account(change.source.clone(), account.clone()));
    }
    let emails = who.email.iter().chain(&who.formerly);
    seeds.extend(emails.map(|email| Seed::Address(identities.rules.spell(email))));
    settle(db, seeds, lens, touched)?;
    let mut person = db.prepare_cached("SELECT person FROM changes WHERE id = ?1")?;
    Ok(person.query_row([&id], |row| row.get(0))?)
}

/// Whose change it is, where that is plain.
pub(super) fn person_at_once(
    db: &Transaction<'_>,
    change: &MembershipChange,
    identities: &Identities,
) -> Result<Option<String>, ProjectionError> {
    let who = &change.person;
    if who.formerly.is_some() {
        return Ok(None);
    }
    let by_account = match &who.account {
        None => None,
        Some(account) => {
            let mut known = db.prepare_cached(
                "SELECT person FROM accounts WHERE system = ?1 AND account = ?2 AND plain",
            )?;
            let known: Option<String> = known
                .query_row([&change.source, account], |row| row.get(0))
                .optional()?;
            let Some(known) = known else {
                let Some(email) = &who.email else {
                    return Ok(None);
                };
                let spelled = identities.rules.spell(email);
                let new = newcomer(db, (&change.source, account), &spelled, identities)?;
                return Ok(new.map(|(_, person)| person));
            };
            Some(known)
        }
    };
    let Some(email) = &who.email else {
        return Ok(by_account);
    };
    let by_email = plain_address(db, email, identities, by_account.is_none())?;
    Ok(match (by_account, by_email) {
        (None, by_email) => by_email,
        (Some(by_account), by_email) => {
            Some(by_account).filter(|one| by_email.as_ref() == Some(one))
        }
    })
}

/// The row and the person of an account that nobody saw yet, where its address is plain: then no
/// fold comes to another end. Nothing: it may.
fn newcomer(
    db: &Transaction<'_>,
    (system, account): (&str, &str),
    email: &Email,
    identities: &Identities,
) -> Result<Option<(i64, String)>, ProjectionError> {
    let anchor = format!("{system}:{account}");
    let mut links = identities.links.iter();
    if links.any(|link| link.accounts.contains(&anchor))
        || identities.rules.read(system, account).is_some()
    {
        return Ok(None);
    }
    let mut touched = db.prepare_cached(
        "SELECT 1 FROM accounts WHERE system = ?1 AND account = ?2
         UNION ALL SELECT 1 FROM decision_anchors WHERE anchor IN (?3, ?4)",
    )?;
    if touched.exists(params![system, account, anchor, email.as_str()])? {
        return Ok(None);
    }
    let Some(person) = plain_address(db, email, identities, true)? else {
        return Ok(None);
    };
    let mut others =
        db.prepare_cached("SELECT 1 FROM accounts WHERE person = ?1 AND system = ?2")?;
    if others.exists([person.as_str(), system])? {
        return Ok(None);
    }
    let row = db
        .prepare_cached(
            "INSERT INTO accounts (system, account, person, plain) VALUES (?1, ?2, ?3, 1)",
        )?
        .insert([system, account, &person])?;
    Ok(Some((row, person)))
}

/// Whose the address is, where that is plain; `learn` one that nobody had.
fn plain_address(
    db: &Transaction<'_>,
    email: &Email,
    identities: &Identities,
    learn: bool,
) -> Result<Option<String>, ProjectionError> {
    let spelled = identities.rules.spell(email);
    let mut known =
        db.prepare_cached("SELECT person, plain FROM addresses WHERE email = ?1 LIMIT 1")?;
    let known: Option<(String, bool)> = known
        .query_row([spelled.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if known.is_some() || !learn {
        return Ok(known.and_then(|(person, is_plain)| is_plain.then_some(person)));
    }
    let person = person_of(identities, "", None, Some(&spelled));
    db.prepare_cached("INSERT INTO addresses VALUES (?1, ?2, NULL, ?3, 1)")?
        .execute(params![spelled.as_str(), i64::MIN, person])?;
    Ok(Some(person))
}

/// Sees to it that the account has a row; what its id tells is found by its address.
fn ensure_account(
    db: &Transaction<'_>,
    system: &str,
    account: &str,
    identities: &Identities,
) -> Result<i64, ProjectionError> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO accounts (system, account, person) VALUES (?1, ?2, '')",
    )?
    .execute([system, account])?;
    let mut row =
        db.prepare_cached("SELECT id FROM accounts WHERE system = ?1 AND account = ?2")?;
    let row: i64 = row.query_row([system, account], |row| row.get(0))?;
    if let Some(email) = identities.rules.read(system, account) {
        db.prepare_cached("INSERT OR IGNORE INTO account_sightings VALUES (?1, ?2, 0, ?3, 0)")?
            .execute(params![row, email.as_str(), i64::MAX])?;
    }
    Ok(row)
}

/// An account as an inventory shows it at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) provider: &'a str,
    pub(super) account: &'a Account,
    /// The address, where the account's is not the one of that time.
    pub(super) email: Option<&'a Email>,
    /// Since when; absent: since before anybody looked.
    pub(super) since: Option<Timestamp>,
    pub(super) observed_at: Timestamp,
}

/// An account as it was shown before.
pub(super) struct LastShown {
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
    pub(super) fn tells(&self, shown: &Shown<'_>) -> bool {
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
pub(super) fn member_account(
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
pub(super) fn account(
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

/// Whose preview it is, whose row is there already and names nobody.
pub(super) fn person_of_preview(
    db: &Transaction<'_>,
    (id, preview): (&str, &Preview),
    lens: Lens<'_>,
    touched: &mut Touched,
) -> Result<String, ProjectionError> {
    let identities = &lens.policy.identities;
    if let Some(person) = plain_address(db, &preview.person, identities, true)? {
        db.prepare_cached("UPDATE previews SET person = ?2 WHERE id = ?1")?
            .execute([id, &person])?;
        return Ok(person);
    }
    let seed = Seed::Address(identities.rules.spell(&preview.person));
    settle(db, vec![seed], lens, touched)?;
    let mut person = db.prepare_cached("SELECT person FROM previews WHERE id = ?1")?;
    Ok(person.query_row([id], |row| row.get(0))?)
}

/// Folds whoever `seeds` lead to again: something was decided about them.
pub(super) fn decide(
    db: &Transaction<'_>,
    seeds: Vec<Seed>,
    lens: Lens<'_>,
    touched: &mut Touched,
) -> Result<(), ProjectionError> {
    settle(db, seeds, lens, touched)
}
