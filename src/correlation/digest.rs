//! The digest of a report: the same inputs, the same digest, on every machine.

use crate::domain::{Impact, OutcomeResult, json::Text};

/// Hashed at once, so many bytes cost a fraction of what they cost one impact after the other.
const ENOUGH: usize = 64 * 1024;

/// BLAKE3, in hex, over what the report says, without revisions.
pub(super) fn digest(result: OutcomeResult, reason: &str, impacts: &[Impact]) -> String {
    let mut hash = blake3::Hasher::new();
    let mut text = Text(Vec::with_capacity(4096));
    text.0.extend_from_slice(result.label().as_bytes());
    text.0.push(0);
    text.0.extend_from_slice(reason.as_bytes());
    for impact in impacts {
        if text.0.len() > ENOUGH {
            hash.update(&text.0);
            text.0.clear();
        }
        text.0.push(0);
        // Structs serialise in the order of their fields and hold no unordered map, and a vector
        // takes everything.
        drop(serde_json::to_writer(&mut text, impact));
    }
    hash.update(&text.0).finalize().to_hex().to_string()
}
