//! What a scenario gives, as the domain's own values.

use jiff::Timestamp;
use offkey::{
    correlation::policy::{GroupMapping, ProviderFacts},
    domain::{
        Account, ChangeId, Email, Key, KeyInterval, KeyUse, Member, MemberInterval,
        MembershipChange, PersonRef, Project, Propagation, RoleChange, Scope,
    },
};

use crate::form::{Change, Given, KeyGiven, MemberGiven, Scenario, Theme, parse_moment};

const PERSON: &str = "ada";

/// A scenario, with what its file gives to all of its scenarios.
#[derive(Debug, Clone)]
pub(crate) struct World<'a> {
    /// The file's first.
    given: [&'a Given; 2],
    pub(crate) scenario: &'a Scenario,
    /// What the names of its people, providers and sources begin with, so that nothing in it is
    /// anything in another one.
    pub(crate) prefix: String,
}

impl<'a> World<'a> {
    pub(crate) fn new(theme: &'a Theme, scenario: &'a Scenario, prefix: String) -> Self {
        Self {
            given: [&theme.given, &scenario.given],
            scenario,
            prefix,
        }
    }

    /// The same with its names as the scenario has them.
    pub(crate) fn plain(&self) -> Self {
        Self {
            prefix: String::new(),
            ..self.clone()
        }
    }

    /// All that is given of one sort.
    pub(crate) fn all<T>(&self, of: fn(&'a Given) -> &'a [T]) -> impl Iterator<Item = &'a T> {
        self.given.into_iter().flat_map(of)
    }

    /// What is given once; what the scenario says counts.
    pub(crate) fn one<T>(&self, of: fn(&'a Given) -> Option<T>) -> Option<T> {
        self.given.into_iter().rev().find_map(of)
    }

    /// Whose change it is.
    pub(crate) fn person(&self) -> &'a str {
        self.one(|given| given.person.as_deref()).unwrap_or(PERSON)
    }

    pub(crate) fn name(&self, plain: &str) -> String {
        format!("{}{plain}", self.prefix)
    }

    /// The provider and the project of PROVIDER/PROJECT.
    pub(crate) fn place(&self, text: &str) -> (String, String) {
        let (provider, project) = text.split_once('/').unwrap();
        (self.name(provider), project.to_owned())
    }

    /// Robots have no address.
    pub(crate) fn address(&self, who: &str) -> Option<Email> {
        let text = format!("{}@example.com", self.name(who));
        (!who.starts_with("bot-")).then(|| Email::parse(&text).unwrap())
    }

    pub(crate) fn account(&self, who: &str) -> Account {
        Account {
            id: self.name(who),
            email: self.address(who),
            name: None,
        }
    }

