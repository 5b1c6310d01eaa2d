//! The digest of a report: the same inputs, the same digest, on every machine.

use sha2::{Digest, Sha256};

use crate::domain::{Impact, OutcomeResult};

/// SHA-256, in hex, over what the report says, without revisions.
pub(super) fn digest(result: OutcomeResult, reason: &str, impacts: &[Impact]) -> String {
    let mut hash = Sha256::new();
    hash.update(result.label());
    hash.update([0]);
    hash.update(reason);
    for impact in impacts {
        hash.update([0]);
        // Structs serialise in the order of their fields and hold no unordered map.
        hash.update(serde_json::to_vec(impact).unwrap_or_default());
    }
    hex::encode(hash.finalize())
}
