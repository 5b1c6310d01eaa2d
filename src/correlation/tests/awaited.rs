//! What a report waits for, and what was seen where things changed more than once.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{ChangeKind, LEFT, MembershipChange, PersonHistory, at, change, history, key, policy};
use crate::{
    catalogue::Catalogue,
    correlation::{Awaited, Inputs, foresee, ownership::Look},
    domain::{Impact, Key, KeyInterval, MemberInterval, Propagation, RoleChange, Scope, Status},
};

/// A day of March, at the hour of [`LEFT`].
fn day(day: u8) -> Timestamp {
    at(&format!("2026-03-{day:02}T09:00:00Z"))
}

fn foreseen(
    change: &MembershipChange,
    history: &PersonHistory,
    propagation: Propagation,
) -> (Impact, Awaited) {
    let (catalogue, policy) = (Catalogue::built_in().unwrap(), policy(propagation));
    let (mut report, awaited) = foresee(&Inputs {
        change,
        history,
        catalogue: &catalogue,
        policy: &policy,
    });
    assert_eq!(report.impacts.len(), 1);
    (report.impacts.remove(0), awaited)
}

/// A key of Kim's, who is a member until `left`; it is there until `gone`. Looked on `looked`.
fn seen(left: Option<u8>, gone: Option<u8>, looked: Option<u8>) -> PersonHistory {
    let mut known = history(vec![key("k1", "prod", 9)]);
    let before = |on: u8| Some(day(on - 1));
    let (member, interval) = (
        &mut known.members[0].history[0],
        &mut known.keys[0].history[0],
    );
    (member.valid_to, member.last_seen) = (left.map(day), left.and_then(before));
    (interval.valid_to, interval.last_seen) = (gone.map(day), gone.and_then(before));
    let look = Look {
        complete: looked.map(day),
        read_until: looked.map(day),
    };
    known.looks.insert("dg".to_owned(), look);
    known
}

fn removed() -> MembershipChange {
    change(ChangeKind::Removed, "hr", LEFT)
}

/// The status, whether the next look is waited for, and the moments.
fn waits(
    change: &MembershipChange,
    history: &PersonHistory,
) -> (Status, bool, BTreeSet<Timestamp>) {
    let (impact, awaited) = foreseen(change, history, Propagation::Manual {});
    assert!(awaited.looks.iter().all(|provider| provider == "dg"));
    (impact.status, !awaited.looks.is_empty(), awaited.moments)
}

#[test]
fn what_is_open_waits_for_a_look_and_a_week() {
    let nothing = BTreeSet::new();
    let until = |on: u8| BTreeSet::from([day(on)]);
    for (name, known, expected) in [
        (
            "nobody looked",
            seen(None, None, None),
            (Status::Open, true, until(8)),
        ),
        (
            "still a member",
            seen(None, None, Some(2)),
            (Status::Open, false, nothing.clone()),
        ),
        (
            "looked before",
            seen(Some(4), None, Some(3)),
            (Status::Open, true, until(11)),
        ),
        (
            "outlived",
            seen(Some(4), None, Some(4)),
            (Status::StillAlive, false, nothing.clone()),
        ),
        (
            "gone",
            seen(Some(4), Some(4), Some(4)),
            (Status::Confirmed, false, nothing),
        ),
    ] {
        assert_eq!(waits(&removed(), &known), expected, "{name}");
    }
}

#[test]
fn a_key_that_was_seen_gone_waits_until_all_that_was_seen_is_known() {
    let mut known = seen(None, Some(4), Some(2));
    let open = (Status::Open, true, BTreeSet::new());
    assert_eq!(waits(&removed(), &known), open);
    known.looks.get_mut("dg").unwrap().read_until = Some(day(4));
    let done = (Status::Confirmed, false, BTreeSet::new());
    assert_eq!(waits(&removed(), &known), done);
}

#[test]
fn what_lapsed_waits_for_a_look_still_and_what_somebody_else_explains_does_not() {
    let removed = removed();
    let mut known = seen(None, None, None);
    known.passed.insert(removed.id, day(8));
    let lapsed = (Status::Unverifiable, true, BTreeSet::new());
    assert_eq!(waits(&removed, &known), lapsed);

    let suspended = change(ChangeKind::Suspended, "hr", LEFT);
    let mut known = seen(Some(4), Some(4), Some(4));
    known.keys[0].history[0].last_seen = Some(at("2026-02-20T00:00:00Z"));
    known.changes = vec![change(ChangeKind::Removed, "hr", "2026-03-02T00:00:00Z")];
    let explained = (Status::Unverifiable, false, BTreeSet::new());
    assert_eq!(waits(&suspended, &known), explained);
    known.changes.clear();
    let contradicted = (Status::DiedUnexpectedly, false, BTreeSet::new());
    assert_eq!(waits(&suspended, &known), contradicted);
}

