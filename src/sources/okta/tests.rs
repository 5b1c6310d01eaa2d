use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use proptest::prelude::{any, proptest};
use rstest::rstest;
use serde_json::{Value, json};

use super::Okta;
use crate::{
    config::{secret::Secrets, source::OktaConfig},
    domain::{ChangeId, ChangeKind, Scope},
    sources::{
        Reading, Request, Source, SourceError, Unauthentic,
        tests::{fixture, vectors},
    },
};

fn received_at() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn build(header: &str, secrets: &[&str]) -> Result<Okta, SourceError> {
    let config = OktaConfig {
        name: "okta".to_owned().try_into().unwrap(),
        secrets: Vec::new(),
        keep_payload: true,
        header: header.to_owned(),
        apps: BTreeMap::from([("0oaDeepgram".to_owned(), "dg".to_owned())]),
    };
    let secrets = secrets.iter().map(|&secret| secret.into()).collect();
    Okta::new(&config, Arc::new(Secrets::fixed(secrets)))
}

fn reading_of(body: &[u8]) -> Reading {
    let request = Request {
        headers: &[],
        body,
        received_at: received_at(),
    };
    build("Authorization", &["s"]).unwrap().read(&request)
}

fn reading(events: &[Value]) -> Reading {
    let envelope = json!({"eventType": "com.okta.event_hook", "data": {"events": events}});
    reading_of(envelope.to_string().as_bytes())
}

fn event(event_type: &str) -> Value {
    json!({
        "uuid": "u-1",
        "published": "2026-03-01T11:59:58.123Z",
        "eventType": event_type,
        "actor": {"id": "a1", "type": "User", "alternateId": "root@example.com"},
        "outcome": {"result": "SUCCESS", "reason": null},
        "client": {"zone": "null"},
        "target": [
            {"id": "0oaDeepgram", "type": "AppInstance", "alternateId": "unknown"},
            {"id": "00g1", "type": "UserGroup", "alternateId": "unknown", "displayName": "Voice"},
            {"id": "00u1", "type": "User", "alternateId": "Ada@example.com", "displayName": "Ada L"},
        ],
    })
}

#[rstest]
#[case("user.lifecycle.create", ChangeKind::Joined, "organisation")]
#[case("user.lifecycle.activate", ChangeKind::Reinstated, "organisation")]
#[case("user.lifecycle.reactivate", ChangeKind::Reinstated, "organisation")]
#[case("user.lifecycle.unsuspend", ChangeKind::Reinstated, "organisation")]
#[case("user.lifecycle.suspend", ChangeKind::Suspended, "organisation")]
#[case("user.lifecycle.deactivate", ChangeKind::Removed, "organisation")]
#[case("user.lifecycle.delete.initiated", ChangeKind::Removed, "organisation")]
#[case(
    "user.account.privilege.grant",
    ChangeKind::RoleChanged,
    "organisation"
)]
#[case(
    "user.account.privilege.revoke",
    ChangeKind::RoleChanged,
    "organisation"
)]
#[case("group.user_membership.add", ChangeKind::Joined, "group:00g1")]
#[case("group.user_membership.remove", ChangeKind::Removed, "group:00g1")]
#[case("application.user_membership.add", ChangeKind::Joined, "provider:dg")]
#[case(
    "application.user_membership.remove",
    ChangeKind::Removed,
    "provider:dg"
)]
fn each_type_means_its_change(
    #[case] event_type: &str,
    #[case] kind: ChangeKind,
    #[case] scope: &str,
) {
    let reading = reading(&[event(event_type)]);
    assert!(reading.unusable.is_empty(), "{:?}", reading.unusable);
    let change = &reading.changes[0];
    assert_eq!(change.change, kind);
    assert_eq!(change.scope, scope.parse::<Scope>().unwrap());
    assert_eq!(change.id, ChangeId::derive("okta", "u-1"));
    assert_eq!(change.person.account.as_deref(), Some("00u1"));
    assert_eq!(
        change.person.email.as_ref().unwrap().as_str(),
        "ada@example.com"
    );
    assert_eq!(change.person.name.as_deref(), Some("Ada L"));
    assert_eq!(change.published_at.to_string(), "2026-03-01T11:59:58.123Z");
    assert_eq!(change.effective_at, change.published_at);
    assert_eq!(change.actor.as_deref(), Some("root@example.com"));
}

