//! Our own change format: what a sender without an adapter of its own can say.

#[cfg(test)]
mod tests;

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