#[test]
fn a_source_that_tells_late_is_not_held_against_the_provider() {
    let removed = removed();
    let mut known = seen(None, None, None);
    known.heard.insert(removed.id, day(20));
    assert_eq!(waits(&removed, &known).2, BTreeSet::from([day(27)]));
}

#[test]
fn an_announced_leave_waits_for_its_day_and_one_that_was_undone_for_nothing() {
    let announced = MembershipChange {
        published_at: at("2026-02-01T00:00:00Z"),
        ..change(ChangeKind::LeaveScheduled, "hr", LEFT)
    };
    let mut known = seen(None, None, None);
    let ahead = (Status::Scheduled, true, BTreeSet::from([day(1), day(8)]));
    assert_eq!(waits(&announced, &known), ahead);
    known.changes = vec![change(
        ChangeKind::LeaveCancelled,
        "hr",
        "2026-02-10T00:00:00Z",
    )];
    let undone = (Status::Superseded, false, BTreeSet::new());
    assert_eq!(waits(&announced, &known), undone);
    known.changes.clear();
    known.passed.insert(announced.id, day(1));
    let come = (Status::Open, true, BTreeSet::from([day(8)]));
    assert_eq!(waits(&announced, &known), come);
}

#[test]
fn what_is_seen_of_a_key_tests_the_rule_unless_something_else_can_have_ended_it() {
    let tests = |known: &PersonHistory| {
        let (impact, _) = foreseen(&removed(), known, Propagation::Manual {});
        let observed = impact.observed.unwrap();
        assert_eq!(observed.gone_at, Some(day(4)));
        assert_eq!(impact.status, Status::Confirmed);
        observed.tests_rule
    };
    let mut known = seen(Some(4), Some(4), Some(4));
    assert!(tests(&known));
    known.keys[0].expires_at = Some(day(4));
    assert!(!tests(&known), "its own date had come");
    let known = seen(Some(6), Some(4), Some(6));
    assert!(!tests(&known), "somebody ended it before");
}

/// What Kim was in the project, one after the other: the role, from when and until when.
fn roles(known: &mut PersonHistory, roles: &[(&str, Option<u8>, Option<u8>)]) {
    let interval = |&(role, from, until): &(&str, Option<u8>, Option<u8>)| MemberInterval {
        valid_from: from.map(day),
        valid_to: until.map(day),
        last_seen: until.map(day),
        observed_at: day(1),
        roles: vec![role.to_owned()],
    };
    known.members[0].history = roles.iter().map(interval).collect();
}

#[test]
fn another_role_is_no_end_of_a_membership_unless_a_role_is_what_changed() {
    let demoted = MembershipChange {
        role: Some(RoleChange {
            from: Some("owner".to_owned()),
            to: Some("member".to_owned()),
        }),
        ..change(ChangeKind::RoleChanged, "hr", LEFT)
    };
    let expected_by = |change: &MembershipChange, known: &mut PersonHistory| {
        known.passed.insert(change.id, at("2027-01-01T00:00:00Z"));
        let (impact, _) = foreseen(change, known, Propagation::Manual {});
        impact.observed.and_then(|seen| seen.expected_by)
    };
    let mut known = seen(None, None, Some(9));
    known.keys[0].history[0].scopes = vec!["billing:write".to_owned()];
    roles(
        &mut known,
        &[("owner", None, Some(3)), ("member", Some(3), None)],
    );
    assert_eq!(expected_by(&removed(), &mut known), None);
    assert_eq!(expected_by(&demoted, &mut known), Some(day(3)));
    // Out of a group of owners and in one of members still: that is another role.
    let out_of_a_group = MembershipChange {
        scope: "group:owners".parse().unwrap(),
        ..removed()
    };
    let before = MembershipChange {
        scope: "group:members".parse().unwrap(),
        ..change(ChangeKind::Joined, "hr", "2026-02-01T09:00:00Z")
    };
    known.changes = vec![before, out_of_a_group.clone()];
    assert_eq!(expected_by(&out_of_a_group, &mut known), Some(day(3)));
    known.changes.clear();
    // Where somebody went and came again, they had gone.
    roles(
        &mut known,
        &[("owner", None, Some(3)), ("member", Some(5), None)],
    );
    assert_eq!(expected_by(&removed(), &mut known), Some(day(3)));
    // What ended with the change or before it is not what the change did.
    roles(
        &mut known,
        &[("owner", None, Some(1)), ("member", Some(1), None)],
    );
    assert_eq!(expected_by(&demoted, &mut known), None);
}

