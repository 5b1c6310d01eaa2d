use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::{any, proptest};
use rstest::rstest;
use serde_json::{Value, json};

use super::{ChangeData, ChangeMessage, read, read_in};
use crate::{
    domain::{ChangeId, ChangeKind, MembershipChange, PersonRef, RoleChange, Scope},
    sources::{Reading, Request},
};

#[test]
fn a_day_begins_in_the_zone_of_the_source() {
    let leave = json!({"change": "leave_scheduled", "effective_at": "2026-03-31"});
    let body = message(leave).to_string();
    let request = Request {
        headers: &[],
        body: body.as_bytes(),
        received_at: received_at(),
    };
    for (zone, begins) in [
        ("Europe/Berlin", "2026-03-30T22:00:00Z"),
        ("America/Los_Angeles", "2026-03-31T07:00:00Z"),
    ] {
        let zone = TimeZone::get(zone).unwrap();
        let change = read_in(&zone, "hr", "msg_1", &request).changes.remove(0);
        assert_eq!(change.effective_at, begins.parse().unwrap());
    }
}

fn received_at() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn reading(body: &[u8]) -> Reading {
    let request = Request {
        headers: &[],
        body,
        received_at: received_at(),
    };
    read("hr", "msg_1", &request)
}

fn change(body: &Value) -> MembershipChange {
    let mut reading = reading(body.to_string().as_bytes());
    assert!(reading.unusable.is_empty(), "{:?}", reading.unusable);
    reading.changes.remove(0)
}

fn message(data: Value) -> Value {
    let mut message = json!({
        "type": "membership.changed",
        "timestamp": "2026-03-01T11:59:00Z",
        "data": {"change": "removed", "person": {"email": "Ada@example.com"}},
    });
    if let (Some(into), Value::Object(fields)) = (message["data"].as_object_mut(), data) {
        into.extend(fields);
    }
    message
}

#[test]
fn what_is_left_out_means_the_organisation_and_the_time_of_publication() {
    let change = change(&message(json!({})));
    assert_eq!(change.id, ChangeId::derive("hr", "msg_1"));
    assert_eq!(change.scope, Scope::Organisation {});
    assert_eq!(change.published_at.to_string(), "2026-03-01T11:59:00Z");
    assert_eq!(change.effective_at, change.published_at);
    assert_eq!(change.person.email.unwrap().as_str(), "ada@example.com");
}

#[test]
fn a_time_is_a_text_or_seconds() {
    let mut message = message(json!({"effective_at": 1_772_370_000}));
    message["timestamp"] = json!(1_772_366_340);
    let change = change(&message);
    assert_eq!(change.published_at.to_string(), "2026-03-01T11:59:00Z");
    assert_eq!(change.effective_at.to_string(), "2026-03-01T13:00:00Z");
}

#[test]
fn what_the_library_writes_it_reads_back_whole() {
    let data = ChangeData {
        change: ChangeKind::RoleChanged,
        person: PersonRef {
            email: Some("ada@example.com".parse().unwrap()),
            account: Some("u1".to_owned()),
            name: Some("Ada".to_owned()),
            formerly: Some("ada@old.example".parse().unwrap()),
        },
        scope: Some("project:dg/p1".parse().unwrap()),
        effective_at: Some("2026-03-02T00:00:00Z".parse().unwrap()),
        role: Some(RoleChange {
            from: Some("owner".to_owned()),
            to: Some("member".to_owned()),
        }),
        actor: Some("root@example.com".to_owned()),
        reason: Some("moved".to_owned()),
    };
    let message = ChangeMessage::new(received_at(), data.clone());
    let change = change(&serde_json::to_value(message).unwrap());
    let read_back = ChangeData {
        change: change.change,
        person: change.person,
        scope: Some(change.scope),
        effective_at: Some(change.effective_at),
        role: change.role,
        actor: change.actor,
        reason: change.reason,
    };
    assert_eq!(read_back, data);
}

#[rstest]
#[case::an_unknown_field(json!({"persn": {}}), "data: unknown field `persn`")]
#[case::an_unknown_field_of_the_person(
    json!({"person": {"mail": "a@example.com"}}),
    "data.person: unknown field `mail`"
)]
#[case::an_unknown_field_of_the_scope(
    json!({"scope": {"kind": "group", "grp": "g"}}),
    "data.scope: unknown field `grp`"
)]
#[case::an_unknown_field_of_the_role(json!({"role": {"form": "a"}}), "data.role: unknown field `form`")]
#[case::an_unknown_change(json!({"change": "fired"}), "data: unknown variant `fired`")]
#[case::nobody(json!({"person": {"name": "Ada"}}), "data.person: give an email or an account")]
#[case::an_empty_account(json!({"person": {"account": ""}}), "data.person: give an email")]
#[case::no_address(json!({"person": {"email": "ada"}}), "data.person: \"ada\" is no e-mail address")]
#[case::a_leave_without_its_day(
    json!({"change": "leave_scheduled"}),
    "data.effective_at: is missing"
)]
#[case::a_day_that_is_none(json!({"effective_at": "tomorrow"}), "data.effective_at: is neither")]
#[case::milliseconds(json!({"effective_at": 1_772_370_000_000_i64}), "data.effective_at: ")]
#[case::no_data_at_all(json!({"person": null}), "data.person: ")]
fn a_fault_is_named_by_its_path(#[case] data: Value, #[case] why: &str) {
    let reading = reading(message(data).to_string().as_bytes());
    assert!(reading.changes.is_empty());
    let fault = &reading.unusable[0];
    assert_eq!(fault.event_id.as_deref(), Some("msg_1"));
    assert!(fault.why.starts_with(why), "{}", fault.why);
}

#[test]
fn another_type_is_ignored_whatever_it_holds() {
    let reading = reading(br#"{"type":"user.created","data":[1]}"#);
    assert_eq!((reading.ignored.len(), reading.unusable.len()), (1, 0));
}

#[rstest]
#[case(b"[]")]
#[case(b"{\"data\":{}}")]
#[case(b"{\"type\":1}")]
#[case(b"{\"type\":\"membership.changed\",\"type\":\"other\"}")]
#[case(b"\xef\xbb\xbf{}")]
fn what_is_no_message_cannot_be_read(#[case] body: &[u8]) {
    assert!(reading(body).unreadable.is_some());
}

#[test]
fn a_message_without_a_time_is_not_usable() {
    let mut message = message(json!({}));
    message["timestamp"] = Value::Null;
    let why = &reading(message.to_string().as_bytes()).unusable[0].why;
    assert!(why.starts_with("timestamp: "), "{why}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let reading = reading(&body);
        assert!(reading.changes.is_empty());
    }
}
