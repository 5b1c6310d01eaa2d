//! Builds what a scenario gives, and asks the pure function.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use offkey::{
    catalogue::Catalogue,
    correlation::{
        Inputs, PersonHistory, Policy, correlate,
        ownership::{Departure, Look},
        policy::ProviderFacts,
        ties::Behind,
    },
    domain::{
        Account, ChangeId, Email, Key, KeyInterval, KeyUse, Member, MemberInterval,
        MembershipChange, PersonRef, Project, Propagation, Report, RoleChange, Scope,
    },
};

use crate::form::{Change, Given, KeyGiven, MemberGiven, Scenario, parse_moment};

const PERSON: &str = "ada";

/// The report of `scenario`, whose file gives `common`.
pub(crate) fn report(common: &Given, scenario: &Scenario, catalogue: &Catalogue) -> Report {
    let given = [common, &scenario.given];
    let person = given.iter().rev().find_map(|one| one.person.as_deref());
    let person = person.unwrap_or(PERSON);
    let change = membership_change(&scenario.change, person);
    let mut history = history(given, person);
    history.changes.push(change.clone());
    let passed = given.iter().rev().find_map(|one| one.passed);
    history
        .passed
        .extend(passed.map(|passed| (change.id, passed)));
    correlate(&Inputs {
        change: &change,
        history: &history,
        catalogue,
        policy: &policy(given),
    })
}

