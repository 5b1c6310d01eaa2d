//! Gathers everything that touches an account or an address.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::ProjectionError;
use crate::{
    correlation::{
        identity::Identities,
        people::{Facts, Sighting, Subject},
    },
    domain::{
        Email, MembershipChange,
        decision::{Anchor, Decided, PeopleDecision},
        preview::Preview,
    },
};

type Done = Result<(), ProjectionError>;

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Seed {
    /// A system's name and the id of an account there.
    Account(String, String),
    /// An address in its one spelling.
    Address(Email),
}

impl Seed {
    /// The one that a decision names.
    pub(in super::super) fn of(anchor: &Anchor, identities: &Identities) -> Self {
        match anchor {
            Anchor::Account { system, id } => Self::Account(system.clone(), id.clone()),
            Anchor::Address(email) => Self::Address(identities.rules.spell(email)),
        }
    }

    fn anchor(&self) -> String {
        match self {
            Self::Account(system, id) => format!("{system}:{id}"),
            Self::Address(email) => email.to_string(),
        }
    }
}

/// What there is.
pub(super) struct Closure<'a> {
    db: &'a Connection,
    identities: &'a Identities,
    todo: Vec<Seed>,
    met: BTreeSet<Seed>,
    changes: BTreeMap<String, MembershipChange>,
    previews: BTreeMap<String, Preview>,
    inventory: Vec<Sighting>,
    decisions: BTreeMap<String, Decided>,
}

impl<'a> Closure<'a> {
    /// Everything that `seeds` touch, and what that touches.
    pub(super) fn of(
        db: &'a Connection,
        seeds: Vec<Seed>,
        identities: &'a Identities,
    ) -> Result<Self, ProjectionError> {
        let mut closure = Self {
            db,
            identities,
            todo: seeds,
            met: BTreeSet::new(),
            changes: BTreeMap::new(),
            previews: BTreeMap::new(),
            inventory: Vec::new(),
            decisions: BTreeMap::new(),
        };
        while let Some(seed) = closure.todo.pop() {
            if !closure.met.insert(seed.clone()) {
                continue;
            }
            match &seed {
                Seed::Account(system, account) => closure.account(system, account)?,
                Seed::Address(email) => closure.address(email)?,
            }
            closure.decided(&seed.anchor())?;
        }
        Ok(closure)
    }

    /// The addresses that were met.
    pub(super) fn emails(&self) -> impl Iterator<Item = &Email> {
        self.met.iter().filter_map(|seed| match seed {
            Seed::Address(email) => Some(email),
            Seed::Account(..) => None,
        })
    }

    fn account(&mut self, system: &str, account: &str) -> Done {
        let mut row = self
            .db
            .prepare_cached("SELECT id FROM accounts WHERE system = ?1 AND account = ?2")?;
        let row: Option<i64> = row
            .query_row([system, account], |row| row.get(0))
            .optional()?;
        if let Some(row) = row {
            self.shown(row, system, account)?;
        }
        self.changes(
            "SELECT id, body FROM changes WHERE source = ?1 AND account = ?2",
            params![system, account],
        )
    }

    /// The account as inventories show it.
    fn shown(&mut self, row: i64, system: &str, account: &str) -> Done {
        let mut rows = self.db.prepare_cached(
            "SELECT email, told, at, since_before FROM account_sightings WHERE account = ?1",
        )?;
        let mut rows = rows.query([row])?;
        while let Some(row) = rows.next()? {
            let (email, is_told): (String, bool) = (row.get(0)?, row.get(1)?);
            let email = Email::parse(&email).ok();
            self.todo.extend(email.clone().map(Seed::Address));
            if !is_told {
                continue;
            }
            let at = Timestamp::from_microsecond(row.get(2)?).unwrap_or(Timestamp::MIN);
            self.inventory.push(Sighting {
                subject: Subject::Inventory,
                system: system.to_owned(),
                account: Some(account.to_owned()),
                email,
                formerly: None,
                at,
                published_at: at,
                since_before: row.get(3)?,
                change: None,
            });
        }
        Ok(())
    }

