//! Sources: each turns one authentic request into membership changes. No IO.

pub mod change_format;
pub mod declarative;
mod json;
mod mapping;
pub mod okta;
mod proof;
pub mod signature;
pub mod standard_webhooks;
pub mod time;

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    config::{secret::Secrets, source::SourceConfig},
    domain::{MembershipChange, Record, Topic, id::content_id},
};

/// The source that `config` describes.
///
/// # Errors
/// [`SourceError`] when the configuration says something that cannot be.
pub fn build(
    config: &SourceConfig,
    secrets: SharedSecrets,
) -> Result<Box<dyn Source>, SourceError> {
    Ok(match config {
        SourceConfig::Okta(okta) => Box::new(okta::Okta::new(okta, secrets)?),
        SourceConfig::StandardWebhooks(standard) => {
            Box::new(standard_webhooks::StandardWebhooks::new(standard, secrets)?)
        }
        SourceConfig::Declarative(declarative) => {
            Box::new(declarative::Declarative::new(declarative, secrets)?)
        }
    })
}

/// What cannot be in the configuration of a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source {name}: {field}: {why}")]
pub struct SourceError {
    /// The source's name.
    pub name: String,
    /// The field's path below the source.
    pub field: String,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl SourceError {
    fn new(name: &str, field: &str, why: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            field: field.to_owned(),
            why: why.into(),
        }
    }
}

/// One request, as it came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// All headers in order of arrival, names in lower case.
    pub headers: &'a [(String, String)],
    /// The raw body: what signatures are over.
    pub body: &'a [u8],
    /// When we got it.
    pub received_at: Timestamp,
}

impl<'a> Request<'a> {
    /// The value of `name` (in lower case) when the header is there exactly once.
    ///
    /// A header given twice is nobody's: two readers would see two values.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// One configured sender of membership changes.
pub trait Source: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// Proves, over the raw bytes and in constant time, that the request is from the sender.
    ///
    /// # Errors
    /// [`Unauthentic`], for the log only: the sender learns nothing but 401.
    fn verify(&self, request: &Request<'_>) -> Result<(), Unauthentic>;

    /// What the verified request says.
    fn read(&self, request: &Request<'_>) -> Reading;

    /// The answer to the sender's one-time verification (GET), when it is one.
    fn handshake(&self, _request: &Request<'_>) -> Option<serde_json::Value> {
        None
    }

    /// The headers (in lower case) that hold the proof; nobody may keep their values.
    fn proof_headers(&self) -> Vec<String> {
        vec!["authorization".to_owned()]
    }

    /// The HTTP status that the sender takes for success.
    fn accepted_status(&self) -> u16 {
        202
    }
}

/// Why a request is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthentic {
    /// What should prove it is absent, doubled or malformed.
    #[error("the proof is missing or malformed")]
    Missing,
    /// It proves something else.
    #[error("the proof does not fit the request and any active secret")]
    Wrong,
    /// It is too old or from the future.
    #[error("the timestamp is outside the tolerance")]
    Stale,
    /// No secret is configured or readable.
    #[error("no secret is available to check with")]
    NoSecret,
}

/// What one verified request says: possibly several things.
#[derive(Debug, Default)]
pub struct Reading {
    /// Membership changes.
    pub changes: Vec<MembershipChange>,
    /// Events that carry no state: it has to be read back from the source.
    pub lookups: Vec<Lookup>,
    /// Test events and events that mean nothing to us.
    pub ignored: Vec<Ignored>,
    /// Authentic, and not usable: they go to quarantine.
    pub unusable: Vec<Unusable>,
    /// The body as a whole cannot be read; it goes to quarantine and the sender is told why, so
    /// that the text quotes nothing of the body.
    pub unreadable: Option<String>,
}

/// "Something happened to this account: read it back."
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lookup {
    /// The configured name of the source.
    pub source: String,
    /// The source's own id of the event.
    pub event_id: String,
    /// The source's own id of the account.
    pub account: String,
}

impl Lookup {
    /// The CloudEvents type of a lookup.
    pub const TYPE: &str = "offkey.lookup.v1";

