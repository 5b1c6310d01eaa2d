//! One cited rule, and what goes with it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Situation;
use crate::domain::{
    Consequence, Fate, Returns, Shared,
    impact::{Citation, Symptom},
};

/// One cited rule: what becomes of the keys of one class in one situation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Names the rule; no other has the same.
    pub id: String,
    /// The provider's kind.
    pub provider: String,
    /// The credential class.
    pub class: String,
    /// When it applies.
    pub on: Situation,
    /// What happens.
    pub fate: Fate,
    /// For `reinstated`: whether keys come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returns: Option<Returns>,
    /// What callers see then, where somebody documents it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symptom: Option<Shared<Symptom>>,
    /// What to do.
    pub action: Shared<String>,
    /// What the cited page says, in our words.
    pub says: String,
    /// Where.
    pub url: String,
    /// The day somebody read it there (`YYYY-MM-DD`).
    pub checked: String,
    /// What of the rule no page says outright, and why we read it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inferred: Option<String>,
    /// Sources that say otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// What goes with the key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub takes_along: Vec<Shared<Consequence>>,
    /// The file that the rule is from.
    pub file: Arc<str>,
    /// The rules in whose place it stands, each with its file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<Replaced>,
    /// The citation that goes with an impact.
    #[serde(skip)]
    pub cited: Shared<Citation>,
}

/// A source that says something else than the rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// What it says, in our words.
    pub says: String,
    /// Where.
    pub url: String,
    /// The day somebody read it there (`YYYY-MM-DD`).
    pub checked: String,
}

/// Something that goes with a key, as a file says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cascade {
    /// What: keys, connections or rules that hang on this one.
    pub what: String,
    /// What becomes of it.
    pub fate: Fate,
    /// What the cited page says, in our words.
    pub says: String,
    /// Where.
    pub url: String,
    /// The day somebody read it there (`YYYY-MM-DD`).
    pub checked: String,
}

/// A rule that another one stands in place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// Its name.
    pub id: String,
    /// The file that it is from.
    pub file: Arc<str>,
}

impl From<&Cascade> for Shared<Consequence> {
    fn from(along: &Cascade) -> Self {
        let told = Consequence {
            what: along.what.clone(),
            fate: along.fate,
            says: along.says.clone(),
            url: along.url.clone(),
            checked: along.checked.clone(),
        };
        told.into()
    }
}