    fn address(&mut self, email: &Email) -> Done {
        let email = email.as_str();
        let mut rows = self.db.prepare_cached(
            "SELECT system, account FROM accounts WHERE id IN
             (SELECT account FROM account_sightings WHERE email = ?1)",
        )?;
        let mut rows = rows.query([email])?;
        while let Some(row) = rows.next()? {
            self.todo.push(Seed::Account(row.get(0)?, row.get(1)?));
        }
        let by_email = "SELECT id, body FROM changes WHERE email = ?1";
        self.changes(by_email, params![email])?;
        let by_formerly = "SELECT id, body FROM changes WHERE formerly = ?1";
        self.changes(by_formerly, params![email])?;
        let mut rows = self
            .db
            .prepare_cached("SELECT id, body FROM previews WHERE email = ?1")?;
        let mut rows = rows.query([email])?;
        while let Some(row) = rows.next()? {
            let body: String = row.get(1)?;
            self.previews
                .insert(row.get(0)?, serde_json::from_str(&body)?);
        }
        Ok(())
    }

    fn changes(&mut self, sql: &str, params: impl rusqlite::Params) -> Done {
        let mut rows = self.db.prepare_cached(sql)?;
        let mut rows = rows.query(params)?;
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            if self.changes.contains_key(&id) {
                continue;
            }
            let body: String = row.get(1)?;
            let change: MembershipChange = serde_json::from_str(&body)?;
            let who = &change.person;
            let account = who.account.iter();
            let account = account.map(|id| Seed::Account(change.source.clone(), id.clone()));
            let emails = who.email.iter().chain(&who.formerly);
            let emails = emails.map(|email| Seed::Address(self.identities.rules.spell(email)));
            self.todo.extend(account.chain(emails));
            self.changes.insert(id, change);
        }
        Ok(())
    }

    fn decided(&mut self, anchor: &str) -> Done {
        let mut rows = self.db.prepare_cached(
            "SELECT d.key, d.body FROM decision_anchors a JOIN decisions d ON d.key = a.decision
             WHERE a.anchor = ?1 AND NOT d.undone",
        )?;
        let mut rows = rows.query([anchor])?;
        while let Some(row) = rows.next()? {
            let body: String = row.get(1)?;
            let decision: PeopleDecision = serde_json::from_str(&body)?;
            let anchors = decision.what.anchors();
            let seeds = anchors.iter().map(|one| Seed::of(one, self.identities));
            self.todo.extend(seeds);
            self.decisions.insert(row.get(0)?, decision.what);
        }
        Ok(())
    }

    /// What the fold needs.
    pub(super) fn facts(self) -> Facts<'a> {
        let spell = |email: &Option<Email>| {
            email
                .as_ref()
                .map(|email| self.identities.rules.spell(email))
        };
        let changes = self.changes.into_iter().map(|(id, change)| Sighting {
            subject: Subject::Change(id),
            email: spell(&change.person.email),
            formerly: spell(&change.person.formerly),
            system: change.source,
            account: change.person.account,
            at: change.effective_at,
            published_at: change.published_at,
            since_before: false,
            change: Some((change.change, change.scope)),
        });
        let previews = self.previews.into_iter().map(|(id, preview)| Sighting {
            subject: Subject::Preview(id),
            system: String::new(),
            account: None,
            email: Some(self.identities.rules.spell(&preview.person)),
            formerly: None,
            at: preview.effective_at,
            published_at: preview.made_at,
            since_before: false,
            change: None,
        });
        Facts {
            identities: self.identities,
            sightings: changes.chain(previews).chain(self.inventory).collect(),
            decisions: self.decisions.into_values().collect(),
        }
    }
}
