//! What providers tell: projects, members and keys, each with its whole history of intervals.
//!
//! An interval is `[valid_from, valid_to)`. `valid_from` is absent when it began before we looked;
//! `valid_to` is the first moment at which it is known to be over and `last_seen` the last at which
//! it was not: the end lies between the two.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Email, Record, Topic, id::content_id};

/// One account at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The provider's own id.
    pub id: String,
    /// Its address, where the provider tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Its name, where the provider tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One project of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// The configured name of the provider.
    pub provider: String,
    /// The provider's own id.
    pub id: String,
    /// The newest name.
    pub name: String,
    /// First complete snapshot without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
}

/// One account's membership in one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The configured name of the provider.
    pub provider: String,
    /// The project's id.
    pub project: String,
    /// Who.
    pub account: Account,
    /// The addresses that the account had before, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formerly: Vec<FormerAddress>,
    /// Oldest first.
    pub history: Vec<MemberInterval>,
}

/// An address that an account does not have any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerAddress {
    /// Which.
    pub email: Email,
    /// The first moment at which the account was seen with another one.
    pub until: Timestamp,
}

/// A time during which a member had the same roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInterval {
    /// Absent: since before we looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// Absent: still so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
    /// With `valid_to`: the last moment it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// When we first saw it.
    pub observed_at: Timestamp,
    /// The provider's words for what the member may do, sorted.
    pub roles: Vec<String>,
}

/// One API key: never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The configured name of the provider.
    pub provider: String,
    /// The project's id.
    pub project: String,
    /// The provider's own id.
    pub id: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The credential class, as the catalogue names it.
    pub class: String,
    /// When it was made, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it stops by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Oldest first.
    pub history: Vec<KeyInterval>,
    /// What we saw of its use, oldest first, at most [`Key::MOST_USES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<KeyUse>,
}

/// A time during which a key had the same creator and scopes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInterval {
    /// Absent: since before we looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// Absent: still so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
    /// With `valid_to`: the last moment it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// When we first saw it.
    pub observed_at: Timestamp,
    /// Who made the key.
    pub creator: Account,
    /// The provider's words for what it may do, sorted.
    pub scopes: Vec<String>,
}

/// What was seen of a key's use at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// When we asked.
    pub as_of: Timestamp,
    /// Requests in the 7 days before.
    pub requests_7d: u64,
    /// The newest request known; absent: none known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// The summary of one snapshot of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSummary {
    /// The configured name of the provider.
    pub provider: String,
    /// When reading began.
    pub started_at: Timestamp,
    /// When reading ended.
    pub finished_at: Timestamp,
    /// Why it proves nothing about what it lacks; empty: it is complete.
    pub gaps: Vec<String>,
    /// When the last complete one began, this one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_complete: Option<Timestamp>,
    /// The keys that we read the provider with, as far as it tells, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_keys: Vec<String>,
    /// How many there were.
    pub projects: usize,
    /// How many there were.
    pub members: usize,
    /// How many there were.
    pub keys: usize,
}

impl Key {
    /// How many observations of use one key keeps.
    pub const MOST_USES: usize = 30;
    /// The CloudEvents type of a key.
    pub const TYPE: &str = "offkey.key.v1";

    /// The use as it was known at `at`, else the first one seen after.
    #[must_use]
    pub fn use_as_of(&self, at: Timestamp) -> Option<&KeyUse> {
        self.uses
            .iter()
            .rev()
            .find(|seen| seen.as_of <= at)
            .or_else(|| self.uses.first())
    }

    /// The record that carries the key.
    #[must_use]
    pub fn to_record(&self, recorded_at: Timestamp) -> Record {
        let id = format!("{}/{}/key/{}", self.provider, self.project, self.id);
        inventory_record(Self::TYPE, &self.provider, id, self, recorded_at)
    }
}

impl Member {
    /// The addresses that the account had before, when it is seen as `now` at `at`.
    #[must_use]
    pub fn former_addresses(&self, now: &Account, at: Timestamp) -> Vec<FormerAddress> {
        let mut formerly = self.formerly.clone();
        let email = self.account.email.clone();
        let email = email.filter(|email| now.email.as_ref() != Some(email));
        formerly.extend(email.map(|email| FormerAddress { email, until: at }));
        formerly
    }

    /// The CloudEvents type of a member.
    pub const TYPE: &str = "offkey.member.v1";

    /// The record that carries the membership.
    #[must_use]
    pub fn to_record(&self, recorded_at: Timestamp) -> Record {
        let id = format!(
            "{}/{}/member/{}",
            self.provider, self.project, self.account.id
        );
        inventory_record(Self::TYPE, &self.provider, id, self, recorded_at)
    }
}

impl Project {
    /// The CloudEvents type of a project.
    pub const TYPE: &str = "offkey.project.v1";

    /// The record that carries the project.
    #[must_use]
    pub fn to_record(&self, recorded_at: Timestamp) -> Record {
        let id = format!("{}/{}/project", self.provider, self.id);
        inventory_record(Self::TYPE, &self.provider, id, self, recorded_at)
    }
}

impl SnapshotSummary {
    /// The CloudEvents type of a snapshot's summary.
    pub const TYPE: &str = "offkey.snapshot.v1";

    /// The record that carries the summary.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let id = format!("{}/snapshot", self.provider);
        inventory_record(Self::TYPE, &self.provider, id, self, self.finished_at)
    }
}

fn inventory_record<T: Serialize>(
    kind: &str,
    provider: &str,
    key: String,
    data: &T,
    at: Timestamp,
) -> Record {
    let record = Record::json(Topic::Inventory, key.clone(), data);
    let id = content_id(&[key.as_bytes(), &record.data]).to_string();
    record
        .id(id)
        .kind(kind)
        .source(format!("/providers/{provider}"))
        .subject(key)
        .time(at)
        .recorded_at(at)
}
