//! What sources, providers and people say in a world, as records of the log.
//!
//! What a scenario gives as known, although it follows from something else, is told by a cause: a
//! decision, an account that was shown with two people's addresses, an address that nobody had.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use offkey::domain::{
    ChangeId, ChangeKind, Email, Key, Member, MembershipChange, PersonRef, Record, Scope,
    decision::{Anchor, Decided, PeopleDecision},
    inventory::{FormerAddress, MemberInterval, SnapshotSummary},
};

use crate::{
    form::PerhapsGiven,
    world::{World, new_year, project},
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Everything that is said in a world.
pub(crate) struct Told {
    changes: Vec<MembershipChange>,
    members: Vec<Member>,
    keys: Vec<Key>,
    decisions: Vec<PeopleDecision>,
    looks: Vec<SnapshotSummary>,
    passed: Option<Timestamp>,
}

impl Told {
    pub(crate) fn of(world: &World<'_>) -> Self {
        let others = world.other_changes().map(|(_, change)| change);
        let mut told = Self {
            changes: others.chain([world.change()]).collect(),
            members: world.members().collect(),
            keys: world.keys().collect(),
            decisions: decisions(world).collect(),
            looks: looks(world),
            passed: world.one(|given| given.passed),
        };
        told.leave_open_whose_changes(world);
        for one in world.all(|given| &given.perhaps) {
            told.leave_open_whose_account(world, one);
        }
        told
    }

    /// When the last of it is said.
    pub(crate) fn moment(&self) -> Timestamp {
        let changes = self.changes.iter().map(|change| change.published_at);
        let looks = self.looks.iter().map(|look| look.finished_at);
        let all = changes.chain(looks).chain(self.passed);
        all.max().unwrap_or_else(new_year)
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let places = self.keys.iter().map(|key| (&key.provider, &key.project));
        let places: BTreeSet<_> = places.collect();
        let projects = places
            .into_iter()
            .map(|(provider, id)| project((provider.clone(), id.clone())).to_record(new_year()));
        let members = self.members.iter().map(|one| one.to_record(new_year()));
        let keys = self.keys.iter().map(|one| one.to_record(new_year()));
        let looks = self.looks.iter().map(SnapshotSummary::to_record);
        let decisions = self.decisions.iter().map(PeopleDecision::to_record);
        let changes = self.changes.iter();
        let changes = changes.map(|change| change.to_record(change.published_at));
        let inventory = projects.chain(members).chain(keys).chain(looks);
        inventory.chain(decisions).chain(changes).collect()
    }

    /// Where a change can be about two, it names the account of one and the address of the other.
    fn leave_open_whose_changes(&mut self, world: &World<'_>) {
        let candidates: Vec<&String> = world.all(|given| &given.candidates).collect();
        let (one, other) = match candidates[..] {
            [] => return,
            [one, other] => (one, other),
            _ => panic!("a change can be about two: {candidates:?}"),
        };
        let named = |email: &str| PersonRef {
            account: Some(world.name(world.person())),
            email: Some(address(world, email)),
            ..PersonRef::default()
        };
        let before = joined(&world.change().source, named(one), new_year());
        let change = self.changes.last_mut().unwrap();
        change.person = named(other);
        self.changes.push(before);
    }

    /// An account that is perhaps the person's is seen with addresses that leave that open.
    fn leave_open_whose_account(&mut self, world: &World<'_>, given: &PerhapsGiven) {
        let [one, other] = &given.of[..] else {
            panic!("an account can be one of two people's: {:?}", given.of);
        };
        let account = world.name(&given.who);
        let is_its = |key: &&mut Key| key.history.iter().any(|it| it.creator.id == account);
        let mut place = None;
        for key in self.keys.iter_mut().filter(is_its) {
            // The list of members tells the address, and the list of keys does not.
            (key.history.iter_mut()).for_each(|interval| interval.creator.email = None);
            place = Some((key.provider.clone(), key.project.clone(), key.created_at));
        }
        let (provider, project, made_at) = place.unwrap();
        let since = made_at.unwrap();
        let mut member = Member {
            provider,
            project,
            account: world.account(&given.who),
            formerly: Vec::new(),
            history: vec![MemberInterval {
                valid_from: Some(since),
                valid_to: None,
                last_seen: None,
                observed_at: since,
                roles: vec!["member".to_owned()],
            }],
        };
        let first = address(world, one);
        if let Some((email, account)) = other.split_once(" (") {
            assert_eq!(one, email, "the same address, had by two");
            member.account.email = Some(first.clone());
            let next = account.trim_end_matches(')').split_once(':').unwrap();
            self.hand_on(world, &first, next, since);
        } else {
            member.account.email = Some(address(world, other));
            member.formerly = vec![FormerAddress {
                email: first,
                until: since + DAY,
            }];
        }
        self.members.push(member);
    }

    /// Whoever had the address left it before `seen`; somebody else gets it when all is over.
    fn hand_on(
        &mut self,
        world: &World<'_>,
        email: &Email,
        (source, next): (&str, &str),
        seen: Timestamp,
    ) {
        let source = world.name(source);
        let person = |account: &str| PersonRef {
            account: Some(account.to_owned()),
            email: Some(email.clone()),
            ..PersonRef::default()
        };
        let at = self.moment() + DAY;
        let came = joined(&source, person("the-first"), new_year());
        let left = MembershipChange {
            change: ChangeKind::Removed,
            ..joined(&source, person("the-first"), seen - DAY)
        };
        self.changes
            .extend([came, left, joined(&source, person(next), at)]);
    }
}

fn address(world: &World<'_>, email: &str) -> Email {
    Email::parse(&world.name(email)).unwrap()
}

fn joined(source: &str, person: PersonRef, at: Timestamp) -> MembershipChange {
    let event_id = format!("{:?} at {at}", person.account);
    MembershipChange {
        id: ChangeId::derive(source, &event_id),
        source: source.to_owned(),
        event_id,
        change: ChangeKind::Joined,
        person,
        scope: Scope::Organisation {},
        effective_at: at,
        not_before: None,
        published_at: at,
        role: None,
        actor: None,
        reason: None,
    }
}

/// Somebody said who stands behind which service accounts, wherever these made keys.
fn decisions(world: &World<'_>) -> impl Iterator<Item = PeopleDecision> {
    let made = world.keys().flat_map(|key| {
        let makers = key.history.into_iter().map(|interval| interval.creator.id);
        makers.map(move |maker| (key.provider.clone(), maker))
    });
    let made: Vec<(String, String)> = made.collect();
    world.all(|given| &given.behind).flat_map(move |one| {
        let id = world.name(&one.who);
        let others = one.others.iter().map(|other| address(world, other));
        let behind: Vec<Email> = world
            .address(world.person())
            .into_iter()
            .chain(others)
            .collect();
        let systems = made.iter().filter(|(_, maker)| *maker == id);
        let systems: BTreeSet<String> = systems.map(|(system, _)| system.clone()).collect();
        systems.into_iter().map(move |system| PeopleDecision {
            what: Decided::ServiceAccount {
                account: Anchor::Account {
                    system,
                    id: id.clone(),
                },
                behind: behind.clone(),
            },
            evidence: Vec::new(),
            decided_at: new_year(),
            undone: false,
        })
    })
}

/// The newest look at each provider that is looked at, or that is read with one of the keys.
fn looks(world: &World<'_>) -> Vec<SnapshotSummary> {
    let complete: BTreeMap<String, Timestamp> = world.complete_looks().collect();
    let partial: BTreeMap<String, Timestamp> = world.partial_looks().collect();
    let own: BTreeSet<(String, String)> = world.own_keys().collect();
    let read = own.iter().map(|(provider, _)| provider);
    let names: BTreeSet<&String> = complete.keys().chain(partial.keys()).chain(read).collect();
    let look = |name: &String| {
        let (complete, partial) = (complete.get(name).copied(), partial.get(name).copied());
        let at = partial.or(complete).unwrap_or_else(new_year);
        let is_whole = partial.is_none() && complete.is_some();
        let gap = (!is_whole).then(|| "a part of the list did not come".to_owned());
        let own = own.iter().filter(|(provider, _)| provider == name);
        SnapshotSummary {
            provider: name.clone(),
            started_at: at,
            finished_at: at,
            gaps: gap.into_iter().collect(),
            last_complete: complete,
            own_keys: own.map(|(_, key)| key.clone()).collect(),
            projects: 0,
            members: 0,
            keys: 0,
        }
    };
    names.into_iter().map(look).collect()
}
