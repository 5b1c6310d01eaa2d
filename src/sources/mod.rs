//! Sources: each turns one authentic request into membership changes. No IO.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{config::secret::Secrets, domain::MembershipChange};

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
    /// The body as a whole cannot be read; it goes to quarantine and the sender is told.
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
}

/// The secrets a source checks with: several at once during a rotation, exchanged without restart.
pub type SharedSecrets = Arc<Secrets>;
