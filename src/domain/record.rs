//! One record of the log: a CloudEvent 1.0 in binary mode, as Kafka carries it.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{ChangeId, id::content_id, json};

/// The durable topics everything flows through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// One membership change each; the evidence.
    Membership,
    /// "Something happened to this account: read it back".
    Lookups,
    /// Members, keys and projects with their history, and the summaries of snapshots; compacted.
    Inventory,
    /// What people said; compacted.
    Curation,
    /// The one outcome of one change, by revision.
    Outcomes,
    /// One revision of one impact each.
    Impacts,
    /// Authentic requests that could not be used.
    Quarantine,
    /// What became of a delivery to a sink.
    Deliveries,
    /// Impacts that a sink's receiver refused, and the wish to try one again.
    DeadLetters,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 9] = [
        Self::Membership,
        Self::Lookups,
        Self::Inventory,
        Self::Curation,
        Self::Outcomes,
        Self::Impacts,
        Self::Quarantine,
        Self::Deliveries,
        Self::DeadLetters,
    ];

    /// The topic's name, without the configured prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Membership => "membership",
            Self::Lookups => "lookups",
            Self::Inventory => "inventory",
            Self::Curation => "curation",
            Self::Outcomes => "outcomes",
            Self::Impacts => "impacts",
            Self::Quarantine => "quarantine",
            Self::Deliveries => "deliveries",
            Self::DeadLetters => "dead-letters",
        }
    }

    /// Whether only the newest record of a key is kept.
    #[must_use]
    pub fn is_compacted(self) -> bool {
        matches!(self, Self::Inventory | Self::Curation)
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Topic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|topic| topic.name() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                format!("{text:?} is no topic; known are {known}")
            })
    }
}

/// One record: CloudEvents attributes, a partition key, and JSON data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where it lives.
    pub topic: Topic,
    /// What it is partitioned and compacted by; the CloudEvents `partitionkey`.
    pub key: String,
    /// CloudEvents `id`: with `source` it identifies the event; a repeat has the same.
    pub id: String,
    /// CloudEvents `type`.
    pub kind: String,
    /// CloudEvents `source`, a URI reference.
    pub source: String,
    /// CloudEvents `subject`.
    pub subject: Option<String>,
    /// CloudEvents `time`, in microseconds since the epoch: when it happened.
    time: i64,
    /// CloudEvents `recordedtime`, in microseconds since the epoch: when we heard of it.
    recorded: i64,
    /// CloudEvents `correlationid`: the change it is all about.
    pub correlation: Option<ChangeId>,
    /// The JSON data, as bytes.
    pub data: Bytes,
}

/// A record whose data is not what its type promises.
#[derive(Debug, thiserror::Error)]
#[error("record {id} of type {kind} in {topic} cannot be read: {reason}")]
pub struct UnreadableRecord {
    topic: Topic,
    id: String,
    kind: String,
    #[source]
    reason: serde_json::Error,
}

impl Record {
    /// A record of `data` in `topic`, to be completed by the other setters.
    #[must_use]
    pub fn json<T: Serialize>(topic: Topic, key: String, data: &T) -> Self {
        Self::bytes(topic, key, json::to_bytes(data).unwrap_or_default())
    }

    /// A record of `data`, JSON already, to be completed by the other setters.
    #[must_use]
    pub fn bytes(topic: Topic, key: String, data: Bytes) -> Self {
        Self {
            topic,
            key,
            id: String::new(),
            kind: String::new(),
            source: String::new(),
            subject: None,
            time: 0,
            recorded: 0,
            correlation: None,
            data,
        }
    }

    /// Sets CloudEvents `id`.
    #[must_use]
    pub fn id(mut self, id: String) -> Self {
        self.id = id;
        self
    }

