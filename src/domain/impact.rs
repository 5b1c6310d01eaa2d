//! What a change does to keys.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ChangeId, ChangeKind, Consequence, Email, Fate, ImpactId, Observed, Propagation, Record,
    Replacement, Returns, Scope, Shared, Topic, id::content_id,
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    Info,
    /// When there is time.
    Low,
    /// This week.
    Medium,
    /// Today.
    High,
    /// Now.
    Critical,
}

impl Severity {
    /// The severity's name in JSON, tables and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

/// Where a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Customers notice.
    Production,
    /// Colleagues notice.
    NonProduction,
    /// Nothing says.
    Unknown,
}

impl Environment {
    /// The environment's name in JSON and tables.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::NonProduction => "non_production",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether an impact still holds, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It will hold from the day of the announced leave on.
    Scheduled,
    /// It holds.
    Open,
    /// It came as predicted.
    Confirmed,
    /// The key was predicted to stop and is still listed.
    StillAlive,
    /// The key was predicted to live and is gone.
    DiedUnexpectedly,
    /// Nobody could see in time whether it came as predicted.
    Unverifiable,
    /// A strictly later change undid the one that caused it.
    Superseded,
    /// What we learnt later says that it never held.
    Withdrawn,
}

impl Status {
    /// The status's name in JSON, tables and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::StillAlive => "still_alive",
            Self::DiedUnexpectedly => "died_unexpectedly",
            Self::Unverifiable => "unverifiable",
            Self::Superseded => "superseded",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether the change does, or did, to the key what the impact says or something worse.
    #[must_use]
    pub fn stands(self) -> bool {
        !matches!(self, Self::Superseded | Self::Withdrawn)
    }

    /// Whether somebody still has something to do about it.
    #[must_use]
    pub fn is_unresolved(self) -> bool {
        self.stands() && self != Self::Confirmed
    }
}

/// Somebody who can be asked to act.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Contact {
    /// How to reach them.
    pub email: Email,
    /// How to call them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why it is them.
    pub why: String,
}

/// Whose change it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The address, else `system:account`.
    pub id: String,
    /// The address, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// The name, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The key as it was when the change took effect: never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffectedKey {
    /// The configured name of the provider.
    pub provider: String,
    /// The project's id.
    pub project: String,
    /// The project's name, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// The provider's own id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// The credential class.
    pub class: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Where it is used.
    pub environment: Environment,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it stops by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The newest request known; absent: none known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// Requests in the 7 days before we looked; absent: use is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_7d: Option<u64>,
    /// Whether Offkey itself reads the provider with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ours: bool,
}

/// What callers will see when the key has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symptom {
    /// The HTTP status.
    pub status: u16,
    /// The provider's error code.
    pub code: String,
    /// The provider's message.
    pub message: String,
}

/// A severity and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// How bad.
    pub level: Severity,
    /// Why, one sentence each.
    pub reasons: Vec<Cow<'static, str>>,
    /// The row of the policy's table that decided, or what decided instead.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub decided_by: Shared<String>,
}

fn is_empty(text: &Shared<String>) -> bool {
    text.is_empty()
}

/// Who takes the key over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Successor {
    /// Somebody.
    Found(Contact),
    /// Nobody.
    None {
        /// Why there is nobody.
        none_because: String,
    },
}

/// The catalogue rule that says so, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// The rule's id in the catalogue.
    pub rule: String,
    /// What the cited page says, in our words.
    pub says: String,
    /// Where.
    pub url: String,
    /// The day somebody read it there (`YYYY-MM-DD`).
    pub checked: String,
}

/// One thing we know and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The fact.
    pub fact: Shared<String>,
    /// When it was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// One key's fate because of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impact {
    /// Stable over revisions.
    pub impact_id: ImpactId,
    /// From 1; a reader drops what is not newer than what it has seen.
    pub revision: u32,
    /// The change that causes it.
    pub change_id: ChangeId,
    /// The digest of the report it belongs to.
    pub report_digest: String,
    /// Whether it still holds.
    pub status: Status,
    /// What happened.
    pub change: ChangeKind,
    /// The configured name of the source that reported it.
    pub source: String,
    /// The source's own id of the event.
    pub event_id: String,
    /// How far the change reaches.
    pub scope: Scope,
    /// When the change takes effect where it happened.
    pub change_effective_at: Timestamp,
    /// Whether no source told of the change: two looks at the provider differ.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reconciled: bool,
    /// Whose change it was.
    pub person: Shared<Person>,
    /// Which key.
    pub key: AffectedKey,
    /// What becomes of the key when the change reaches the provider.
    pub fate: Fate,
    /// With `shrinks`: what it may no longer do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_scopes: Vec<String>,
    /// When somebody came back: whether the key does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<Returns>,
    /// The key that took its place in the meantime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<Replacement>,
    /// What goes with the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes_along: Vec<Shared<Consequence>>,
    /// How the change reaches the provider.
    pub propagation: Propagation,
    /// Until when the key certainly works; absent: until somebody acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// What the reader must know about the time before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_then: Option<Shared<String>>,
    /// How bad it is.
    pub severity: Shared<Assessment>,
    /// When it must be dealt with.
    pub act_by: Timestamp,
    /// Who must act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible: Option<Shared<Contact>>,
    /// What callers will see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom: Option<Shared<Symptom>>,
    /// Who takes the key over.
    pub successor: Shared<Successor>,
    /// What to do.
    pub recommended_action: Shared<String>,
    /// Where the fate is documented.
    pub rule: Shared<Citation>,
    /// What the fate rests on.
    pub evidence: Vec<Shared<Evidence>>,
    /// What the provider showed of it afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
}

impl Impact {
    /// The CloudEvents type of an impact.
    pub const TYPE: &str = "offkey.impact.v1";

    /// The record that carries the impact, in the partition of its change.
    #[must_use]
    pub fn to_record(&self, partition_key: &str, recorded_at: Timestamp) -> Record {
        let revision = self.revision.to_be_bytes();
        let id = content_id(&[b"impact-revision", self.impact_id.0.as_bytes(), &revision]);
        Record::json(Topic::Impacts, partition_key.to_owned(), self)
            .id(id.to_string())
            .kind(Self::TYPE)
            .source("/correlation".to_owned())
            .subject(self.impact_id.to_string())
            .time(recorded_at)
            .recorded_at(recorded_at)
            .correlation(self.change_id)
    }
}
