//! What became of a delivery to a sink: the records behind it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ChangeId, Record, Topic, id::content_id};

/// The most characters of a reason that are kept.
const MOST_WHY: usize = 500;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// The receiver has it.
    Delivered,
    /// It lies in the dead letters.
    DeadLettered,
    /// The sink takes nothing until somebody mends it.
    Parked,
    /// The sink takes records again.
    Resumed,
}

impl DeliveryStatus {
    /// The status's name in JSON, tables and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::DeadLettered => "dead_lettered",
            Self::Parked => "parked",
            Self::Resumed => "resumed",
        }
    }
}

/// What became of bringing one record to one sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// The configured name of the sink.
    pub sink: String,
    /// Which impact; the record's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact_id: Option<String>,
    /// Which revision of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The CloudEvents id that the receiver sees in every attempt.
    pub event_id: String,
    /// The id of the wish, when somebody asked for it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrive_id: Option<String>,
    /// What came of it.
    pub status: DeliveryStatus,
    /// Attempts since this process took the record.
    pub attempts: u32,
    /// When the first of them began.
    pub first_attempt_at: Timestamp,
    /// When this was known.
    pub finished_at: Timestamp,
    /// Why, for a person to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl DeliveryRecord {
    /// The CloudEvents type of a delivery.
    pub const TYPE: &str = "offkey.delivery.v1";

    /// The record that carries it, in the partition `key`.
    ///
    /// A delivery that is repeated after a crash has the same id. Parking and resuming happen
    /// again and again to the same event, so the moment belongs to theirs.
    #[must_use]
    pub fn to_record(&self, key: &str) -> Record {
        let moment = match self.status {
            DeliveryStatus::Delivered | DeliveryStatus::DeadLettered => 0,
            DeliveryStatus::Parked | DeliveryStatus::Resumed => self.finished_at.as_microsecond(),
        };
        let id = content_id(&[
            b"delivery",
            self.sink.as_bytes(),
            self.event_id.as_bytes(),
            self.redrive_id.as_deref().unwrap_or_default().as_bytes(),
            self.status.label().as_bytes(),
            &moment.to_be_bytes(),
        ]);
        let record = Record::json(Topic::Deliveries, key.to_owned(), self);
        finish(record, id.to_string(), Self::TYPE, &self.sink)
            .subject(self.event_id.clone())
            .time(self.finished_at)
            .recorded_at(self.finished_at)
    }
}

/// A record as it was, with its data byte for byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Original {
    /// Where it lived.
    pub topic: Topic,
    /// What it was partitioned by.
    pub key: String,
    /// CloudEvents `id`.
    pub id: String,
    /// CloudEvents `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// CloudEvents `time`.
    pub time: Timestamp,
    /// CloudEvents `recordedtime`.
    pub recordedtime: Timestamp,
    /// CloudEvents `correlationid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlationid: Option<ChangeId>,
    /// The data, when it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// The data, when it is not (CloudEvents JSON format 1.0, section 3.1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
}

impl Original {
    /// Keeps `record`.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        // White space around a document would be lost, and `null` reads as absent: such bytes are
        // kept encoded.
        let data = serde_json::from_slice::<Box<RawValue>>(&record.data)
            .ok()
            .filter(|raw| raw.get().as_bytes() == record.data && raw.get() != "null");
        let encoded = data.is_none().then(|| STANDARD.encode(&record.data));
        Self {
            topic: record.topic,
            key: record.key.clone(),
            id: record.id.clone(),
            kind: record.kind.clone(),
            source: record.source.clone(),
            subject: record.subject.clone(),
            time: record.happened_at(),
            recordedtime: record.heard_at(),
            correlationid: record.correlation,
            data,
            data_base64: encoded,
        }
    }

    /// The record as it was.
    ///
    /// # Errors
    /// When `data_base64` is not base64.
    pub fn into_record(self) -> Result<Record, base64::DecodeError> {
        let data: Vec<u8> = match (self.data, self.data_base64) {
            (Some(raw), _) => raw.get().as_bytes().to_vec(),
            (None, Some(encoded)) => STANDARD.decode(encoded)?,
            (None, None) => Vec::new(),
        };
        let mut record = Record::json(self.topic, self.key, &())
            .id(self.id)
            .kind(&self.kind)
            .source(self.source)
            .time(self.time)
            .recorded_at(self.recordedtime);
        record.subject = self.subject;
        record.correlation = self.correlationid;
        record.data = data.into();
        Ok(record)
    }
}

/// Why a record became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterCause {
    /// The receiver will never take it.
    Refused,
    /// The receiver did not take it within the time given to it.
    GaveUp,
}

/// A record that a sink could not bring to its receiver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The configured name of the sink.
    pub sink: String,
    /// Refused, or given up.
    pub cause: DeadLetterCause,
    /// Why, for a person to read.
    pub why: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When the first attempt began.
    pub first_attempt_at: Timestamp,
    /// When the last attempt ended.
    pub last_attempt_at: Timestamp,
    /// The record itself.
    pub original: Original,
}

impl DeadLetter {
    /// The CloudEvents type of a dead letter.
    pub const TYPE: &str = "offkey.dead-letter.v1";

    /// The id of the dead letter of the event `event_id` in `sink`.
    #[must_use]
    pub fn id(sink: &str, event_id: &str) -> String {
        content_id(&[b"dead-letter", sink.as_bytes(), event_id.as_bytes()]).to_string()
    }

