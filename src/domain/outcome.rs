//! What came of a change: the report and its header.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ChangeId, ChangeKind, Fate, Impact, Record, Scope, Severity, Status, Topic, id::content_id,
    impact::Person, preview::Previewed,
};

/// What came of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeResult {
    /// There are impacts.
    Report,
    /// The person is known and has no key within the scope.
    NoKeys,
    /// No inventory knows the person.
    UnknownPerson,
    /// The change takes nothing away, or nothing beside what an earlier report tells of.
    NoEffect,
    /// Two people or more can be meant: the keys of all of them are told, and nothing is guessed.
    Ambiguous,
}

impl OutcomeResult {
    /// The result's name in JSON, tables and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::NoKeys => "no_keys",
            Self::UnknownPerson => "unknown_person",
            Self::NoEffect => "no_effect",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// The one outcome of one change: the report's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Of which change.
    pub change_id: ChangeId,
    /// From 1.
    pub revision: u32,
    /// What came of it.
    pub result: OutcomeResult,
    /// What happened.
    pub change: ChangeKind,
    /// How far it reaches.
    pub scope: Scope,
    /// When it takes effect.
    pub effective_at: Timestamp,
    /// Whether there are impacts of which no source told: two looks at the provider differ.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reconciled: bool,
    /// Whose change it was.
    pub person: Person,
    /// How many impacts that stand have which fate.
    pub fates: BTreeMap<Fate, u32>,
    /// How many impacts that stand are how bad.
    pub severities: BTreeMap<Severity, u32>,
    /// How many impacts have which status other than open.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<Status, u32>,
    /// BLAKE3, in hex, over the report's impacts without their revisions.
    pub digest: String,
    /// Why it came to this, for a person to read.
    pub reason: String,
    /// Who can be meant, where that is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// How it compares with the latest recorded preview, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previewed: Option<Previewed>,
}

/// All impacts of one change. A preview is a report of a change that has not happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The header.
    pub outcome: Outcome,
    /// Ordered by severity (worst first), then by provider, project and key.
    pub impacts: Vec<Impact>,
}

impl Outcome {
    /// The CloudEvents type of an outcome.
    pub const TYPE: &str = "offkey.outcome.v1";

    /// The record that carries the outcome, in the partition of its change.
    #[must_use]
    pub fn to_record(&self, partition_key: &str, recorded_at: Timestamp) -> Record {
        let revision = self.revision.to_be_bytes();
        let id = content_id(&[b"outcome-revision", self.change_id.0.as_bytes(), &revision]);
        Record::json(Topic::Outcomes, partition_key.to_owned(), self)
            .id(id.to_string())
            .kind(Self::TYPE)
            .source("/correlation".to_owned())
            .subject(self.change_id.to_string())
            .time(recorded_at)
            .recorded_at(recorded_at)
            .correlation(self.change_id)
    }
}
