//! Whose account, change and preview is whose, learnt from all of them alike.
//!
//! Most people have one address and one account a system; what is seen of these is theirs without
//! a further look. Everybody else is folded again over everything that touches them, whenever
//! anything of it is news.

mod closure;
mod settle;
mod shown;

use rusqlite::{OptionalExtension, Transaction, params};

use self::settle::settle;
pub(super) use self::{
    closure::Seed,
    shown::{LastShown, Shown, account, member_account},
};
use super::{Lens, ProjectionError, touch::Touched};
use crate::{
    correlation::identity::{Identities, person_of},
    domain::{Email, MembershipChange, preview::Preview},
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
    let mut met = db.prepare_cached(
        "SELECT 1 FROM accounts WHERE system = ?1 AND account = ?2
         UNION ALL SELECT 1 FROM decision_anchors WHERE anchor IN (?3, ?4)",
    )?;
    if met.exists(params![system, account, anchor, email.as_str()])? {
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
