//! What somebody decided about people: which accounts are one person's, and which are robots'.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Email, Record, Topic, id::content_id};

/// What an account or an address is called, `SYSTEM:ID` or `ada@example.com`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Anchor {
    /// An account in one system.
    Account {
        /// A source's or provider's name.
        system: String,
        /// The system's own id.
        id: String,
    },
    /// An address.
    Address(Email),
}

/// Why a text names neither an account nor an address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is neither an address nor an account; write ada@example.com or SYSTEM:ID")]
pub struct NotAnAnchor(String);

impl std::str::FromStr for Anchor {
    type Err = NotAnAnchor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((system, id)) if !system.is_empty() && !id.is_empty() && !system.contains('@') => {
                Ok(Self::Account {
                    system: system.to_owned(),
                    id: id.to_owned(),
                })
            }
            Some(_) | None => Email::parse(text)
                .map(Self::Address)
                .map_err(|_| NotAnAnchor(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for Anchor {
    type Error = NotAnAnchor;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Anchor> for String {
    fn from(anchor: Anchor) -> Self {
        anchor.to_string()
    }
}

impl std::fmt::Display for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account { system, id } => write!(f, "{system}:{id}"),
            Self::Address(email) => email.fmt(f),
        }
    }
}

/// One decision about people. A later one about the same stands for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeopleDecision {
    /// What was decided.
    #[serde(flatten)]
    pub what: Decided,
    /// What was known of them then, for whoever asks why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// When somebody decided it.
    pub decided_at: Timestamp,
    /// Whether it was taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
}

/// What can be decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decided {
    /// Both are one person's.
    Merge {
        /// One.
        one: Anchor,
        /// The other.
        other: Anchor,
    },
    /// It is not that person's to whom addresses lead.
    Split {
        /// An account whose addresses say nothing, or an address to which no change of address
        /// leads.
        apart: Anchor,
    },
    /// It is no human's.
    ServiceAccount {
        /// Which.
        account: Anchor,
        /// The people who use it and answer for it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        behind: Vec<Email>,
    },
}

impl Decided {
    /// What it is about: the compaction key of its record.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Merge { one, other } => {
                let (first, second) = (one.min(other), one.max(other));
                format!("people/merge/{first}/{second}")
            }
            Self::Split { apart } => format!("people/split/{apart}"),
            Self::ServiceAccount { account, .. } => format!("people/service-account/{account}"),
        }
    }

    /// By what it can be named on the command line.
    #[must_use]
    pub fn id(&self) -> String {
        content_id(&[b"people-decision", self.key().as_bytes()]).to_string()
    }

    /// Whom it is about.
    #[must_use]
    pub fn anchors(&self) -> Vec<&Anchor> {
        match self {
            Self::Merge { one, other } => vec![one, other],
            Self::Split { apart } => vec![apart],
            Self::ServiceAccount { account, .. } => vec![account],
        }
    }
}

impl PeopleDecision {
    /// The CloudEvents type of a decision about people.
    pub const TYPE: &str = "offkey.people-decision.v1";

    /// The record that carries the decision.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let key = self.what.key();
        let record = Record::json(Topic::Curation, key.clone(), self);
        let id = content_id(&[key.as_bytes(), &record.data]).to_string();
        record
            .id(id)
            .kind(Self::TYPE)
            .source("/people".to_owned())
            .subject(self.what.id())
            .time(self.decided_at)
            .recorded_at(self.decided_at)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Anchor, Decided};

    #[rstest]
    #[case("ada@example.com", Some("ada@example.com"))]
    #[case(" Ada@Example.com ", Some("ada@example.com"))]
    #[case("okta:00u1", Some("okta:00u1"))]
    #[case("hr:ada@example.com", Some("hr:ada@example.com"))]
    #[case("ada", None)]
    #[case("okta:", None)]
    #[case(":00u1", None)]
    fn an_anchor_is_an_account_or_an_address(#[case] text: &str, #[case] read: Option<&str>) {
        let anchor = text.parse::<Anchor>().ok();
        assert_eq!(anchor.map(String::from).as_deref(), read);
    }

    #[test]
    fn a_merge_is_the_same_decision_either_way_round() {
        let merge = |one: &str, other: &str| Decided::Merge {
            one: one.parse().unwrap(),
            other: other.parse().unwrap(),
        };
        let (one, other) = (merge("a@x", "dg:m1"), merge("dg:m1", "a@x"));
        assert_eq!((one.key(), one.id()), (other.key(), other.id()));
        assert_ne!(one.id(), merge("a@x", "dg:m2").id());
    }
}