#[rstest]
#[case("user.session.start")]
#[case("user.session.clear")]
#[case("user.account.lock")]
#[case("group.lifecycle.delete")]
#[case("group.privilege.grant")]
#[case("application.user_membership.update")]
#[case("something.new")]
fn what_says_nothing_about_a_person_is_ignored(#[case] event_type: &str) {
    let reading = reading(&[event(event_type)]);
    assert_eq!((reading.ignored.len(), reading.changes.len()), (1, 0));
    assert!(reading.unusable.is_empty());
}

#[test]
fn a_changed_profile_is_read_back() {
    let reading = reading(&[event("user.account.update_profile")]);
    assert!(reading.changes.is_empty());
    assert_eq!(reading.lookups[0].account, "00u1");
    assert_eq!(reading.lookups[0].event_id, "u-1");
}

#[test]
fn an_application_that_opens_no_provider_is_ignored() {
    let mut event = event("application.user_membership.remove");
    event["target"][0]["id"] = json!("0oaOther");
    let reading = reading(&[event]);
    assert_eq!((reading.ignored.len(), reading.changes.len()), (1, 0));
}

#[test]
fn what_did_not_succeed_did_not_happen() {
    for result in ["FAILURE", "SKIPPED", "DENY"] {
        let mut event = event("user.lifecycle.deactivate");
        event["outcome"]["result"] = json!(result);
        let reading = reading(&[event]);
        assert_eq!((reading.ignored.len(), reading.changes.len()), (1, 0));
    }
}

#[test]
fn a_broken_event_does_not_take_the_others_along() {
    let mut broken = event("user.lifecycle.deactivate");
    broken["uuid"] = json!("u-broken");
    broken["published"] = json!("yesterday");
    let mut last = event("user.lifecycle.suspend");
    last["uuid"] = json!("u-3");
    let nonsense = json!({"uuid": "u-4", "eventType": 7});
    let reading = reading(&[event("user.lifecycle.deactivate"), broken, last, nonsense]);
    let ids: Vec<_> = reading
        .changes
        .iter()
        .map(|one| one.event_id.as_str())
        .collect();
    assert_eq!(ids, ["u-1", "u-3"]);
    let faults: Vec<_> = reading
        .unusable
        .iter()
        .map(|one| one.event_id.as_deref().unwrap())
        .collect();
    assert_eq!(faults, ["u-broken", "u-4"]);
    assert!(
        reading.unusable[0]
            .why
            .starts_with("data.events[1].published: is not a time")
    );
}

#[rstest]
#[case("/uuid", json!(""), "data.events[0].uuid: is empty")]
#[case("/outcome", json!(null), "data.events[0].outcome.result: is missing")]
#[case("/published", json!("1971-01-01T00:00:00Z"), "data.events[0].published: ")]
#[case("/published", json!("2027-01-01T00:00:00Z"), "data.events[0].published: ")]
#[case("/target", json!([]), "data.events[0].target: holds none of type User")]
#[case("/target", json!(null), "data.events[0].target: holds none of type User")]
#[case("/target/2/id", json!(null), "data.events[0].target: holds none of type User")]
#[case(
    "/target/0",
    json!({"id": "00u2", "type": "User"}),
    "data.events[0].target: holds several of type User"
)]
fn a_fault_is_named_by_its_path(#[case] at: &str, #[case] value: Value, #[case] why: &str) {
    let mut event = event("user.lifecycle.deactivate");
    *event.pointer_mut(at).unwrap() = value;
    let reading = reading(&[event]);
    assert!(reading.changes.is_empty());
    assert!(
        reading.unusable[0].why.starts_with(why),
        "{:?}",
        reading.unusable
    );
}

#[test]
fn a_login_that_is_no_address_leaves_the_account() {
    let mut event = event("user.lifecycle.deactivate");
    event["target"][2]["alternateId"] = json!("unknown");
    let reading = reading(&[event]);
    assert_eq!(reading.changes[0].person.email, None);
    assert_eq!(reading.changes[0].person.account.as_deref(), Some("00u1"));
}

#[test]
fn an_event_repeated_in_one_delivery_counts_once() {
    let event = event("user.lifecycle.deactivate");
    let reading = reading(&[event.clone(), event]);
    assert_eq!((reading.changes.len(), reading.unusable.len()), (1, 0));
}

