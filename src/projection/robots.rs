//! Service accounts: people of a kind of their own, and the humans behind them.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{Lens, ProjectionError, history::keys_of, people::Seed, touch::Touched};
use crate::{
    correlation::{
        PersonHistory,
        identity::Identities,
        ownership::ServiceAccount,
        ties::{Behind, is_of_robots},
    },
    domain::{
        Email,
        decision::{Anchor, Decided, PeopleDecision},
    },
};

type Done = Result<(), ProjectionError>;

/// Whoever an anchor names.
const NAMED: &str = "SELECT person FROM accounts WHERE system || ':' || account = ?1
                     UNION SELECT person FROM addresses WHERE email = ?1";

// Most who run this have decided nothing of the kind, and are asked nothing more.
const ANY_BEHIND: &str = "SELECT 1 FROM decision_behind LIMIT 1";
const ANY_DECISION: &str = "SELECT 1 FROM decision_anchors LIMIT 1";

/// Takes in which humans stand behind a service account.
pub(super) fn decided(
    db: &Transaction<'_>,
    decision: &PeopleDecision,
    lens: Lens<'_>,
    touched: &mut Touched,
) -> Done {
    let Decided::ServiceAccount { account, behind } = &decision.what else {
        return Ok(());
    };
    let (key, anchor) = (decision.what.key(), account.to_string());
    let mut before = strings(
        db,
        "SELECT email FROM decision_behind WHERE decision = ?1",
        &key,
    )?;
    db.prepare_cached("DELETE FROM decision_behind WHERE decision = ?1")?
        .execute([&key])?;
    if !decision.undone {
        for email in behind {
            let email = lens.policy.identities.rules.spell(email).to_string();
            db.prepare_cached("INSERT OR REPLACE INTO decision_behind VALUES (?1, ?2, ?3)")?
                .execute([&email, &anchor, &key])?;
            before.push(email);
        }
    }
    for email in before {
        let sql = "SELECT person FROM addresses WHERE email = ?1";
        for person in strings(db, sql, &email)? {
            touched.insert(person);
        }
    }
    Ok(())
}

/// Whoever `anchor` names.
pub(super) fn named(
    db: &Connection,
    anchor: &Anchor,
    identities: &Identities,
) -> Result<Vec<String>, ProjectionError> {
    let name = match Seed::of(anchor, identities) {
        Seed::Account(system, id) => format!("{system}:{id}"),
        Seed::Address(email) => email.to_string(),
    };
    strings(db, NAMED, &name)
}

/// The humans behind `person`, who may be a service account.
pub(super) fn humans_behind(db: &Connection, person: &str) -> Result<Vec<String>, ProjectionError> {
    if !exists(db, ANY_BEHIND)? {
        return Ok(Vec::new());
    }
    strings(
        db,
        "SELECT DISTINCT a.person FROM decision_behind b JOIN addresses a ON a.email = b.email
         WHERE b.anchor IN (SELECT system || ':' || account FROM accounts WHERE person = ?1
                            UNION ALL SELECT email FROM addresses WHERE person = ?1)",
        person,
    )
}

/// Adds the keys of the service accounts behind which the person stands.
pub(super) fn behind(db: &Connection, history: &mut PersonHistory) -> Done {
    if !exists(db, ANY_BEHIND)? {
        return Ok(());
    }
    let sql =
        "SELECT DISTINCT b.anchor FROM addresses a JOIN decision_behind b ON b.email = a.email
               JOIN decisions d ON d.key = b.decision
               WHERE a.person = ?1 AND a.since <= d.decided_at
               AND (a.until IS NULL OR a.until > d.decided_at) ORDER BY b.anchor";
    for anchor in strings(db, sql, &history.person)? {
        for service in strings(db, NAMED, &anchor)? {
            if service == history.person {
                continue;
            }
            let others = humans_behind(db, &service)?;
            let others = others.into_iter().filter(|one| *one != history.person);
            let behind = Behind {
                others: others.collect::<BTreeSet<_>>().into_iter().collect(),
                service: service.clone(),
            };
            add(db, &service, &behind, history)?;
        }
    }
    Ok(())
}

