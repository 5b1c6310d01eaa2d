//! Whose account is whose, learnt from changes and from inventory alike.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Lens, ProjectionError};
use crate::{
    correlation::identity::person_of,
    domain::{Account, Email, MembershipChange},
};

/// Whose change it is; learns the account's address, or uses what is known of the account.
pub(super) fn person_of_change(
    db: &Transaction<'_>,
    change: &MembershipChange,
    lens: Lens<'_>,
) -> Result<String, ProjectionError> {
    let who = &change.person;
    let (account, email) = (who.account.as_deref(), who.email.as_ref());
    let person = person_of(&lens.policy.identities, &change.source, account, email);
    let Some(account) = account else {
        return Ok(person);
    };
    let known: Option<(String, Option<String>)> = db
        .prepare_cached("SELECT person, email FROM accounts WHERE system = ?1 AND account = ?2")?
        .query_row([&change.source, account], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match (known, email) {
        (Some((known, _)), None) => Ok(known),
        (Some((_, Some(_))), Some(_)) => Ok(person),
        (known, _) => {
            db.prepare_cached(
                "INSERT INTO accounts (system, account, person, email, name)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (system, account) DO UPDATE
                 SET person = excluded.person, email = excluded.email",
            )?
            .execute(params![
                change.source,
                account,
                person,
                email.map(Email::as_str),
                who.name
            ])?;
            // Whatever came of an account left a row of it.
            if known.is_some() {
                rename_changes(db, &change.source, account, &person)?;
            }
            Ok(person)
        }
    }
}

/// What came without an address belongs to the person whose account it turned out to be.
fn rename_changes(
    db: &Transaction<'_>,
    system: &str,
    account: &str,
    person: &str,
) -> Result<(), ProjectionError> {
    db.prepare_cached(
        "UPDATE changes SET person = ?3 WHERE person = ?4 AND source = ?1 AND account = ?2",
    )?
    .execute(params![
        system,
        account,
        person,
        format!("{system}:{account}")
    ])?;
    Ok(())
}

/// The row and the person of a provider's account; learns both.
pub(super) fn account(
    db: &Transaction<'_>,
    provider: &str,
    account: &Account,
    lens: Lens<'_>,
) -> Result<(i64, String), ProjectionError> {
    let email = account.email.as_ref();
    let known: Option<(i64, String, Option<String>, bool)> = db
        .prepare_cached(
            "SELECT id, person, email, in_inventory FROM accounts
             WHERE system = ?1 AND account = ?2",
        )?
        .query_row([provider, &account.id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    if let Some((id, person, known, true)) = &known
        && (email.is_none() || known.as_deref() == email.map(Email::as_str))
    {
        return Ok((*id, person.clone()));
    }
    let person = person_of(&lens.policy.identities, provider, Some(&account.id), email);
    let id = db
        .prepare_cached(
            "INSERT INTO accounts (system, account, person, email, name, in_inventory)
             VALUES (?1, ?2, ?3, ?4, ?5, 1)
             ON CONFLICT (system, account) DO UPDATE SET
                 person = CASE WHEN excluded.email IS NULL THEN person ELSE excluded.person END,
                 email = coalesce(excluded.email, email),
                 name = coalesce(excluded.name, name),
                 in_inventory = 1
             RETURNING id",
        )?
        .query_row(
            params![
                provider,
                account.id,
                person,
                email.map(Email::as_str),
                account.name
            ],
            |row| row.get(0),
        )?;
    if known.is_some() {
        rename_changes(db, provider, &account.id, &person)?;
    }
    Ok((id, person))
}
