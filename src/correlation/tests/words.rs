//! What a report says, whole: a word too many is noticed as well as one that is missing.

use std::time::Duration;

use super::{
    ChangeKind, LEFT, MembershipChange, PersonHistory, Policy, account, at, change, history, key,
    member, policy,
};
use crate::{
    catalogue::Catalogue,
    correlation::{Inputs, correlate, ties::Behind},
    domain::{Impact, Propagation, Scope},
};

/// Everything that the only impact says to a person, a sentence a line.
fn said(change: &MembershipChange, history: &PersonHistory, policy: &Policy) -> String {
    let catalogue = Catalogue::built_in().unwrap();
    let report = correlate(&Inputs {
        change,
        history,
        catalogue: &catalogue,
        policy,
    });
    let [impact] = &report.impacts[..] else {
        panic!("{:?}", report.outcome);
    };
    lines(impact)
}

fn lines(impact: &Impact) -> String {
    let assessment = &impact.severity;
    let mut all = vec![format!("{}, {}", assessment.level, assessment.decided_by)];
    all.extend(
        assessment
            .reasons
            .iter()
            .map(|one| format!("because {one}")),
    );
    all.extend(
        impact
            .until_then
            .iter()
            .map(|one| format!("until then: {one}")),
    );
    all.push(format!("do: {}", impact.recommended_action));
    all.extend(
        impact
            .symptom
            .iter()
            .map(|one| format!("callers see {}", one.status)),
    );
    all.extend(
        impact
            .evidence
            .iter()
            .map(|one| format!("known: {}", one.fact)),
    );
    all.join("\n")
}

fn narrow(kind: ChangeKind, source: &str) -> MembershipChange {
    MembershipChange {
        scope: "project:dg/p1".parse::<Scope>().unwrap(),
        ..change(kind, source, LEFT)
    }
}

fn manual() -> Policy {
    policy(Propagation::Manual {})
}

fn automatic() -> Policy {
    policy(Propagation::Automatic {
        within: Duration::from_secs(3600),
    })
}

#[test]
fn a_key_that_stops_at_once() {
    let left = narrow(ChangeKind::Removed, "dg");
    let known = history(vec![key("k1", "prod", 9)]);
    let expected = [
        "critical, row 6 (fate dies or dormant or shrinks, environment production, use active: customers notice)",
        "because production: tag \"prod\"",
        "because 9 requests in 7 days",
        "because callers lose it for good",
        "do: Replace the keys of this project under a service member first; keys in other projects stay as they are.",
        "callers see 401",
        "known: dg says that kim@example.com created the key",
        "known: 9 requests in the 7 days before",
        "known: dg reported removed of kim@example.com",
    ];
    assert_eq!(said(&left, &known, &manual()), expected.join("\n"));
}

#[test]
fn a_key_that_stops_when_somebody_acts() {
    let left = narrow(ChangeKind::Removed, "hr");
    let known = history(vec![key("k1", "prod", 9)]);
    let expected = [
        "critical, row 6 (fate dies or dormant or shrinks, environment production, use active: customers notice)",
        "because production: tag \"prod\"",
        "because 9 requests in 7 days",
        "because callers lose it for good",
        "because until then it stays alive in the person's hands",
        "until then: The key stays alive in the person's hands until somebody removes the member at the provider, and stops then.",
        "do: Replace the keys of this project under a service member first; keys in other projects stay as they are.",
        "callers see 401",
        "known: dg says that kim@example.com created the key",
        "known: 9 requests in the 7 days before",
        "known: hr reported removed of kim@example.com",
    ];
    assert_eq!(said(&left, &known, &manual()), expected.join("\n"));
}

#[test]
fn a_key_of_a_kind_that_nobody_documents_where_nobody_is_left() {
    let mut known = history(vec![key("k1", "dev", 0)]);
    known.members.truncate(1);
    known.keys[0].class = "other".to_owned();
    let expected = [
        "medium, row 17 (fate survives or unknown, environment non_production: it opens nothing of production, and may be in the wrong hands)",
        "because not production: tag \"dev\"",
        "because no request known",
        "because nobody documents what becomes of it",
        "because nobody is ready to take it over",
        "do: Find out at the provider what becomes of the key, and treat it as both.",
        "known: dg says that kim@example.com created the key",
        "known: 0 requests in the 7 days before",
        "known: dg reported removed of kim@example.com",
    ];
    assert_eq!(
        said(&narrow(ChangeKind::Removed, "dg"), &known, &manual()),
        expected.join("\n")
    );
}

