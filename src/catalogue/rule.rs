//! One cited rule, and what goes with it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Situation;
use crate::domain::{
    Consequence, Fate, Returns,
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
    pub symptom: Option<Symptom>,
    /// What to do.
    pub action: String,
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
    pub takes_along: Vec<Cascade>,
    /// The file that the rule is from.
    pub file: Arc<str>,
    /// The rules in whose place it stands, each with its file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<Replaced>,
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

/// Something that goes with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl Rule {
    /// The citation that goes with an impact.
    #[must_use]
    pub fn citation(&self) -> Citation {
        Citation {
            rule: self.id.clone(),
            says: self.says.clone(),
            url: self.url.clone(),
            checked: self.checked.clone(),
        }
    }

    /// What goes with the key.
    #[must_use]
    pub fn consequences(&self) -> Vec<Consequence> {
        let told = |along: &Cascade| Consequence {
            what: along.what.clone(),
            fate: along.fate,
            says: along.says.clone(),
            url: along.url.clone(),
            checked: along.checked.clone(),
        };
        self.takes_along.iter().map(told).collect()
    }
}