    /// The record that carries the lookup, heard of at `recorded_at`.
    #[must_use]
    pub fn to_record(&self, recorded_at: Timestamp) -> Record {
        let id = content_id(&[
            b"lookup",
            self.source.as_bytes(),
            self.event_id.as_bytes(),
            self.account.as_bytes(),
        ]);
        let key = format!("{}/{}", self.source, self.account);
        Record::json(Topic::Lookups, key, self)
            .id(id.to_string())
            .kind(Self::TYPE)
            .source(format!("/sources/{}", self.source))
            .time(recorded_at)
            .recorded_at(recorded_at)
    }
}

/// An event that means nothing to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The source's own id of the event, where it has one.
    pub event_id: String,
    /// Why.
    pub why: &'static str,
}

/// An event that should mean something and does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The source's own id of the event, where it has one.
    pub event_id: Option<String>,
    /// What is wrong, where, and what would be right.
    pub why: String,
}

impl Reading {
    /// The body as a whole cannot be read.
    #[must_use]
    pub fn unreadable(why: impl Into<String>) -> Self {
        Self {
            unreadable: Some(why.into()),
            ..Self::default()
        }
    }

    /// Adds a change. Given again it counts once; given again with another content it is unusable,
    /// because one id cannot mean two things.
    pub fn add(&mut self, change: MembershipChange) {
        match self.changes.iter().find(|known| known.id == change.id) {
            None => self.changes.push(change),
            Some(known) if *known == change => {}
            Some(_) => self.unusable.push(Unusable {
                event_id: Some(change.event_id),
                why: "the id is given twice with different content; the first counts".to_owned(),
            }),
        }
    }
}

/// The secrets a source checks with: several at once during a rotation, exchanged without restart.
pub type SharedSecrets = Arc<Secrets>;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Reading, Request};
    use crate::domain::{ChangeId, ChangeKind, MembershipChange, PersonRef, Scope};

    /// A file of the fixtures that are kept outside the project; none where they are not.
    pub(super) fn fixture(path: &str) -> Option<Vec<u8>> {
        let shared = std::env::var_os("OFFKEY_SHARED").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
            PathBuf::from,
        );
        let whole = shared.join("fixtures/sources").join(path);
        let bytes = std::fs::read(&whole).ok();
        if bytes.is_none() {
            eprintln!(
                "SKIPPED: {} is not there; set OFFKEY_SHARED",
                whole.display()
            );
        }
        bytes
    }

    /// The fixture `path` as JSON.
    pub(super) fn vectors(path: &str) -> Option<serde_json::Value> {
        Some(serde_json::from_slice(&fixture(path)?).unwrap())
    }

    #[test]
    fn a_header_given_twice_is_nobodys() {
        let headers = [("a", "1"), ("b", "2"), ("b", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = Request {
            headers: &headers,
            body: &[],
            received_at: jiff::Timestamp::UNIX_EPOCH,
        };
        assert_eq!(request.header("a"), Some("1"));
        assert_eq!((request.header("b"), request.header("c")), (None, None));
    }

    #[test]
    fn a_change_given_twice_counts_once_and_with_another_content_not_at_all() {
        let change = MembershipChange {
            id: ChangeId::derive("s", "e"),
            source: "s".to_owned(),
            event_id: "e".to_owned(),
            change: ChangeKind::Removed,
            person: PersonRef::default(),
            scope: Scope::Organisation {},
            effective_at: jiff::Timestamp::UNIX_EPOCH,
            not_before: None,
            published_at: jiff::Timestamp::UNIX_EPOCH,
            role: None,
            actor: None,
            reason: None,
        };
        let mut reading = Reading::default();
        reading.add(change.clone());
        reading.add(change.clone());
        assert_eq!((reading.changes.len(), reading.unusable.len()), (1, 0));
        reading.add(MembershipChange {
            change: ChangeKind::Joined,
            ..change
        });
        assert_eq!((reading.changes.len(), reading.unusable.len()), (1, 1));
    }
}