#[test]
fn the_key_of_a_robot_that_loses_its_human() {
    let mut known = history(vec![key("k1", "prod", 9)]);
    known.keys[0].history[0].creator = account("bot");
    let behind = Behind {
        service: "bot".to_owned(),
        others: Vec::new(),
    };
    known
        .behind
        .insert(("dg".to_owned(), "bot".to_owned()), behind);
    let expected = [
        "high, row 18 (fate survives or unknown: it may open production, and be in the wrong hands)",
        "because production: tag \"prod\"",
        "because 9 requests in 7 days",
        "because stays alive, and loses its human",
        "because it is the service account bot's, and nobody else stands behind it",
        "because no page says it outright",
        "do: Name somebody who stays as the human behind the service account, with `offkey people service-account`. Replace the key if the person saw it.",
        "known: dg says that bot@example.com created the key",
        "known: somebody said that kim@example.com stands behind the service account bot",
        "known: 9 requests in the 7 days before",
        "known: hr reported removed of kim@example.com",
    ];
    assert_eq!(
        said(&change(ChangeKind::Removed, "hr", LEFT), &known, &manual()),
        expected.join("\n")
    );
}

#[test]
fn a_key_that_can_be_somebody_elses() {
    let mut known = history(vec![key("k1", "prod", 9)]);
    let both = vec!["kim".to_owned(), "kit".to_owned()];
    known
        .doubtful
        .insert(("dg".to_owned(), "kim".to_owned()), both);
    let expected = [
        "high, row 18 (fate survives or unknown: it may open production, and be in the wrong hands)",
        "because production: tag \"prod\"",
        "because 9 requests in 7 days",
        "because nobody knows whose it is",
        "because it can be that of kim or kit; if it is this person's: dies",
        "do: Find out whose account made the key, and say so with `offkey people merge` or `split`. If it is this person's: Create a replacement under a service member, swap it in, see a week without requests on this key, then remove the member.",
        "callers see 401",
        "known: dg says that kim@example.com created the key",
        "known: its account can be that of kim or kit",
        "known: 9 requests in the 7 days before",
        "known: hr reported removed of kim@example.com",
    ];
    assert_eq!(
        said(&change(ChangeKind::Removed, "hr", LEFT), &known, &manual()),
        expected.join("\n")
    );
}

#[test]
fn a_key_of_the_last_owner() {
    let mut known = history(vec![key("k1", "prod", 9)]);
    known.members = vec![member("kim", "owner"), member("lee", "member")];
    let expected = [
        "critical, row 6 (fate dies or dormant or shrinks, environment production, use active: customers notice)",
        "because production: tag \"prod\"",
        "because 9 requests in 7 days",
        "because the removal is refused",
        "because until then it stays alive in the person's hands",
        "because once the removal goes through it dies",
        "because nobody is ready to take it over",
        "until then: The provider refuses the removal as things are: the key stays alive in the person's hands until that is mended.",
        "do: Make somebody who stays an owner of the project and move the callers to a key of theirs; the removal goes through after that, and ends this key.",
        "known: dg says that kim@example.com created the key",
        "known: 9 requests in the 7 days before",
        "known: hr reported removed of kim@example.com",
    ];
    assert_eq!(
        said(&change(ChangeKind::Removed, "hr", LEFT), &known, &manual()),
        expected.join("\n")
    );
}

#[test]
fn a_key_that_never_stopped_and_was_replaced() {
    let mut known = history(vec![key("k1", "prod", 9)]);
    known.changes = vec![change(ChangeKind::Removed, "hr", "2026-02-20T00:00:00Z")];
    let mut next = key("k1 v2", "prod", 9);
    next.history[0].creator = account("lee");
    next.created_at = Some(at("2026-02-22T00:00:00Z"));
    known.others = vec![next];
    let expected = [
        "high, row 2 (returns comes_back or never_stopped, replaced yes: it works although it was replaced, and nobody watches it any more)",
        "because production: tag \"prod\"",
        "because 9 requests in 7 days",
        "because works all the time",
        "because it never stopped: dg kept the member all the time",
        "because lee@example.com replaced it by k1 v2 (k1 v2) meanwhile",
        "do: End this key at the provider: its callers have k1 v2 (k1 v2).",
        "known: dg says that kim@example.com created the key",
        "known: 9 requests in the 7 days before",
        "known: hr reported removed before",
        "known: hr reported reinstated of kim@example.com",
    ];
    assert_eq!(
        said(
            &change(ChangeKind::Reinstated, "hr", LEFT),
            &known,
            &manual()
        ),
        expected.join("\n")
    );
}

