//! A source described by its configuration: how it proves itself, and where its values stand.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{
    name::Name,
    secret::SecretRef,
    source::{five_minutes, webhook, yes},
    zone::Zone,
};
use crate::sources::{
    signature::{Algorithm, Encoding},
    time::TimeFormat,
};

/// Any JSON webhook, described by its configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclarativeConfig {
    /// The name.
    pub name: Name,
    /// The secrets of its proof.
    pub secrets: Vec<SecretRef>,
    /// Whether quarantine keeps the bytes. Default true.
    #[serde(default = "yes")]
    pub keep_payload: bool,
    /// The status that the sender takes for success, 200 to 299. Default 202.
    #[serde(default = "accepted")]
    pub accepted_status: u16,
    /// In which time zone a day begins that comes without a time (`format = "date"`). Default
    /// `"UTC"`.
    #[serde(default)]
    pub zone: Zone,
    /// How the sender proves who it is.
    pub proof: ProofConfig,
    /// What its events mean.
    pub events: EventsConfig,
}

fn accepted() -> u16 {
    202
}

/// How a sender proves who it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ProofConfig {
    /// A keyed hash over parts of the request.
    Hmac(HmacConfig),
    /// Standard Webhooks.
    StandardWebhooks(StandardProofConfig),
    /// The secret itself, in a header.
    Header(HeaderProofConfig),
    /// The secret itself, as `Authorization: Bearer SECRET`.
    Bearer(BearerProofConfig),
}

/// The secret itself, as a bearer token. There is nothing to set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BearerProofConfig {}

/// The secret itself, in a header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderProofConfig {
    /// The header's name.
    pub header: String,
}

/// Standard Webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardProofConfig {
    /// How old, or how far ahead, a signature may be. Default `"5m"`.
    #[serde(default = "five_minutes", with = "humantime_serde")]
    pub tolerance: Duration,
    /// What the three headers start with. Default `"webhook"`.
    #[serde(default = "webhook")]
    pub header_prefix: String,
}

/// A keyed hash over parts of the request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HmacConfig {
    /// `"hmac-sha256"` or `"hmac-sha512"`.
    pub algorithm: Algorithm,
    /// `"hex"`, `"base64"` or `"base64url"`.
    pub encoding: Encoding,
    /// Where the signature stands.
    pub signature: HeaderPartConfig,
    /// How a secret becomes key bytes. Default `"utf8"`.
    #[serde(default)]
    pub key: KeyConfig,
    /// A prefix that the secret may have and the key has not; only with `key = "base64"`.
    #[serde(default)]
    pub key_prefix: String,
    /// What is signed, in order; `"body"` has to be among it. Default: the body alone.
    #[serde(default = "body_alone")]
    pub signed: Vec<SignedPart>,
    /// Where the signed time stands. Without it nothing but the event's id stops a replay.
    #[serde(default)]
    pub timestamp: Option<TimestampConfig>,
}

fn body_alone() -> Vec<SignedPart> {
    vec![SignedPart::Body]
}

/// How a secret becomes key bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyConfig {
    /// The text's bytes as they are.
    #[default]
    Utf8,
    /// The text is base64.
    Base64,
}

/// A piece of a header: `{ header = "x-signature", separator = ",", prefix = "v1=" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderPartConfig {
    /// The header's name.
    pub header: String,
    /// What stands between the pieces of the value. Default: the value is one piece.
    #[serde(default)]
    pub separator: Option<String>,
    /// What a piece starts with; other pieces do not count. Default: nothing.
    #[serde(default)]
    pub prefix: String,
}

/// One part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignedPart {
    /// The raw body.
    Body,
    /// The time, as it is written in its header.
    Timestamp,
    /// The value of a header.
    Header(String),
    /// A fixed text.
    Literal(String),
}

/// Where the signed time stands, and how old it may be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampConfig {
    /// The header's name.
    pub header: String,
    /// What stands between the pieces of the value. Default: the value is one piece.
    #[serde(default)]
    pub separator: Option<String>,
    /// What the piece with the time starts with. Default: nothing.
    #[serde(default)]
    pub prefix: String,
    /// How it is written.
    pub format: TimeFormat,
    /// How old, or how far ahead, it may be. Default `"5m"`.
    #[serde(default = "five_minutes", with = "humantime_serde")]
    pub tolerance: Duration,
}

/// What the events of a webhook mean. A path is a JSONPath (RFC 9535).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// The path of the events in the body. Default `"$"`: the body is one event.
    #[serde(default = "whole")]
    pub each: String,
    /// What deduplicates.
    pub id: EventIdConfig,
    /// The pieces of the type, joined with `.`; a piece that is not there is left out.
    #[serde(rename = "type")]
    pub kind: Vec<SelectorConfig>,
    /// What each type means: one of our changes, `"lookup"` or `"ignore"`. Types that are not
    /// listed are ignored.
    pub types: BTreeMap<String, String>,
    /// The person.
    pub person: PersonConfig,
    /// How far a change reaches. Default `"organisation"`.
    #[serde(default)]
    pub scope: ScopeConfig,
    /// How far a change reaches, for the types where it is not `scope`.
    #[serde(default)]
    pub scopes: BTreeMap<String, ScopeConfig>,
    /// When it was published. Default: when we got it.
    #[serde(default)]
    pub published_at: Option<TimeConfig>,
    /// When it takes effect. Default: when it was published.
    #[serde(default)]
    pub effective_at: Option<TimeConfig>,
    /// The role before and after.
    #[serde(default)]
    pub role: RoleConfig,
    /// Who did it.
    #[serde(default)]
    pub actor: Option<SelectorConfig>,
    /// Why.
    #[serde(default)]
    pub reason: Option<SelectorConfig>,
}

fn whole() -> String {
    "$".to_owned()
}

/// One value of an event, such as `{ path = "$.user.email" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelectorConfig {
    /// At a path of the event.
    Path(String),
    /// At a path of the whole body.
    Body(String),
    /// In a header.
    Header(String),
    /// Always this text.
    Literal(String),
}

/// What deduplicates.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventIdConfig {
    /// The value at a path of the event.
    Path(String),
    /// The value of a header. Make sure that a redelivery has the same.
    Header(String),
    /// A hash of what these paths of the event find; of the whole body when there are none.
    Hash(Vec<String>),
}

/// The person; one of address and account has to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonConfig {
    /// The address.
    #[serde(default)]
    pub email: Option<SelectorConfig>,
    /// The source's own id of the account.
    #[serde(default)]
    pub account: Option<SelectorConfig>,
    /// The name.
    #[serde(default)]
    pub name: Option<SelectorConfig>,
    /// With `renamed`: the address until now.
    #[serde(default)]
    pub formerly: Option<SelectorConfig>,
}

/// The role before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// Before.
    #[serde(default)]
    pub from: Option<SelectorConfig>,
    /// After.
    #[serde(default)]
    pub to: Option<SelectorConfig>,
}

/// How far a change reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeConfig {
    /// Everywhere.
    #[default]
    Organisation,
    /// One configured provider, by name.
    Provider(String),
    /// One project of a configured provider.
    Project {
        /// The provider's configured name.
        provider: String,
        /// The project's id.
        project: SelectorConfig,
    },
    /// One group of the source, by its id.
    Group(SelectorConfig),
}

/// A time of an event, such as `{ value = { path = "$.at" }, format = "rfc3339" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeConfig {
    /// Where it stands.
    pub value: SelectorConfig,
    /// How it is written.
    pub format: TimeFormat,
}
