//! Asks the pure function.

use std::collections::{BTreeMap, BTreeSet};

use offkey::{
    catalogue::Catalogue,
    correlation::{
        Inputs, PersonHistory, Policy, correlate,
        ownership::{AccountName, Departure, Look},
        ties::Behind,
    },
    domain::{Key, Member, MembershipChange, Report},
};

use crate::world::{World, project};

/// The report of the world's change.
pub(crate) fn report(world: &World<'_>, catalogue: &Catalogue) -> Report {
    let change = world.change();
    let mut history = history(world);
    history.changes.push(change.clone());
    let passed = world.one(|given| given.passed);
    history
        .passed
        .extend(passed.map(|passed| (change.id, passed)));
    correlate(&Inputs {
        change: &change,
        history: &history,
        catalogue,
        policy: &policy(world),
    })
}

fn policy(world: &World<'_>) -> Policy {
    let said = world.one(|given| given.policy.clone());
    let said: Option<Policy> = said.map(|said| said.try_into().unwrap());
    Policy {
        providers: world.providers().collect(),
        groups: world.groups().collect(),
        ..said.unwrap_or_default()
    }
}

fn history(world: &World<'_>) -> PersonHistory {
    let person = world.person();
    let members: Vec<Member> = world.members().collect();
    let tied: Vec<&str> = others_tied(world).collect();
    let is_theirs = |key: &Key| {
        let mut makers = key.history.iter().map(|interval| &interval.creator.id);
        makers.any(|maker| maker == person || tied.contains(&maker.as_str()))
    };
    let (keys, others): (Vec<Key>, Vec<Key>) = world.keys().partition(is_theirs);
    let of_members = members
        .iter()
        .filter(|member| member.account.id == person)
        .map(|member| member.provider.clone());
    let of_keys = keys.iter().map(|key| key.provider.clone());
    let providers: BTreeSet<_> = of_members.chain(of_keys).collect();
    let places: BTreeSet<_> = keys
        .iter()
        .map(|key| (key.provider.clone(), key.project.clone()))
        .collect();
    let (own, of_others): (Vec<_>, Vec<_>) =
        world.other_changes().partition(|(who, _)| *who == person);
    let email = world.address(person);
    let mut history = PersonHistory {
        person: email.map_or_else(|| format!("hr:{person}"), |email| email.to_string()),
        name: None,
        changes: own.into_iter().map(|(_, change)| change).collect(),
        accounts: providers
            .iter()
            .map(|provider| (provider.clone(), person.to_owned()))
            .collect(),
        keys,
        projects: places.into_iter().map(project).collect(),
        departures: departures(&members, &of_others),
        members,
        others,
        own_keys: world.own_keys().collect(),
        looks: looks(world),
        ..PersonHistory::default()
    };
    tie(world, &providers, &mut history);
    history
}

/// The accounts that are the person's in another way than simply theirs.
fn others_tied<'a>(world: &World<'a>) -> impl Iterator<Item = &'a str> {
    let behind = world.all(|given| &given.behind);
    let perhaps = world.all(|given| &given.perhaps);
    let behind = behind.map(|one| one.who.as_str());
    behind.chain(perhaps.map(|one| one.who.as_str()))
}

/// Says how, at every provider.
fn tie(world: &World<'_>, providers: &BTreeSet<String>, history: &mut PersonHistory) {
    history.candidates = world.all(|given| &given.candidates).cloned().collect();
    for provider in providers {
        let name = |who: &str| (provider.clone(), who.to_owned());
        for one in world.all(|given| &given.behind) {
            let behind = Behind {
                service: one.who.clone(),
                others: one.others.clone(),
            };
            history.behind.insert(name(&one.who), behind);
        }
        for one in world.all(|given| &given.perhaps) {
            history.accounts.push(name(&one.who));
            history.doubtful.insert(name(&one.who), one.of.clone());
        }
        if !history.candidates.is_empty() {
            let candidates = history.candidates.clone();
            history.doubtful.insert(name(world.person()), candidates);
        }
    }
}

/// Where the members left.
fn departures(
    members: &[Member],
    changes: &[(&str, MembershipChange)],
) -> BTreeMap<AccountName, Vec<Departure>> {
    let mut departures = BTreeMap::new();
    for member in members {
        let id = member.account.id.as_str();
        let of_them = changes.iter().filter(|(who, _)| *who == id);
        let of_them: Vec<_> = of_them.map(|(_, change)| change.clone()).collect();
        let name = (member.provider.clone(), id.to_owned());
        departures.insert(name, Departure::among(&of_them));
    }
    departures
}

fn looks(world: &World<'_>) -> BTreeMap<String, Look> {
    let mut looks: BTreeMap<String, Look> = BTreeMap::new();
    for (name, at) in world.complete_looks() {
        let look = Look {
            complete: Some(at),
            read_until: Some(at),
        };
        looks.insert(name, look);
    }
    for (name, at) in world.partial_looks() {
        looks.entry(name).or_default().read_until = Some(at);
    }
    looks
}
