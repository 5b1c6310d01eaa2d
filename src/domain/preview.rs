//! A preview that somebody recorded, so that the report of the real change can cite it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ChangeKind, Email, Fate, Impact, Outcome, OutcomeResult, Record, Report, Scope, Severity,
    Topic, id::content_id, impact::Successor,
};

/// What a preview said, as far as the real report can be held against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Of whom.
    pub person: Email,
    /// What was imagined.
    pub change: ChangeKind,
    /// How far.
    pub scope: Scope,
    /// From when.
    pub effective_at: Timestamp,
    /// When the preview was made.
    pub made_at: Timestamp,
    /// What came of it.
    pub result: OutcomeResult,
    /// The digest of its report.
    pub digest: String,
    /// What would have become of which key.
    pub keys: Vec<PreviewedKey>,
}

/// What would have become of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewedKey {
    /// The configured name of the provider.
    pub provider: String,
    /// The project's id.
    pub project: String,
    /// The provider's own id.
    pub id: String,
    /// What would have become of it.
    pub fate: Fate,
    /// With `shrinks`: what it would have lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_scopes: Vec<String>,
    /// How bad.
    pub severity: Severity,
    /// Who would have taken it over; absent: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Email>,
}

/// How a report compares with the latest preview of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previewed {
    /// The digest of the preview's report.
    pub digest: String,
    /// When the preview was made.
    pub at: Timestamp,
    /// Whether every key came as it was previewed.
    pub same: bool,
    /// What did not, ordered by provider, project and key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<Difference>,
}

/// One thing that came otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The configured name of the provider.
    pub provider: String,
    /// The project's id.
    pub project: String,
    /// The provider's own id of the key.
    pub key: String,
    /// What of it.
    pub what: Aspect,
    /// As it was previewed; absent: nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// As it is; absent: it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

/// What of a key is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// What becomes of it; a key that one of the two lacks differs in this.
    Fate,
    /// What it loses.
    LostScopes,
    /// How bad it is.
    Severity,
    /// Who takes it over.
    Successor,
}

impl Aspect {
    /// The name in JSON and tables.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Fate => "fate",
            Self::LostScopes => "lost_scopes",
            Self::Severity => "severity",
            Self::Successor => "successor",
        }
    }
}

impl PreviewedKey {
    /// What `impact` says of its key, as far as it is compared.
    #[must_use]
    pub fn of(impact: &Impact) -> Self {
        Self {
            provider: impact.key.provider.clone(),
            project: impact.key.project.clone(),
            id: impact.key.id.clone(),
            fate: impact.fate,
            lost_scopes: impact.lost_scopes.clone(),
            severity: impact.severity.level,
            successor: match &*impact.successor {
                Successor::Found(contact) => Some(contact.email.clone()),
                Successor::None { .. } => None,
            },
        }
    }

    /// What is compared, as text.
    #[must_use]
    pub fn aspects(&self) -> [(Aspect, Option<String>); 4] {
        let lost = (!self.lost_scopes.is_empty()).then(|| self.lost_scopes.join(", "));
        [
            (Aspect::Fate, Some(self.fate.to_string())),
            (Aspect::LostScopes, lost),
            (Aspect::Severity, Some(self.severity.to_string())),
            (
                Aspect::Successor,
                self.successor.as_ref().map(ToString::to_string),
            ),
        ]
    }
}

impl Preview {
    /// The CloudEvents type of a recorded preview.
    pub const TYPE: &str = "offkey.preview.v1";

    /// What to record of `report` about the person with this address, made at `made_at`.
    #[must_use]
    pub fn of(report: &Report, person: Email, made_at: Timestamp) -> Self {
        let Outcome {
            change,
            scope,
            effective_at,
            result,
            digest,
            ..
        } = report.outcome.clone();
        Self {
            person,
            change,
            scope,
            effective_at,
            made_at,
            result,
            digest,
            keys: report.impacts.iter().map(PreviewedKey::of).collect(),
        }
    }

    /// The record that carries the preview. Its key is its own, so that compaction keeps it beside
    /// later ones: a report cites the latest one before its change, not the latest one.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let data = serde_json::to_vec(self).unwrap_or_default();
        let id = content_id(&[b"preview", &data]).to_string();
        Record::bytes(Topic::Curation, format!("preview/{id}"), data.into())
            .id(id)
            .kind(Self::TYPE)
            .source("/preview".to_owned())
            .subject(self.person.to_string())
            .time(self.made_at)
            .recorded_at(self.made_at)
    }
}
