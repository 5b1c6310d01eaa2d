//! The digest of a report: the same inputs, the same digest, on every machine.

use crate::domain::{Impact, OutcomeResult};

/// BLAKE3, in hex, over what the report says, without revisions.
pub(super) fn digest(result: OutcomeResult, reason: &str, impacts: &[Impact]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(result.label().as_bytes());
    hash.update(&[0]);
    hash.update(reason.as_bytes());
    let mut text = Vec::new();
    for impact in impacts {
        text.clear();
        text.push(0);
        // Structs serialise in the order of their fields and hold no unordered map, and a vector
        // takes everything.
        drop(serde_json::to_writer(&mut text, impact));
        hash.update(&text);
    }
    hash.finalize().to_hex().to_string()
}