#[test]
fn a_key_has_shrunk_when_it_lacks_all_that_it_was_to_lose() {
    let demoted = MembershipChange {
        scope: "project:dg/p1".parse::<Scope>().unwrap(),
        role: Some(RoleChange {
            from: Some("owner".to_owned()),
            to: Some("member".to_owned()),
        }),
        ..change(ChangeKind::RoleChanged, "dg", LEFT)
    };
    let status = |before: &[&str], after: &[&str]| {
        let mut known = seen(None, None, Some(3));
        known.keys = vec![changed(before, after)];
        foreseen(&demoted, &known, Propagation::Manual {}).0.status
    };
    let (billing, owners) = ("billing:write", "owners:write");
    assert_eq!(
        status(&[billing, owners], &["usage:read"]),
        Status::Confirmed
    );
    assert_eq!(status(&[billing, owners], &[owners]), Status::Open);
    assert_eq!(status(&[billing], &[billing]), Status::Open);
    // A role stands for scopes, and a list does not tell which of them are left.
    assert_eq!(status(&["owner"], &["owner"]), Status::Open);
}

/// A key of Kim's with other scopes since the second of March.
fn changed(before: &[&str], after: &[&str]) -> Key {
    let mut key = key("k1", "prod", 9);
    let words = |scopes: &[&str]| scopes.iter().map(|&scope| scope.to_owned()).collect();
    let first = &mut key.history[0];
    (first.valid_to, first.last_seen) = (Some(day(2)), Some(day(1)));
    first.scopes = words(before);
    let next = KeyInterval {
        valid_from: Some(day(2)),
        valid_to: None,
        last_seen: None,
        scopes: words(after),
        ..first.clone()
    };
    key.history.push(next);
    key
}

#[test]
fn whoever_was_a_member_all_the_time_never_lost_the_key() {
    let back = change(ChangeKind::Reinstated, "hr", "2026-03-20T09:00:00Z");
    let stayed = |all: &[(&str, Option<u8>, Option<u8>)]| {
        let mut known = seen(None, None, None);
        known.changes = vec![removed()];
        roles(&mut known, all);
        let (impact, _) = foreseen(&back, &known, Propagation::Manual {});
        impact.returns.unwrap().label() == "never_stopped"
    };
    assert!(stayed(&[("member", None, None)]));
    assert!(stayed(&[
        ("member", None, Some(5)),
        ("admin", Some(5), None)
    ]));
    assert!(stayed(&[
        ("member", None, Some(5)),
        ("admin", Some(5), Some(25))
    ]));
    assert!(!stayed(&[
        ("member", None, Some(5)),
        ("admin", Some(6), None)
    ]));
    assert!(!stayed(&[
        ("member", None, Some(5)),
        ("admin", Some(5), Some(10))
    ]));
    assert!(
        !stayed(&[("member", None, Some(20))]),
        "gone as they came back"
    );
    assert!(
        !stayed(&[("member", None, Some(5)), ("admin", Some(5), Some(5))]),
        "no time at all"
    );
    assert!(
        !stayed(&[("member", Some(22), None)]),
        "a member only since"
    );
    assert!(
        !stayed(&[("member", Some(5), None)]),
        "a member anew in between"
    );
    assert!(stayed(&[("member", Some(1), None)]));
}

#[test]
fn a_membership_that_ended_before_the_loss_says_nothing_of_it() {
    let back = change(ChangeKind::Reinstated, "hr", "2026-03-20T09:00:00Z");
    let loss = change(ChangeKind::Removed, "hr", "2026-03-10T09:00:00Z");
    let returns = |all: &[(&str, Option<u8>, Option<u8>)]| {
        let mut known = seen(None, None, None);
        known.changes = vec![loss.clone()];
        roles(&mut known, all);
        let (impact, _) = foreseen(&back, &known, Propagation::Manual {});
        impact.returns.unwrap().label()
    };
    assert_eq!(
        returns(&[("member", None, Some(5)), ("member", Some(7), None)]),
        "never_stopped"
    );
    assert_eq!(
        returns(&[("member", None, Some(10)), ("member", Some(10), None)]),
        "never_stopped"
    );
}
