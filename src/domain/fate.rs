//! What a change does to a key, and how it gets there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a change does to one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Stops for good.
    Dies,
    /// Stops, may come back.
    Dormant,
    /// Loses scopes.
    Shrinks,
    /// Stays alive.
    Survives,
    /// The removal itself is refused.
    Blocks,
    /// Nobody documents it.
    Unknown,
}

impl Fate {
    /// The fate's name in JSON, tables and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Dies => "dies",
            Self::Dormant => "dormant",
            Self::Shrinks => "shrinks",
            Self::Survives => "survives",
            Self::Blocks => "blocks",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

/// How a change in one system reaches a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Propagation {
    /// By itself, within a stated time.
    Automatic {
        /// The longest it takes.
        #[serde(with = "humantime_serde")]
        within: Duration,
    },
    /// A person has to act.
    Manual {},
    /// Never.
    None {},
    /// The change happened at the provider itself.
    Direct {},
}
