//! What the provider showed of a predicted fate.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the first complete look behind a fate showed of the key.
///
/// It holds what any look that comes later shows as well, so that it does not depend on how often
/// the provider is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// By when the fate should have shown itself; absent: nobody saw the change reach the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_by: Option<Timestamp>,
    /// The first look without the key; absent: it is listed, or nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    /// With `gone_at`: the last moment the key was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Whether it speaks for or against the rule that was cited, and not merely of this key.
    pub tests_rule: bool,
    /// For a person to read.
    pub says: String,
}