fn policy(given: [&Given; 2]) -> Policy {
    let said = given.iter().rev().find_map(|one| one.policy.clone());
    let mut policy = said.unwrap_or_default();
    for (name, provider) in given.iter().flat_map(|one| &one.provider) {
        let facts = ProviderFacts {
            kind: provider.kind.clone(),
            propagation: propagation(provider.propagation.as_deref()),
        };
        policy.providers.insert(name.clone(), facts);
    }
    let groups = given.iter().flat_map(|one| &one.group);
    policy.groups = groups.cloned().collect();
    policy
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

fn history(given: [&Given; 2], person: &str) -> PersonHistory {
    let members: Vec<Member> = given
        .iter()
        .flat_map(|one| &one.member)
        .map(member)
        .collect();
    let keys: Vec<Key> = given.iter().flat_map(|one| &one.key).map(key).collect();
    let also = others_tied(given);
    let is_theirs = |key: &Key| {
        let mut makers = key.history.iter().map(|interval| &interval.creator.id);
        makers.any(|maker| maker == person || also.contains(&maker.as_str()))
    };
    let (theirs, others): (Vec<Key>, Vec<Key>) = keys.into_iter().partition(is_theirs);
    let own_keys = given.iter().flat_map(|one| &one.key).filter(|key| key.ours);
    let own_keys = own_keys.map(|key| (place(&key.place).0, key.id.clone()));
    let of_members = members
        .iter()
        .filter(|member| member.account.id == person)
        .map(|member| member.provider.clone());
    let of_keys = theirs.iter().map(|key| key.provider.clone());
    let providers: BTreeSet<_> = of_members.chain(of_keys).collect();
    let places: BTreeSet<_> = theirs
        .iter()
        .map(|key| (key.provider.clone(), key.project.clone()))
        .collect();
    let (own, of_others): (Vec<_>, Vec<_>) = given
        .iter()
        .flat_map(|one| &one.change)
        .partition(|change| change.who.as_deref().is_none_or(|who| who == person));
    let mut history = PersonHistory {
        person: address(person).map_or_else(|| format!("hr:{person}"), |email| email.to_string()),
        name: None,
        changes: own
            .into_iter()
            .map(|one| membership_change(one, person))
            .collect(),
        accounts: providers
            .iter()
            .map(|provider| (provider.clone(), person.to_owned()))
            .collect(),
        keys: theirs,
        projects: places.into_iter().map(project).collect(),
        departures: departures(&members, &of_others),
        members,
        others,
        own_keys: own_keys.collect(),
        looks: looks(given),
        ..PersonHistory::default()
    };
    tie(given, person, &providers, &mut history);
    history
}

/// The accounts that are the person's in another way than simply theirs.
fn others_tied(given: [&Given; 2]) -> Vec<&str> {
    let behind = given.into_iter().flat_map(|one| &one.behind);
    let perhaps = given.into_iter().flat_map(|one| &one.perhaps);
    let behind = behind.map(|one| one.who.as_str());
    behind.chain(perhaps.map(|one| one.who.as_str())).collect()
}

/// Says how, at every provider.
fn tie(
    given: [&Given; 2],
    person: &str,
    providers: &BTreeSet<String>,
    history: &mut PersonHistory,
) {
    let candidates = given.iter().flat_map(|one| one.candidates.clone());
    history.candidates = candidates.collect();
    for provider in providers {
        let name = |who: &str| (provider.clone(), who.to_owned());
        for one in given.iter().flat_map(|one| &one.behind) {
            let behind = Behind {
                service: one.who.clone(),
                others: one.others.clone(),
            };
            history.behind.insert(name(&one.who), behind);
        }
        for one in given.iter().flat_map(|one| &one.perhaps) {
            history.accounts.push(name(&one.who));
            history.doubtful.insert(name(&one.who), one.of.clone());
        }
        if !history.candidates.is_empty() {
            let candidates = history.candidates.clone();
            history.doubtful.insert(name(person), candidates);
        }
    }
}

/// Where the members left.
fn departures(
    members: &[Member],
    changes: &[&Change],
) -> BTreeMap<(String, String), Vec<Departure>> {
    let mut departures = BTreeMap::new();
    for member in members {
        let id = member.account.id.as_str();
        let of_them = changes
            .iter()
            .filter(|change| change.who.as_deref() == Some(id));
        let of_them: Vec<_> = of_them.map(|one| membership_change(one, id)).collect();
        let name = (member.provider.clone(), id.to_owned());
        departures.insert(name, Departure::among(&of_them));
    }
    departures
}

fn looks(given: [&Given; 2]) -> BTreeMap<String, Look> {
    let mut looks: BTreeMap<String, Look> = BTreeMap::new();
    for (name, at) in given.iter().flat_map(|one| &one.look) {
        looks.insert(
            name.clone(),
            Look {
                complete: Some(*at),
                read_until: Some(*at),
            },
        );
    }
    for (name, at) in given.iter().flat_map(|one| &one.part) {
        looks.entry(name.clone()).or_default().read_until = Some(*at);
    }
    looks
}

fn project((provider, id): (String, String)) -> Project {
    Project {
        provider,
        name: id.clone(),
        id,
        gone_at: None,
    }
}

/// Robots have no address.
fn address(who: &str) -> Option<Email> {
    let text = format!("{who}@example.com");
    (!who.starts_with("bot-")).then(|| Email::parse(&text).unwrap())
}

fn account(who: &str) -> Account {
    Account {
        id: who.to_owned(),
        email: address(who),
        name: None,
    }
}

fn place(text: &str) -> (String, String) {
    let (provider, project) = text.split_once('/').unwrap();
    (provider.to_owned(), project.to_owned())
}

fn new_year() -> Timestamp {
    parse_moment("2026-01-01").unwrap()
}

fn member(given: &MemberGiven) -> Member {
    let (provider, project) = place(&given.place);
    Member {
        provider,
        project,
        account: account(&given.who),
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

fn key(given: &KeyGiven) -> Key {
    let (provider, project) = place(&given.place);
    let from = given.from.unwrap_or_else(new_year);
    let interval = |by: &str, from, until, seen| KeyInterval {
        valid_from: Some(from),
        valid_to: until,
        last_seen: seen,
        observed_at: from,
        creator: account(by),
        scopes: given.scopes.clone(),
    };
    let mut history = vec![interval(
        &given.by,
        from,
        given.until,
        given.seen.or(given.until),
    )];
    if let (Some(until), Some(next)) = (given.until, given.then_by.as_deref()) {
        history.push(interval(next, until, None, None));
    }
    let last_used_at = given.used;
    let uses = given.requests.map(|requests_7d| KeyUse {
        as_of: parse_moment("2026-02-28").unwrap(),
        requests_7d,
        last_used_at,
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

fn membership_change(given: &Change, who: &str) -> MembershipChange {
    let source = given.source.clone().unwrap_or_else(|| "hr".to_owned());
    let at = given.at.unwrap();
    let event_id = format!("{who}/{}/{at}", given.what);
    let roles = (given.role_from.clone(), given.role_to.clone());
    let email = address(who);
    MembershipChange {
        id: ChangeId::derive(&source, &event_id),
        source,
        event_id,
        change: given.what,
        person: PersonRef {
            account: email.is_none().then(|| who.to_owned()),
            email,
            ..PersonRef::default()
        },
        scope: given.scope.clone().unwrap_or(Scope::Organisation {}),
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