    /// The record that carries it, in the partition of the original.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let record = Record::json(Topic::DeadLetters, self.original.key.clone(), self);
        let id = Self::id(&self.sink, &self.original.id);
        let mut record = finish(record, id, Self::TYPE, &self.sink)
            .subject(self.original.id.clone())
            .time(self.last_attempt_at)
            .recorded_at(self.last_attempt_at);
        record.correlation = self.original.correlationid;
        record
    }
}

/// The wish that a sink tries a dead letter again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Redrive {
    /// The configured name of the sink.
    pub sink: String,
    /// Who wishes it.
    pub requested_by: String,
    /// Since when.
    pub requested_at: Timestamp,
    /// What to deliver.
    pub original: Original,
}

impl Redrive {
    /// The CloudEvents type of a redrive.
    pub const TYPE: &str = "offkey.redrive.v1";

    /// The record that carries it, in the partition of the original.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let moment = self.requested_at.as_microsecond().to_be_bytes();
        let id = content_id(&[
            b"redrive",
            self.sink.as_bytes(),
            self.original.id.as_bytes(),
            &moment,
        ]);
        let record = Record::json(Topic::DeadLetters, self.original.key.clone(), self);
        let mut record = finish(record, id.to_string(), Self::TYPE, &self.sink)
            .subject(self.original.id.clone())
            .time(self.requested_at)
            .recorded_at(self.requested_at);
        record.correlation = self.original.correlationid;
        record
    }
}

/// `why` without control characters and at most 500 characters long.
#[must_use]
pub fn bounded_reason(why: &str) -> String {
    why.chars()
        .filter(|character| !character.is_control())
        .take(MOST_WHY)
        .collect()
}

fn finish(record: Record, id: String, kind: &str, sink: &str) -> Record {
    record.id(id).kind(kind).source(format!("/sinks/{sink}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;

    use super::{
        DeadLetter, DeadLetterCause, DeliveryRecord, DeliveryStatus, Original, Redrive,
        bounded_reason,
    };
    use crate::domain::{Record, Topic};

    fn record(data: &[u8]) -> Record {
        let mut record = Record::json(Topic::Impacts, "part".to_owned(), &())
            .id("event-1".to_owned())
            .kind("offkey.impact.v1")
            .source("/correlation".to_owned())
            .subject("impact-1".to_owned())
            .time(Timestamp::from_second(60).unwrap())
            .recorded_at(Timestamp::from_second(61).unwrap());
        record.data = data.to_vec().into();
        record
    }

    fn letter(record: &Record) -> DeadLetter {
        DeadLetter {
            sink: "siem".to_owned(),
            cause: DeadLetterCause::Refused,
            why: "422".to_owned(),
            attempts: 1,
            first_attempt_at: Timestamp::from_second(70).unwrap(),
            last_attempt_at: Timestamp::from_second(71).unwrap(),
            original: Original::of(record),
        }
    }

    #[rstest]
    #[case::json(br#"{"b": 1.0,  "a":"\u00e9"}"#)]
    #[case::surrounded_by_space(b" {} \n")]
    #[case::no_json(b"\xff{")]
    #[case::null(b"null")]
    #[case::nothing(b"")]
    fn a_dead_letter_gives_the_original_back_byte_for_byte(#[case] data: &[u8]) {
        let original = record(data);
        let carried: DeadLetter = letter(&original).to_record().read().unwrap();
        assert_eq!(carried.original.into_record().unwrap(), original);
    }

    #[test]
    fn a_redrive_is_one_record_a_wish_and_carries_the_original() {
        let original = record(b"{}");
        let mut wish = Redrive {
            sink: "siem".to_owned(),
            requested_by: "ann@example.com".to_owned(),
            requested_at: Timestamp::from_second(90).unwrap(),
            original: Original::of(&original),
        };
        let first = wish.to_record();
        assert_eq!(first.id, wish.to_record().id);
        wish.requested_at = Timestamp::from_second(91).unwrap();
        assert_ne!(first.id, wish.to_record().id);
        let carried: Redrive = first.read().unwrap();
        assert_eq!(carried.original.into_record().unwrap(), original);
    }

    fn delivery(status: DeliveryStatus, second: i64) -> DeliveryRecord {
        DeliveryRecord {
            sink: "siem".to_owned(),
            impact_id: None,
            revision: None,
            event_id: "event-1".to_owned(),
            redrive_id: None,
            status,
            attempts: 1,
            first_attempt_at: Timestamp::from_second(1).unwrap(),
            finished_at: Timestamp::from_second(second).unwrap(),
            why: None,
        }
    }

    #[rstest]
    #[case(DeliveryStatus::Delivered, true)]
    #[case(DeliveryStatus::DeadLettered, true)]
    #[case(DeliveryStatus::Parked, false)]
    #[case(DeliveryStatus::Resumed, false)]
    fn a_repeated_delivery_has_one_id_and_every_parking_its_own(
        #[case] status: DeliveryStatus,
        #[case] same: bool,
    ) {
        let first = delivery(status, 5).to_record("part");
        let second = delivery(status, 6).to_record("part");
        assert_eq!(first.id == second.id, same);
        assert_eq!(first.topic, Topic::Deliveries);
    }

    #[test]
    fn a_reason_is_bounded_and_printable() {
        let reason = bounded_reason(&format!("a\n\u{1b}b{}", "x".repeat(9_000)));
        assert!(reason.starts_with("abx"));
        assert_eq!(reason.chars().count(), 500);
    }
}
