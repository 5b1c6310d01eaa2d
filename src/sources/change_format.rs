//! Our own change format: what a sender without an adapter of its own can say.

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;

use super::{
    Ignored, Reading, Request, Unusable, json,
    time::{TimeFormat, check_effective, check_published},
};
use crate::domain::{ChangeId, ChangeKind, MembershipChange, PersonRef, RoleChange, Scope};

/// The `type` of a message that holds a membership change.
pub const TYPE: &str = "membership.changed";

/// One message, to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeMessage {
    /// [`TYPE`].
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When it was published.
    pub timestamp: Timestamp,
    /// The change.
    pub data: ChangeData,
}

impl ChangeMessage {
    /// A message of `data`, published at `timestamp`.
    #[must_use]
    pub fn new(timestamp: Timestamp, data: ChangeData) -> Self {
        Self {
            kind: TYPE,
            timestamp,
            data,
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeData {
    /// What happened.
    pub change: ChangeKind,
    /// To whom.
    pub person: PersonRef,
    /// How far it reaches; absent: the whole organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// When it takes effect; absent: when it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// For `role_changed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleChange>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The message around the data, of any type.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

/// The data with its parts unread, so that a fault in one can be named by its path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    change: ChangeKind,
    person: Box<RawValue>,
    #[serde(default)]
    scope: Option<Box<RawValue>>,
    #[serde(default)]
    effective_at: Option<Box<RawValue>>,
    #[serde(default)]
    role: Option<Box<RawValue>>,
    #[serde(default)]
    actor: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// RFC 3339, or whole seconds since 1970.
struct Moment(Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        let wanted = "is neither a time such as 2026-03-01T12:00:00Z nor whole seconds since 1970";
        let time = match Written::deserialize(from) {
            Ok(Written::Number(seconds)) => Timestamp::from_second(seconds).ok(),
            Ok(Written::Text(text)) => TimeFormat::Rfc3339.parse(&text).ok(),
            Err(_) => None,
        };
        time.map(Self).ok_or_else(|| D::Error::custom(wanted))
    }
}

/// A time, or a day: its first moment where the source is.
struct MomentOrDay(Result<Timestamp, String>);

impl<'de> Deserialize<'de> for MomentOrDay {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        if let Ok(day) = serde_json::from_str::<String>(raw.get())
            && TimeFormat::Date.parse(&day).is_ok()
        {
            return Ok(Self(Err(day)));
        }
        let moment: Result<Moment, _> = serde_json::from_str(raw.get());
        let wanted = "is neither a time such as 2026-03-01T12:00:00Z, nor whole seconds since 1970, \
                      nor a day such as 2026-03-01";
        let moment = moment.map_err(|_| D::Error::custom(wanted));
        moment.map(|Moment(time)| Self(Ok(time)))
    }
}

impl MomentOrDay {
    fn in_zone(self, zone: &TimeZone) -> Result<Timestamp, String> {
        match self.0 {
            Ok(time) => Ok(time),
            Err(day) => TimeFormat::Date.parse_in(&day, zone),
        }
    }
}

/// Reads the body of `request`, which the source `name` calls `event_id`; days begin as in UTC.
#[must_use]
pub fn read(name: &str, event_id: &str, request: &Request<'_>) -> Reading {
    read_in(&TimeZone::UTC, name, event_id, request)
}

/// The same for a source in `zone`.
#[must_use]
pub fn read_in(zone: &TimeZone, name: &str, event_id: &str, request: &Request<'_>) -> Reading {
    let text = match json::check(request.body) {
        Ok(text) => text,
        Err(why) => return Reading::unreadable(why),
    };
    let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) else {
        let wanted = "an object with the texts \"type\" and \"timestamp\" and the object \"data\"";
        return Reading::unreadable(format!("the body is not {wanted}"));
    };
    let mut reading = Reading::default();
    if envelope.kind != TYPE {
        reading.ignored.push(Ignored {
            event_id: event_id.to_owned(),
            why: "another type than membership.changed",
        });
        return reading;
    }
    match change(&envelope, (name, event_id), zone, request.received_at) {
        Ok(change) => reading.changes.push(change),
        Err(why) => reading.unusable.push(Unusable {
            event_id: Some(event_id.to_owned()),
            why,
        }),
    }
    reading
}

fn change(
    envelope: &Envelope<'_>,
    (source, event_id): (&str, &str),
    zone: &TimeZone,
    received_at: Timestamp,
) -> Result<MembershipChange, String> {
    let timestamp = envelope.timestamp.ok_or("timestamp: is missing")?;
    let Moment(published) = json::read(timestamp.get(), "timestamp")?;
    let published_at =
        check_published(published, received_at).map_err(|why| format!("timestamp: {why}"))?;
    let data = envelope.data.ok_or("data: is missing")?;
    let parts: Parts = json::read(data.get(), "data")?;
    let person: PersonRef = json::read(parts.person.get(), "data.person")?;
    if person.is_nobody() {
        return Err("data.person: give an email or an account".to_owned());
    }
    let scope = part(parts.scope.as_deref(), "data.scope")?;
    let role = part(parts.role.as_deref(), "data.role")?;
    let effective = part::<MomentOrDay>(parts.effective_at.as_deref(), "data.effective_at")?;
    if parts.change == ChangeKind::LeaveScheduled && effective.is_none() {
        return Err("data.effective_at: is missing; a scheduled leave needs it".to_owned());
    }
    let effective_at = match effective {
        Some(told) => told
            .in_zone(zone)
            .and_then(|time| check_effective(time, received_at))
            .map_err(|why| format!("data.effective_at: {why}"))?,
        None => published_at,
    };
    Ok(MembershipChange {
        id: ChangeId::derive(source, event_id),
        source: source.to_owned(),
        event_id: event_id.to_owned(),
        change: parts.change,
        person,
        scope: scope.unwrap_or(Scope::Organisation {}),
        effective_at,
        not_before: None,
        published_at,
        role,
        actor: parts.actor,
        reason: parts.reason,
    })
}

fn part<T: serde::de::DeserializeOwned>(
    raw: Option<&RawValue>,
    path: &str,
) -> Result<Option<T>, String> {
    raw.map(|raw| json::read(raw.get(), path)).transpose()
}

#[cfg(test)]
mod tests {
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
}