    /// Sets CloudEvents `type`.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        kind.clone_into(&mut self.kind);
        self
    }

    /// Sets CloudEvents `source`.
    #[must_use]
    pub fn source(mut self, source: String) -> Self {
        self.source = source;
        self
    }

    /// Sets CloudEvents `subject`.
    #[must_use]
    pub fn subject(mut self, subject: String) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Sets CloudEvents `time`.
    #[must_use]
    pub fn time(mut self, time: Timestamp) -> Self {
        self.time = time.as_microsecond();
        self
    }

    /// Sets CloudEvents `recordedtime`.
    #[must_use]
    pub fn recorded_at(mut self, time: Timestamp) -> Self {
        self.recorded = time.as_microsecond();
        self
    }

    /// Sets CloudEvents `correlationid`.
    #[must_use]
    pub fn correlation(mut self, change: ChangeId) -> Self {
        self.correlation = Some(change);
        self
    }

    /// CloudEvents `time`.
    #[must_use]
    pub fn happened_at(&self) -> Timestamp {
        Timestamp::from_microsecond(self.time).unwrap_or_default()
    }

    /// CloudEvents `recordedtime`.
    #[must_use]
    pub fn heard_at(&self) -> Timestamp {
        Timestamp::from_microsecond(self.recorded).unwrap_or_default()
    }

    /// The data as `T`.
    ///
    /// # Errors
    /// [`UnreadableRecord`] when the data is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, UnreadableRecord> {
        serde_json::from_slice(&self.data).map_err(|reason| UnreadableRecord {
            topic: self.topic,
            id: self.id.clone(),
            kind: self.kind.clone(),
            reason,
        })
    }

    /// That it is not of another version of the type `kind`: what has another meaning may look the
    /// same.
    ///
    /// # Errors
    /// [`UnreadableRecord`] when it is.
    pub fn is_no_newer(&self, kind: &str) -> Result<(), UnreadableRecord> {
        fn stem(kind: &str) -> Option<&str> {
            kind.rsplit_once(".v").map(|(stem, _)| stem)
        }
        if self.kind == kind || stem(&self.kind) != stem(kind) {
            return Ok(());
        }
        let why = format!("this version of Offkey reads {kind}");
        Err(UnreadableRecord {
            topic: self.topic,
            id: self.id.clone(),
            kind: self.kind.clone(),
            reason: serde::de::Error::custom(why),
        })
    }

    /// The attributes by name, without the data (CloudEvents 1.0, section 3.1).
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("specversion", "1.0".to_owned()),
            ("id", self.id.clone()),
            ("source", self.source.clone()),
            ("type", self.kind.clone()),
            ("time", self.happened_at().to_string()),
            ("datacontenttype", "application/json".to_owned()),
            ("partitionkey", self.key.clone()),
            ("recordedtime", self.heard_at().to_string()),
        ];
        all.extend(self.subject.clone().map(|subject| ("subject", subject)));
        all.extend(self.correlation.map(|id| ("correlationid", id.to_string())));
        all.extend(self.traceparent().map(|trace| ("traceparent", trace)));
        all
    }

    /// CloudEvents `traceparent` (its distributed tracing extension; W3C Trace Context, section
    /// 3.2): one trace a change, whose id is the change's, and one span a record.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        let trace = self.correlation?.0.simple();
        let parts: [&[u8]; 3] = [b"span", self.source.as_bytes(), self.id.as_bytes()];
        let (span, _) = content_id(&parts).as_u64_pair();
        // The first half of an id holds its version, so the span is never zero.
        Some(format!("00-{trace}-{span:016x}-01"))
    }

    /// The whole event in structured mode (CloudEvents JSON format 1.0, section 3).
    #[must_use]
    pub fn to_cloudevent(&self) -> serde_json::Value {
        let mut event: serde_json::Map<_, _> = self
            .attributes()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let data = serde_json::from_slice(&self.data).unwrap_or(serde_json::Value::Null);
        event.insert("data".to_owned(), data);
        event.into()
    }
}

/// `time` in whole microseconds: so exactly do records tell it, in their data as in their
/// attributes.
#[must_use]
pub fn whole_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::{Record, Topic, whole_microseconds};
    use crate::domain::ChangeId;

    #[test]
    fn the_records_of_one_change_are_spans_of_one_trace() {
        let change = ChangeId::derive("hr", "msg_1");
        let record = |id: &str| Record::json(Topic::Impacts, "k".to_owned(), &()).id(id.to_owned());
        let trace = |id| record(id).correlation(change).traceparent().unwrap();
        let (first, second) = (trace("a"), trace("b"));
        let parts: Vec<_> = first.split('-').collect();
        assert_eq!(
            parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
            [2, 32, 16, 2]
        );
        assert_eq!(parts[1], change.0.simple().to_string());
        assert_eq!(parts[1], second.split('-').nth(1).unwrap());
        assert_ne!(first, second);
        assert_eq!(first, trace("a"));
        assert_eq!(record("a").traceparent(), None);
    }

    #[test]
    fn a_time_is_the_same_in_the_data_and_in_the_attributes() {
        let time = whole_microseconds("2026-03-01T12:00:00.123456789Z".parse().unwrap());
        let record = Record::json(Topic::Impacts, "k".to_owned(), &time).time(time);
        assert_eq!(record.happened_at(), time);
        assert_eq!(
            record.to_cloudevent()["time"],
            record.to_cloudevent()["data"]
        );
        assert_eq!(time.to_string(), "2026-03-01T12:00:00.123456Z");
    }
}
