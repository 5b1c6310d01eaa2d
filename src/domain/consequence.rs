//! What else follows from a change: what goes with a key, and what comes back with a person.

use serde::{Deserialize, Serialize};

use super::Fate;

/// Something that goes with a key or an account, and where that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consequence {
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

/// A key that took the place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// The provider's own id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// The account that made it.
    pub creator: String,
}

/// Whether keys come back when their person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Returns {
    /// They work again.
    ComesBack,
    /// They stay ended.
    GoneForGood,
    /// They worked all the time.
    NeverStopped,
    /// Nobody documents it.
    Unknown,
}

impl Returns {
    /// The name in files, JSON and tables.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ComesBack => "comes_back",
            Self::GoneForGood => "gone_for_good",
            Self::NeverStopped => "never_stopped",
            Self::Unknown => "unknown",
        }
    }

    /// What becomes of the key with the return.
    #[must_use]
    pub fn fate(self) -> Fate {
        match self {
            Self::ComesBack | Self::NeverStopped => Fate::Survives,
            Self::GoneForGood => Fate::Dies,
            Self::Unknown => Fate::Unknown,
        }
    }
}