#[test]
fn the_secret_stands_in_the_configured_header_and_both_of_a_rotation_count() {
    let okta = build("X-Our-Word", &["old", "new"]).unwrap();
    let verify = |headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        okta.verify(&Request {
            headers: &headers,
            body: b"{}",
            received_at: received_at(),
        })
    };
    assert_eq!(verify(&[("x-our-word", "old")]), Ok(()));
    assert_eq!(verify(&[("x-our-word", "new")]), Ok(()));
    assert_eq!(verify(&[("x-our-word", "newer")]), Err(Unauthentic::Wrong));
    assert_eq!(
        verify(&[("authorization", "new")]),
        Err(Unauthentic::Missing)
    );
    let doubled = [("x-our-word", "new"), ("x-our-word", "new")];
    assert_eq!(verify(&doubled), Err(Unauthentic::Missing));
    assert_eq!(okta.proof_headers(), ["x-our-word"]);
}

#[test]
fn the_handshake_gives_the_challenge_back() {
    let okta = build("authorization", &["s"]).unwrap();
    let answer = |value: &str| {
        let name = "x-okta-verification-challenge".to_owned();
        okta.handshake(&Request {
            headers: &[(name, value.to_owned())],
            body: &[],
            received_at: received_at(),
        })
    };
    assert_eq!(answer("abc"), Some(json!({"verification": "abc"})));
    assert_eq!(answer(&"x".repeat(10_000)), None);
}

#[test]
fn what_cannot_work_is_refused_at_load() {
    assert_eq!(build("a b", &["s"]).unwrap_err().field, "header");
    assert_eq!(build("authorization", &[]).unwrap_err().field, "secrets");
}

#[rstest]
#[case(br#"{"data":{}}"#)]
#[case(br#"{"data":{"events":{}}}"#)]
#[case(br#"[]"#)]
#[case(br#"{"data":{"events":[],"events":[]}}"#)]
fn what_is_no_event_hook_cannot_be_read(#[case] body: &[u8]) {
    assert!(reading_of(body).unreadable.is_some());
}

#[test]
fn the_published_samples_are_read() {
    let (Some(deactivate), Some(added), Some(session)) = (
        vectors("okta/user.lifecycle.deactivate.logevent.json"),
        fixture("okta/group.user_membership.add.envelope.partial.json"),
        fixture("okta/user.session.start.envelope.json"),
    ) else {
        return;
    };
    let removed = reading(&[deactivate]);
    let person = &removed.changes[0].person;
    assert_eq!(
        person.email.as_ref().unwrap().as_str(),
        "john.doe@example.com"
    );
    let joined = reading_of(&added);
    assert_eq!(
        joined.changes[0].scope.to_string(),
        "group:00g3vcxkvkIPY52jL4x7"
    );
    assert_eq!(joined.changes[0].change, ChangeKind::Joined);
    assert_eq!(reading_of(&session).ignored.len(), 1);
}

#[test]
fn every_type_that_okta_publishes_is_answered() {
    let Some(catalogue) = vectors("okta/_event-type-catalog.json") else {
        return;
    };
    for known in catalogue["eventTypes"].as_array().unwrap() {
        let reading = reading(&[event(known["id"].as_str().unwrap())]);
        let said = reading.changes.len() + reading.lookups.len() + reading.ignored.len();
        assert_eq!((said, reading.unusable.len()), (1, 0), "{known}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        assert!(reading_of(&body).changes.is_empty());
    }

    #[test]
    fn an_event_with_any_value_anywhere_is_answered(
        at in 0_usize..7,
        text in ".{0,20}",
        number in any::<i64>(),
    ) {
        let pointer = [
            "/uuid", "/published", "/eventType", "/actor", "/outcome", "/target", "/target/2",
        ][at];
        for value in [json!(text), json!(number), json!([text]), json!({"id": text}), json!(null)] {
            let mut event = event("user.lifecycle.deactivate");
            *event.pointer_mut(pointer).unwrap() = value;
            let reading = reading(&[event]);
            let said = reading.changes.len() + reading.ignored.len() + reading.unusable.len();
            assert_eq!(said + usize::from(reading.unreadable.is_some()), 1);
        }
    }
}
