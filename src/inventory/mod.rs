//! Inventory: what providers have, read by polling, and what changed since.

pub mod diff;
pub mod import;
pub mod poll;
pub mod providers;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::{Account, KeyUse};

/// One configured provider of keys.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// Reads everything there is.
    ///
    /// # Errors
    /// [`ProviderError`] when not even a partial picture can be had.
    async fn snapshot(&self) -> Result<Snapshot, ProviderError>;
}

/// What a provider had between two moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// When reading began.
    pub started_at: Timestamp,
    /// When reading ended.
    pub finished_at: Timestamp,
    /// The projects.
    pub projects: Vec<SeenProject>,
    /// Why projects may be missing; empty: there are no others.
    pub gaps: Vec<String>,
    /// The keys that it was read with, sorted; absent: the provider does not tell.
    pub own_keys: Option<Vec<String>>,
}

/// One project as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenProject {
    /// The provider's own id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its members.
    pub members: Vec<SeenMember>,
    /// Its keys.
    pub keys: Vec<SeenKey>,
    /// Why members or keys may be missing; empty: there are no others.
    pub gaps: Vec<String>,
}

/// One member as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenMember {
    /// Who.
    pub account: Account,
    /// The provider's words for what the member may do, sorted.
    pub roles: Vec<String>,
}

/// One key as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenKey {
    /// The provider's own id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// The credential class, as the catalogue names it.
    pub class: String,
    /// Who made it.
    pub creator: Account,
    /// What it may do, sorted.
    pub scopes: Vec<String>,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it stops by itself.
    pub expires_at: Option<Timestamp>,
    /// Its use; absent: not known.
    pub usage: Option<KeyUse>,
}

/// Why a provider could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not know our credential, or the credential may not read.
    #[error("{provider} refuses our credential: {reason}; give it one of an owner or admin")]
    Refused {
        /// The configured name.
        provider: String,
        /// What it said.
        reason: String,
    },
    /// It could not be reached, or failed, until we gave up trying.
    #[error("{provider} cannot be read: {reason}")]
    Unavailable {
        /// The configured name.
        provider: String,
        /// What happened last.
        reason: String,
    },
}
