//! One record that a worker has taken, and the records that say what became of it.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;
use tracing::field::{DisplayValue, display};

use crate::domain::{
    ChangeId, Impact, Record, Topic,
    delivery::{
        DeadLetter, DeadLetterCause, DeliveryRecord, DeliveryStatus, Original, Redrive,
        bounded_reason,
    },
    reminder::Reminder,
};

/// One record to deliver.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) record: Record,
    redrive_id: Option<String>,
    pub(super) attempts: u32,
    first_attempt_at: Option<Timestamp>,
    /// Since when it is tried, for giving up; a parked sink starts anew.
    trying_since: Option<Instant>,
    /// When it is tried next.
    pub(super) due: Instant,
    pub(super) is_running: bool,
}

#[derive(Deserialize)]
struct Revision {
    revision: u32,
}

impl Job {
    /// The delivery that `record` asks the sink `sink` for; nothing when it asks for none.
    pub(super) fn read(record: Record, sink: &str, now: Instant) -> Option<Self> {
        let (record, redrive_id) = match (record.topic, record.kind.as_str()) {
            (Topic::Impacts, Impact::TYPE | Reminder::TYPE) => (record, None),
            (Topic::DeadLetters, Redrive::TYPE) => {
                let wish = read_redrive(&record).filter(|wish| wish.sink == sink)?;
                let original = wish.original.into_record();
                let original = original.inspect_err(|reason| {
                    tracing::error!(sink.name = sink, event.id = record.id, %reason, "unreadable redrive");
                });
                (original.ok()?, Some(record.id))
            }
            _ => return None,
        };
        Some(Self {
            record,
            redrive_id,
            attempts: 0,
            first_attempt_at: None,
            trying_since: None,
            due: now,
            is_running: false,
        })
    }

    pub(super) fn start(&mut self, at: Timestamp, now: Instant) {
        self.attempts += 1;
        self.first_attempt_at.get_or_insert(at);
        self.trying_since.get_or_insert(now);
        self.is_running = true;
    }

    /// The change it is all about, for messages.
    pub(super) fn change(&self) -> Option<DisplayValue<ChangeId>> {
        self.record.correlation.map(display)
    }

    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        self.trying_since
            .map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    /// The time while the sink was parked is not held against the record.
    pub(super) fn start_anew(&mut self, now: Instant) {
        self.trying_since = None;
        if !self.is_running {
            self.due = now;
        }
    }

    /// The record that says `status` of it.
    pub(super) fn status(
        &self,
        sink: &str,
        status: DeliveryStatus,
        at: Timestamp,
        why: Option<&str>,
    ) -> Record {
        let is_impact = self.record.kind == Impact::TYPE;
        let revision = self.record.read::<Revision>().ok();
        let mut record = DeliveryRecord {
            sink: sink.to_owned(),
            impact_id: self.record.subject.clone().filter(|_| is_impact),
            revision: revision.map(|known| known.revision),
            event_id: self.record.id.clone(),
            redrive_id: self.redrive_id.clone(),
            status,
            attempts: self.attempts,
            first_attempt_at: self.first_attempt_at.unwrap_or(at),
            finished_at: at,
            why: why.map(bounded_reason),
        }
        .to_record(&self.record.key);
        record.correlation = self.record.correlation;
        record
    }

    /// The dead letter, and the record that says so.
    pub(super) fn dead_letter(
        &self,
        sink: &str,
        cause: DeadLetterCause,
        at: Timestamp,
        why: &str,
    ) -> Vec<Record> {
        let letter = DeadLetter {
            sink: sink.to_owned(),
            cause,
            why: bounded_reason(why),
            attempts: self.attempts,
            first_attempt_at: self.first_attempt_at.unwrap_or(at),
            last_attempt_at: at,
            original: Original::of(&self.record),
        };
        let status = self.status(sink, DeliveryStatus::DeadLettered, at, Some(why));
        vec![letter.to_record(), status]
    }
}

fn read_redrive(record: &Record) -> Option<Redrive> {
    let wish = record.read::<Redrive>();
    wish.inspect_err(|reason| tracing::error!(event.id = record.id, %reason, "unreadable redrive"))
        .ok()
}