fn add(db: &Connection, service: &str, behind: &Behind, history: &mut PersonHistory) -> Done {
    let mut accounts = db.prepare_cached(
        "SELECT id, system, account FROM accounts WHERE person = ?1 AND in_inventory
         ORDER BY system, account",
    )?;
    let mut rows = accounts.query([service])?;
    while let Some(row) = rows.next()? {
        history
            .behind
            .insert((row.get(1)?, row.get(2)?), behind.clone());
        keys_of(db, row.get(0)?, history)?;
    }
    Ok(())
}

/// Adds whether the person is a service account, and who of those in its projects is one, by hand.
pub(super) fn note(db: &Connection, history: &mut PersonHistory) -> Done {
    let mut by_hand = db.prepare_cached(
        "SELECT 1 FROM decision_anchors a JOIN decisions d ON d.key = a.decision
         WHERE a.anchor = ?1 AND NOT d.undone AND d.key GLOB 'people/service-account/*'",
    )?;
    for member in &history.members {
        let account = format!("{}:{}", member.provider, member.account.id);
        let mut names =
            std::iter::once(account).chain(member.account.email.iter().map(Email::to_string));
        let mut is_robot = false;
        for name in &mut names {
            is_robot |= by_hand.exists([&name])?;
        }
        if is_robot {
            let account = (member.provider.clone(), member.account.id.clone());
            history.robots.insert(account);
        }
    }
    history.service = service(db, history)?;
    Ok(())
}

/// Why the person is no human: somebody said so, or the provider does.
fn service(
    db: &Connection,
    history: &PersonHistory,
) -> Result<Option<ServiceAccount>, ProjectionError> {
    if let Some(body) = decision_of(db, &history.person)? {
        let decision: PeopleDecision = serde_json::from_str(&body)?;
        let Decided::ServiceAccount { mut behind, .. } = decision.what else {
            return Ok(None);
        };
        behind.sort();
        let because = format!(
            "somebody said so on {}",
            decision.decided_at.strftime("%Y-%m-%d")
        );
        return Ok(Some(ServiceAccount { because, behind }));
    }
    let is_nameless = Email::parse(&history.person).is_err();
    let mut own = history.keys.iter().filter(|key| {
        let mut makers = key.history.iter().map(|one| &one.creator.id);
        makers.any(|maker| history.has_account(&key.provider, maker))
    });
    let found = own.find(|key| is_nameless && is_of_robots(&key.class));
    Ok(found.map(|key| ServiceAccount {
        because: format!("{} keeps a {} for it", key.provider, key.class),
        behind: Vec::new(),
    }))
}

/// The decision by which `person` is a service account.
fn decision_of(db: &Connection, person: &str) -> Result<Option<String>, ProjectionError> {
    if !exists(db, ANY_DECISION)? {
        return Ok(None);
    }
    let mut decision = db.prepare_cached(
        "SELECT d.body FROM decision_anchors a JOIN decisions d ON d.key = a.decision
         WHERE a.anchor IN (SELECT system || ':' || account FROM accounts WHERE person = ?1
                            UNION ALL SELECT email FROM addresses WHERE person = ?1)
         AND NOT d.undone AND d.key GLOB 'people/service-account/*' ORDER BY d.key LIMIT 1",
    )?;
    let found = decision.query_row([person], |row| row.get(0));
    Ok(found.optional()?)
}

fn exists(db: &Connection, sql: &str) -> Result<bool, ProjectionError> {
    Ok(db.prepare_cached(sql)?.exists([])?)
}

fn strings(db: &Connection, sql: &str, of: &str) -> Result<Vec<String>, ProjectionError> {
    let mut rows = db.prepare_cached(sql)?;
    let rows = rows.query_map([of], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
