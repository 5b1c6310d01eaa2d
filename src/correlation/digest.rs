//! The digest of a report: the same inputs, the same digest, on every machine.

use crate::domain::{Impact, OutcomeResult};

/// Hashed at once, so many bytes cost a fraction of what they cost one impact after the other.
const ENOUGH: usize = 64 * 1024;

/// BLAKE3, in hex, over what the report says, without revisions.
pub(super) fn digest(result: OutcomeResult, reason: &str, impacts: &[Impact]) -> String {
    let mut hash = blake3::Hasher::new();
    let mut text = Vec::new();
    text.extend_from_slice(result.label().as_bytes());
    text.push(0);
    text.extend_from_slice(reason.as_bytes());
    for impact in impacts {
        if text.len() > ENOUGH {
            hash.update(&text);
            text.clear();
        }
        text.push(0);
        // Structs serialise in the order of their fields and hold no unordered map, and a vector
        // takes everything.
        drop(serde_json::to_writer(&mut text, impact));
    }
    hash.update(&text).finalize().to_hex().to_string()
}