#[test]
fn a_key_that_never_stopped() {
    let mut known = history(vec![key("k1", "prod", 9)]);
    known.changes = vec![change(ChangeKind::Removed, "hr", "2026-02-20T00:00:00Z")];
    let expected = [
        "info, row 3 (returns comes_back or never_stopped: it works as before, in the hands of somebody who may have it)",
        "because production: tag \"prod\"",
        "because 9 requests in 7 days",
        "because works all the time",
        "because it never stopped: dg kept the member all the time",
        "do: Nothing to do because of the return: the key works as before.",
        "known: dg says that kim@example.com created the key",
        "known: 9 requests in the 7 days before",
        "known: hr reported removed before",
        "known: hr reported reinstated of kim@example.com",
    ];
    assert_eq!(
        said(
            &change(ChangeKind::Reinstated, "hr", LEFT),
            &known,
            &manual()
        ),
        expected.join("\n")
    );
}

#[test]
fn a_key_that_stops_by_itself_in_a_month() {
    let soon = MembershipChange {
        published_at: at("2026-02-01T00:00:00Z"),
        ..change(ChangeKind::LeaveScheduled, "hr", LEFT)
    };
    let known = history(vec![key("k1", "prod", 9)]);
    let expected = [
        "critical, row 6 (fate dies or dormant or shrinks, environment production, use active: customers notice)",
        "because production: tag \"prod\"",
        "because 9 requests in 7 days",
        "because callers lose it for good",
        "because there is time to move its callers",
        "until then: The provider follows by itself within 1h: the key can stop at any time from then on.",
        "do: Create a replacement under a service member, swap it in, see a week without requests on this key, then remove the member.",
        "callers see 401",
        "known: dg says that kim@example.com created the key",
        "known: 9 requests in the 7 days before",
        "known: hr reported leave_scheduled of kim@example.com",
    ];
    assert_eq!(said(&soon, &known, &automatic()), expected.join("\n"));
}

#[test]
fn our_own_key_that_stops_when_somebody_acts() {
    let mut known = history(vec![key("k1", "prod", 9)]);
    known.own_keys.insert(("dg".to_owned(), "k1".to_owned()));
    let expected = [
        "critical, row 5 (ours yes: it is the key that Offkey reads the provider with)",
        "because Offkey reads dg with it",
        "because production: tag \"prod\"",
        "because 9 requests in 7 days",
        "because callers lose it for good",
        "because until then it stays alive in the person's hands",
        "until then: The key stays alive in the person's hands until somebody removes the member at the provider, and stops then.",
        "do: First of all give Offkey a key of somebody who stays: this is the one it reads dg with. Create a replacement under a service member, swap it in, see a week without requests on this key, then remove the member.",
        "callers see 401",
        "known: dg says that kim@example.com created the key",
        "known: 9 requests in the 7 days before",
        "known: hr reported removed of kim@example.com",
    ];
    assert_eq!(
        said(&change(ChangeKind::Removed, "hr", LEFT), &known, &manual()),
        expected.join("\n")
    );
}

#[test]
fn our_own_key_that_survives() {
    let mut known = history(vec![key("k1", "prod", 9)]);
    known.own_keys.insert(("dg".to_owned(), "k1".to_owned()));
    let expected = [
        "critical, row 5 (ours yes: it is the key that Offkey reads the provider with)",
        "because Offkey reads dg with it",
        "because production: tag \"prod\"",
        "because 9 requests in 7 days",
        "because stays alive in the person's hands",
        "do: First of all give Offkey a key of somebody who stays: this is the one it reads dg with. Decide whether the suspended person may keep a working key; if not, replace it and delete it.",
        "known: dg says that kim@example.com created the key",
        "known: 9 requests in the 7 days before",
        "known: hr reported suspended of kim@example.com",
    ];
    assert_eq!(
        said(
            &change(ChangeKind::Suspended, "hr", LEFT),
            &known,
            &automatic()
        ),
        expected.join("\n")
    );
}

#[test]
fn of_two_rows_that_are_as_bad_the_one_of_the_fate_that_is_told_is_named() {
    let mut known = history(vec![key("k1", "prod", 9)]);
    known.keys[0].uses.clear();
    let said = said(&narrow(ChangeKind::Removed, "hr"), &known, &manual());
    assert!(said.starts_with("high, row 7 (fate dies"), "{said}");
}
