//! Ids derived from content, so that a repeat of the same thing is the same record.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A `UUIDv8` (RFC 9562 section 5.8) from the BLAKE3 hash of length-prefixed parts.
///
/// The prefix keeps `("ab", "c")` and `("a", "bc")` apart.
#[must_use]
pub fn content_id(parts: &[&[u8]]) -> Uuid {
    let mut text = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    let digest = blake3::hash(&text);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    Uuid::new_v8(bytes)
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id_type! {
    /// Names one membership change: the source and the source's own event id.
    ChangeId
}
id_type! {
    /// Names one key's fate because of one change; stable over revisions.
    ImpactId
}

impl ChangeId {
    /// The id of the event that `source` calls `event_id`.
    #[must_use]
    pub fn derive(source: &str, event_id: &str) -> Self {
        Self(content_id(&[
            b"change",
            source.as_bytes(),
            event_id.as_bytes(),
        ]))
    }
}

impl ImpactId {
    /// The id of what `change` does to the key `key` in `project` of `provider`.
    #[must_use]
    pub fn derive(change: ChangeId, provider: &str, project: &str, key: &str) -> Self {
        Self(content_id(&[
            b"impact",
            change.0.as_bytes(),
            provider.as_bytes(),
            project.as_bytes(),
            key.as_bytes(),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::{ChangeId, content_id};

    #[test]
    fn the_same_event_has_the_same_id_and_another_source_another() {
        assert_eq!(
            ChangeId::derive("okta", "e1"),
            ChangeId::derive("okta", "e1")
        );
        assert_ne!(ChangeId::derive("okta", "e1"), ChangeId::derive("hr", "e1"));
    }

    #[test]
    fn moving_a_byte_between_parts_makes_another_id() {
        assert_ne!(content_id(&[b"ab", b"c"]), content_id(&[b"a", b"bc"]));
    }
}