    pub(crate) fn providers(&self) -> impl Iterator<Item = (String, ProviderFacts)> {
        let all = self.given.into_iter().flat_map(|one| &one.provider);
        all.map(|(name, provider)| {
            let facts = ProviderFacts {
                kind: provider.kind.clone(),
                propagation: propagation(provider.propagation.as_deref()),
            };
            (self.name(name), facts)
        })
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = GroupMapping> {
        self.all(|given| &given.group).map(|group| GroupMapping {
            source: self.name(&group.source),
            provider: self.name(&group.provider),
            ..group.clone()
        })
    }

    /// When the newest complete look at a provider began.
    pub(crate) fn complete_looks(&self) -> impl Iterator<Item = (String, Timestamp)> {
        let all = self.given.into_iter().flat_map(|one| &one.look);
        all.map(|(name, at)| (self.name(name), *at))
    }

    /// When the newest look ended where that was not complete.
    pub(crate) fn partial_looks(&self) -> impl Iterator<Item = (String, Timestamp)> {
        let all = self.given.into_iter().flat_map(|one| &one.part);
        all.map(|(name, at)| (self.name(name), *at))
    }

    /// The keys with which Offkey reads providers, each with its provider.
    pub(crate) fn own_keys(&self) -> impl Iterator<Item = (String, String)> {
        let own = self.all(|given| &given.key).filter(|key| key.ours);
        own.map(|key| (self.place(&key.place).0, key.id.clone()))
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = Member> {
        self.all(|given| &given.member).map(|one| self.member(one))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.all(|given| &given.key).map(|one| self.key(one))
    }

    /// The change that the report is of.
    pub(crate) fn change(&self) -> MembershipChange {
        self.membership_change(&self.scenario.change)
    }

    /// What else happened, each with the one to whom it did.
    pub(crate) fn other_changes(&self) -> impl Iterator<Item = (&'a str, MembershipChange)> {
        let all = self.all(|given| &given.change);
        all.map(|one| (self.whose(one), self.membership_change(one)))
    }

    fn whose(&self, change: &'a Change) -> &'a str {
        change.who.as_deref().unwrap_or(self.person())
    }

    fn member(&self, given: &MemberGiven) -> Member {
        let (provider, project) = self.place(&given.place);
        Member {
            provider,
            project,
            account: self.account(&given.who),
            formerly: Vec::new(),
            history: vec![MemberInterval {
                valid_from: given.from,
                valid_to: given.until,
                last_seen: given.seen.or(given.until),
                observed_at: given.from.unwrap_or_else(new_year),
                roles: vec![given.role.clone()],
            }],
        }
    }

    fn key(&self, given: &KeyGiven) -> Key {
        let (provider, project) = self.place(&given.place);
        let from = given.from.unwrap_or_else(new_year);
        let interval = |by: &str, from, until, seen| KeyInterval {
            valid_from: Some(from),
            valid_to: until,
            last_seen: seen,
            observed_at: from,
            creator: self.account(by),
            scopes: given.scopes.clone(),
        };
        let seen = given.seen.or(given.until);
        let mut history = vec![interval(&given.by, from, given.until, seen)];
        if let (Some(until), Some(next)) = (given.until, given.then_by.as_deref()) {
            history.push(interval(next, until, None, None));
        }
        let uses = given.requests.map(|requests_7d| KeyUse {
            as_of: parse_moment("2026-02-28").unwrap(),
            requests_7d,
            last_used_at: given.used,
        });
        Key {
            provider,
            project,
            id: given.id.clone(),
            label: given.label.clone().unwrap_or_else(|| given.id.clone()),
            class: given.class.clone(),
            created_at: Some(from),
            expires_at: given.expires,
            tags: given.tags.clone(),
            history,
            uses: uses.into_iter().collect(),
        }
    }

    fn membership_change(&self, given: &'a Change) -> MembershipChange {
        let who = self.whose(given);
        let source = self.name(given.source.as_deref().unwrap_or("hr"));
        let at = given.at.unwrap();
        let event_id = format!("{who}/{}/{at}", given.what);
        let roles = (given.role_from.clone(), given.role_to.clone());
        let email = self.address(who);
        MembershipChange {
            id: ChangeId::derive(&source, &event_id),
            source,
            event_id,
            change: given.what,
            person: PersonRef {
                account: email.is_none().then(|| self.name(who)),
                email,
                ..PersonRef::default()
            },
            scope: self.scope(given.scope.as_ref()),
            effective_at: at,
            not_before: given.not_before,
            published_at: given.announced.unwrap_or(at),
            role: match roles {
                (None, None) => None,
                (from, to) => Some(RoleChange { from, to }),
            },
            actor: None,
            reason: given.reason.clone(),
        }
    }

    fn scope(&self, given: Option<&Scope>) -> Scope {
        let mut scope = given.cloned().unwrap_or(Scope::Organisation {});
        if let Scope::Provider { provider } | Scope::Project { provider, .. } = &mut scope {
            *provider = self.name(provider);
        }
        scope
    }
}

fn propagation(said: Option<&str>) -> Propagation {
    match said.unwrap_or("manual") {
        "manual" => Propagation::Manual {},
        "none" => Propagation::None {},
        other => {
            let within = other.strip_prefix("automatic ").unwrap();
            let within = humantime_serde::re::humantime::parse_duration(within).unwrap();
            Propagation::Automatic { within }
        }
    }
}

pub(crate) fn project((provider, id): (String, String)) -> Project {
    Project {
        provider,
        name: id.clone(),
        id,
        gone_at: None,
    }
}

/// Since when there is what nothing else is said of.
pub(crate) fn new_year() -> Timestamp {
    parse_moment("2026-01-01").unwrap()
}
