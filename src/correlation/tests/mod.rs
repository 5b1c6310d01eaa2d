//! The pure function as a whole; what it says in words is in [`words`].

mod awaited;
mod whom;
mod words;

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{
    Inputs, PersonHistory, Policy, Published, correlate,
    ownership::Departure,
    policy::{GroupMapping, ProviderFacts},
    revise,
};
use crate::{
    catalogue::Catalogue,
    domain::{
        Account, ChangeId, ChangeKind, Email, Fate, Key, KeyInterval, KeyUse, Member,
        MemberInterval, MembershipChange, OutcomeResult, PersonRef, Project, Propagation, Report,
        RoleChange, Scope, Severity, Status, impact::Successor,
    },
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn change(kind: ChangeKind, source: &str, when: &str) -> MembershipChange {
    let event_id = format!("{kind}-{when}");
    MembershipChange {
        id: ChangeId::derive(source, &event_id),
        source: source.to_owned(),
        event_id,
        change: kind,
        person: PersonRef {
            email: Some(email("kim@example.com")),
            ..PersonRef::default()
        },
        scope: Scope::Organisation {},
        effective_at: at(when),
        not_before: None,
        published_at: at(when),
        role: None,
        actor: None,
        reason: None,
    }
}

fn account(id: &str) -> Account {
    Account {
        id: id.to_owned(),
        email: Some(email(&format!("{id}@example.com"))),
        name: None,
    }
}

fn key(id: &str, tag: &str, requests: u64) -> Key {
    Key {
        provider: "dg".to_owned(),
        project: "p1".to_owned(),
        id: id.to_owned(),
        label: id.to_owned(),
        class: "project-key".to_owned(),
        created_at: Some(at("2026-01-01T00:00:00Z")),
        expires_at: None,
        tags: vec![tag.to_owned()],
        history: vec![KeyInterval {
            valid_from: Some(at("2026-01-01T00:00:00Z")),
            valid_to: None,
            last_seen: None,
            observed_at: at("2026-02-01T00:00:00Z"),
            creator: account("kim"),
            scopes: vec!["member".to_owned()],
        }],
        uses: vec![KeyUse {
            as_of: at("2026-02-01T00:00:00Z"),
            requests_7d: requests,
            last_used_at: None,
        }],
    }
}

fn member(id: &str, role: &str) -> Member {
    Member {
        provider: "dg".to_owned(),
        project: "p1".to_owned(),
        account: account(id),
        formerly: Vec::new(),
        history: vec![MemberInterval {
            valid_from: None,
            valid_to: None,
            last_seen: None,
            observed_at: at("2026-02-01T00:00:00Z"),
            roles: vec![role.to_owned()],
        }],
    }
}

fn history(keys: Vec<Key>) -> PersonHistory {
    PersonHistory {
        person: "kim@example.com".to_owned(),
        name: None,
        changes: Vec::new(),
        accounts: vec![("dg".to_owned(), "kim".to_owned())],
        keys,
        projects: vec![Project {
            provider: "dg".to_owned(),
            id: "p1".to_owned(),
            name: "Voice".to_owned(),
            gone_at: None,
        }],
        members: vec![member("kim", "member"), member("lee", "owner")],
        ..PersonHistory::default()
    }
}

fn policy(propagation: Propagation) -> Policy {
    let facts = ProviderFacts {
        kind: "deepgram".to_owned(),
        propagation,
    };
    let group = |name: &str, role: &str| GroupMapping {
        source: "hr".to_owned(),
        group: name.to_owned(),
        provider: "dg".to_owned(),
        project: None,
        role: Some(role.to_owned()),
    };
    Policy {
        providers: [("dg".to_owned(), facts)].into(),
        groups: vec![group("owners", "owner"), group("members", "member")],
        ..Policy::default()
    }
}

fn report(change: &MembershipChange, history: &PersonHistory, propagation: Propagation) -> Report {
    let (catalogue, policy) = (Catalogue::built_in().unwrap(), policy(propagation));
    correlate(&Inputs {
        change,
        history,
        catalogue: &catalogue,
        policy: &policy,
    })
}

const LEFT: &str = "2026-03-01T09:00:00Z";

#[test]
fn without_automatic_propagation_the_key_lives_until_the_member_is_removed_and_dies_then() {
    let change = change(ChangeKind::Removed, "hr", LEFT);
    let report = report(
        &change,
        &history(vec![key("k1", "prod", 9)]),
        Propagation::Manual {},
    );
    let impact = &report.impacts[0];
    assert_eq!((impact.fate, impact.effective_at), (Fate::Dies, None));
    assert!(
        impact
            .until_then
            .as_ref()
            .unwrap()
            .contains("until somebody removes the member")
    );
    assert_eq!(impact.severity.level, Severity::Critical);
    assert_eq!(impact.act_by, at("2026-03-02T09:00:00Z"));
    assert_eq!(impact.symptom.as_ref().unwrap().code, "INVALID_AUTH");
    assert_eq!(impact.rule.rule, "deepgram.member-removed");
    assert!(
        matches!(&*impact.successor, Successor::Found(lee) if lee.email == email("lee@example.com"))
    );
}

/// The address of whoever takes the key over when Lee's changes are these; a removal of Kim at noon.
fn successor_beside(lee: &[MembershipChange], others: Vec<Member>) -> Result<String, String> {
    let removed = change(ChangeKind::Removed, "idp", "2026-03-01T12:00:00Z");
    let mut history = history(vec![key("k1", "prod", 5)]);
    history.members.extend(others);
    let account = ("dg".to_owned(), "lee".to_owned());
    history.departures.insert(account, Departure::among(lee));
    let report = report(&removed, &history, Propagation::Manual {});
    match &*report.impacts[0].successor {
        Successor::Found(contact) => Ok(contact.email.to_string()),
        Successor::None { none_because } => Err(none_because.clone()),
    }
}

#[test]
fn nobody_who_is_leaving_as_well_takes_a_key_over() {
    use ChangeKind::{LeaveScheduled, Reinstated, Removed, RoleChanged, Suspended};
    let lee = |kind, when| change(kind, "idp", when);
    let (noon, later) = ("2026-03-01T12:00:00Z", "2026-03-01T12:00:01Z");
    let stays = Ok("lee@example.com".to_owned());
    let goes = Err("everybody else who could is leaving as well".to_owned());
    for (changes, expected) in [
        (vec![], &stays),
        (vec![lee(RoleChanged, noon)], &stays),
        (vec![lee(Removed, noon)], &goes),
        (vec![lee(Suspended, "2026-01-01T00:00:00Z")], &goes),
        (vec![lee(Removed, later)], &stays),
        (vec![lee(Removed, noon), lee(Reinstated, later)], &stays),
        (
            vec![lee(Reinstated, "2026-01-01T00:00:00Z"), lee(Removed, noon)],
            &goes,
        ),
    ] {
        assert_eq!(
            &successor_beside(&changes, Vec::new()),
            expected,
            "{changes:?}"
        );
    }
    let announced = MembershipChange {
        effective_at: at("2026-06-01T00:00:00Z"),
        ..lee(LeaveScheduled, noon)
    };
    assert_eq!(successor_beside(&[announced], Vec::new()), goes);
    let elsewhere = MembershipChange {
        scope: "project:dg/p2".parse().unwrap(),
        ..lee(Removed, noon)
    };
    assert_eq!(successor_beside(&[elsewhere], Vec::new()), stays);
    let next = successor_beside(&[lee(Removed, noon)], vec![member("mo", "owner")]);
    assert_eq!(next, Ok("mo@example.com".to_owned()));
}

#[test]
fn with_automatic_propagation_it_can_die_from_the_leave_on() {
    let change = change(ChangeKind::Removed, "hr", LEFT);
    let within = Propagation::Automatic {
        within: Duration::from_secs(3600),
    };
    let report = report(&change, &history(vec![key("k1", "prod", 9)]), within);
    assert_eq!(report.impacts[0].effective_at, Some(at(LEFT)));
    assert_eq!(report.impacts[0].act_by, at(LEFT));
}

#[test]
fn where_nothing_propagates_the_key_survives_as_an_exposure() {
    let change = change(ChangeKind::Removed, "hr", LEFT);
    let report = report(
        &change,
        &history(vec![key("k1", "prod", 9)]),
        Propagation::None {},
    );
    assert_eq!(report.impacts[0].fate, Fate::Survives);
    assert_eq!(report.impacts[0].severity.level, Severity::High);
}

#[test]
fn a_key_that_vanished_together_with_its_owner_is_still_reported() {
    let mut gone = change(ChangeKind::Removed, "dg", "2026-03-01T10:05:00Z");
    gone.not_before = Some(at("2026-03-01T10:00:00Z"));
    let mut lost = key("k1", "prod", 9);
    lost.history[0].valid_to = Some(at("2026-03-01T10:05:00Z"));
    lost.history[0].last_seen = Some(at("2026-03-01T10:00:00Z"));
    let mut long_gone = key("k2", "prod", 9);
    long_gone.history[0].valid_to = Some(at("2026-02-20T00:00:00Z"));
    let report = report(
        &gone,
        &history(vec![lost, long_gone]),
        Propagation::Manual {},
    );
    assert_eq!(report.impacts.len(), 1);
    assert_eq!(report.impacts[0].key.id, "k1");
    assert_eq!(report.impacts[0].propagation, Propagation::Direct {});
    assert_eq!(
        report.impacts[0].effective_at,
        Some(at("2026-03-01T10:05:00Z"))
    );
}

#[test]
fn a_key_made_later_or_by_somebody_else_is_not_touched() {
    let mut later = key("k1", "prod", 9);
    later.history[0].valid_from = Some(at("2026-03-05T00:00:00Z"));
    let mut other = key("k2", "prod", 9);
    other.history[0].creator = account("lee");
    let change = change(ChangeKind::Removed, "hr", LEFT);
    let report = report(
        &change,
        &history(vec![later, other]),
        Propagation::Manual {},
    );
    assert_eq!(report.outcome.result, OutcomeResult::NoKeys);
}

#[test]
fn a_lowered_role_takes_only_the_scopes_that_the_new_role_lacks() {
    let mut demoted = change(ChangeKind::RoleChanged, "dg", LEFT);
    demoted.role = Some(RoleChange {
        from: Some("owner".to_owned()),
        to: Some("admin".to_owned()),
    });
    let mut wide = key("k1", "prod", 9);
    wide.history[0].scopes = vec!["billing:write".to_owned(), "usage:write".to_owned()];
    let narrow = key("k2", "prod", 9);
    let report = report(
        &demoted,
        &history(vec![wide, narrow]),
        Propagation::Manual {},
    );
    assert_eq!(report.impacts.len(), 1);
    assert_eq!(report.impacts[0].fate, Fate::Shrinks);
    assert_eq!(report.impacts[0].lost_scopes, ["billing:write"]);
}

#[test]
fn roles_that_the_catalogue_does_not_know_make_the_fate_unknown() {
    let moved = change(ChangeKind::RoleChanged, "hr", LEFT);
    let report = report(
        &moved,
        &history(vec![key("k1", "prod", 9)]),
        Propagation::Manual {},
    );
    assert_eq!(report.impacts[0].fate, Fate::Unknown);
    assert_eq!(report.impacts[0].severity.level, Severity::High);
}

#[test]
fn a_class_without_a_rule_is_unknown_and_says_so() {
    let mut odd = key("k1", "dev", 0);
    odd.class = "other".to_owned();
    let change = change(ChangeKind::Removed, "dg", LEFT);
    let report = report(&change, &history(vec![odd]), Propagation::Manual {});
    assert_eq!(report.impacts[0].fate, Fate::Unknown);
    assert_eq!(report.impacts[0].rule.rule, "deepgram.undocumented");
}

#[test]
fn an_expired_key_is_for_the_record_only() {
    let mut expired = key("k1", "prod", 9);
    expired.expires_at = Some(at("2026-02-28T00:00:00Z"));
    let change = change(ChangeKind::Removed, "hr", LEFT);
    let report = report(&change, &history(vec![expired]), Propagation::Manual {});
    assert_eq!(report.impacts[0].severity.level, Severity::Info);
    assert_eq!(report.impacts[0].rule.rule, "deepgram.key-expired");
    assert_eq!(
        report.impacts[0].effective_at,
        Some(at("2026-02-28T00:00:00Z"))
    );
}

#[test]
fn somebody_unknown_and_a_harmless_change_have_an_outcome_without_impacts() {
    let mut nobody = history(Vec::new());
    nobody.accounts.clear();
    let removed = change(ChangeKind::Removed, "hr", LEFT);
    let outcome = report(&removed, &nobody, Propagation::Manual {}).outcome;
    assert_eq!(outcome.result, OutcomeResult::UnknownPerson);
    let joined = change(ChangeKind::Joined, "hr", LEFT);
    let outcome = report(
        &joined,
        &history(vec![key("k1", "prod", 1)]),
        Propagation::Manual {},
    )
    .outcome;
    assert_eq!(outcome.result, OutcomeResult::NoEffect);
}

#[test]
fn a_later_return_supersedes_what_had_not_reached_the_provider() {
    let removed = change(ChangeKind::Removed, "hr", LEFT);
    let mut known = history(vec![key("k1", "prod", 9)]);
    known.changes = vec![change(ChangeKind::Reinstated, "hr", "2026-03-02T00:00:00Z")];
    let status = |history: &PersonHistory| {
        report(&removed, history, Propagation::Manual {}).impacts[0].status
    };
    assert_eq!(status(&known), Status::Superseded);
    known.changes = vec![change(ChangeKind::Reinstated, "hr", "2026-02-02T00:00:00Z")];
    assert_eq!(
        status(&known),
        Status::Open,
        "a return before the leave undoes nothing"
    );
}

#[test]
fn only_what_changed_is_sent_again_and_what_no_longer_holds_is_withdrawn() {
    let removed = change(ChangeKind::Removed, "hr", LEFT);
    let first = report(
        &removed,
        &history(vec![
            key("k1", "prod", 9),
            key("k2", "prod", 9),
            key("k3", "dev", 0),
        ]),
        Propagation::Manual {},
    );
    let sent = revise(first.clone(), &Published::default()).unwrap();
    assert!(sent.impacts.iter().all(|impact| impact.revision == 1));
    let published = Published {
        outcome: Some(sent.outcome),
        impacts: sent.impacts,
    };
    assert!(
        revise(first, &published).is_none(),
        "nothing new is not said twice"
    );

    let second = report(
        &removed,
        &history(vec![key("k1", "prod", 9), key("k2", "dev", 9)]),
        Propagation::Manual {},
    );
    let sent = revise(second, &published).unwrap();
    assert_eq!(sent.outcome.revision, 2);
    let mut news: Vec<_> = sent
        .impacts
        .iter()
        .map(|impact| (impact.key.id.as_str(), impact.revision, impact.status))
        .collect();
    news.sort();
    assert_eq!(
        news,
        [("k2", 2, Status::Open), ("k3", 2, Status::Withdrawn)]
    );
    let digests = sent.impacts.iter().map(|impact| &impact.report_digest);
    let all: BTreeSet<_> = digests.collect();
    assert_eq!(all, BTreeSet::from([&sent.outcome.digest]));
}

fn any_change() -> impl Strategy<Value = MembershipChange> {
    let kind = prop_oneof![
        Just(ChangeKind::Removed),
        Just(ChangeKind::Suspended),
        Just(ChangeKind::Reinstated),
        Just(ChangeKind::Joined),
        Just(ChangeKind::LeaveScheduled),
        Just(ChangeKind::LeaveCancelled),
    ];
    (kind, 1..28_u8)
        .prop_map(|(kind, day)| change(kind, "hr", &format!("2026-03-{day:02}T00:00:00Z")))
}

proptest! {
    #[test]
    fn the_order_in_which_things_became_known_does_not_matter(
        changes in prop::collection::vec(any_change(), 1..6),
        keys in prop::collection::vec(("[a-z]{3}", any::<bool>(), 0..3_u64), 0..6),
        seed in any::<u64>(),
    ) {
        let mut keys: Vec<_> = keys
            .into_iter()
            .enumerate()
            .map(|(n, (id, prod, requests))| {
                key(&format!("{id}{n}"), if prod { "prod" } else { "dev" }, requests)
            })
            .collect();
        let mut one = history(keys.clone());
        one.changes.clone_from(&changes);
        let turn = usize::try_from(seed % 7).unwrap();
        if !keys.is_empty() {
            let middle = turn % keys.len();
            keys.rotate_left(middle);
        }
        let mut other = history(keys);
        other.members.reverse();
        other.changes = changes.iter().rev().chain(&changes).cloned().collect();
        for change in &changes {
            let left = report(change, &one, Propagation::Manual {});
            let right = report(change, &other, Propagation::Manual {});
            assert_eq!(left, right);
        }
    }
}
