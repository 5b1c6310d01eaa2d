//! The form of a file of scenarios. What it does not know is refused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use offkey::{
    correlation::policy::GroupMapping,
    domain::{ChangeKind, Fate, OutcomeResult, Returns, Scope, Severity, Status},
};
use serde::{Deserialize, Deserializer, de::Error as _};

/// One file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Theme {
    /// What its scenarios have in common, for the reader.
    #[serde(rename = "theme")]
    _theme: String,
    /// What all of them are given.
    #[serde(default)]
    pub(crate) given: Given,
    pub(crate) scenario: Vec<Scenario>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) title: String,
    pub(crate) why: String,
    /// In addition to what the file gives.
    #[serde(default)]
    pub(crate) given: Given,
    pub(crate) change: Change,
    pub(crate) report: Expected,
}

/// What is known.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Given {
    /// Whose change it is; "ada" unless said otherwise.
    pub(crate) person: Option<String>,
    pub(crate) provider: BTreeMap<String, ProviderGiven>,
    pub(crate) member: Vec<MemberGiven>,
    pub(crate) key: Vec<KeyGiven>,
    /// What else happened, to the person or to others.
    pub(crate) change: Vec<Change>,
    /// As in a configuration.
    pub(crate) policy: Option<toml::Table>,
    /// What groups open.
    pub(crate) group: Vec<GroupMapping>,
    /// When the newest complete look at a provider began.
    #[serde(deserialize_with = "moments")]
    pub(crate) look: BTreeMap<String, Timestamp>,
    /// When the newest look ended where that was not complete.
    #[serde(deserialize_with = "moments")]
    pub(crate) part: BTreeMap<String, Timestamp>,
    /// Up to when time has passed.
    #[serde(deserialize_with = "moment")]
    pub(crate) passed: Option<Timestamp>,
    /// Service accounts behind which the person stands.
    pub(crate) behind: Vec<BehindGiven>,
    /// Accounts that are perhaps the person's.
    pub(crate) perhaps: Vec<PerhapsGiven>,
    /// Who can be meant by the change, where it is not known.
    pub(crate) candidates: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BehindGiven {
    pub(crate) who: String,
    /// Who else stands behind it.
    #[serde(default)]
    pub(crate) others: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerhapsGiven {
    pub(crate) who: String,
    /// Whose it can be.
    pub(crate) of: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderGiven {
    /// As the catalogue calls it.
    pub(crate) kind: String,
    /// "manual", "none", or "automatic" and a time.
    #[serde(default)]
    pub(crate) propagation: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberGiven {
    pub(crate) who: String,
    /// PROVIDER/PROJECT.
    #[serde(rename = "in")]
    pub(crate) place: String,
    pub(crate) role: String,
    #[serde(default, deserialize_with = "moment")]
    pub(crate) from: Option<Timestamp>,
    #[serde(default, deserialize_with = "moment")]
    pub(crate) until: Option<Timestamp>,
    /// The last look that did; the same as `until` unless said otherwise.
    #[serde(default, deserialize_with = "moment")]
    pub(crate) seen: Option<Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyGiven {
    pub(crate) id: String,
    /// PROVIDER/PROJECT.
    #[serde(rename = "in")]
    pub(crate) place: String,
    pub(crate) class: String,
    pub(crate) by: String,
    /// When it was made; 1 January 2026 unless said otherwise.
    #[serde(default, deserialize_with = "moment")]
    pub(crate) from: Option<Timestamp>,
    /// The first look that did not find it.
    #[serde(default, deserialize_with = "moment")]
    pub(crate) until: Option<Timestamp>,
    /// The last look that did; the same as `until` unless said otherwise.
    #[serde(default, deserialize_with = "moment")]
    pub(crate) seen: Option<Timestamp>,
    /// Whose it became when it stopped being theirs.
    pub(crate) then_by: Option<String>,
    pub(crate) label: Option<String>,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    #[serde(default, deserialize_with = "moment")]
    pub(crate) expires: Option<Timestamp>,
    /// In the 7 days before we looked; absent: nobody can tell.
    pub(crate) requests: Option<u64>,
    #[serde(default, deserialize_with = "moment")]
    pub(crate) used: Option<Timestamp>,
    /// Whether Offkey reads the provider with it.
    #[serde(default)]
    pub(crate) ours: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// Whose; the person's unless said otherwise.
    pub(crate) who: Option<String>,
    pub(crate) what: ChangeKind,
    /// Who says so; "hr" unless said otherwise.
    pub(crate) source: Option<String>,
    /// The whole organisation unless said otherwise.
    #[serde(default, deserialize_with = "scope")]
    pub(crate) scope: Option<Scope>,
    #[serde(deserialize_with = "moment")]
    pub(crate) at: Option<Timestamp>,
    /// The last look that found it not to have happened.
    #[serde(default, deserialize_with = "moment")]
    pub(crate) not_before: Option<Timestamp>,
    /// When the source said so; when it took effect unless said otherwise.
    #[serde(default, deserialize_with = "moment")]
    pub(crate) announced: Option<Timestamp>,
    pub(crate) role_from: Option<String>,
    pub(crate) role_to: Option<String>,
    pub(crate) reason: Option<String>,
}

/// The report that must come.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    pub(crate) outcome: OutcomeResult,
    /// A part of why it came to this.
    pub(crate) because: Option<String>,
    /// The report's keys, all of them, worst first.
    #[serde(default)]
    pub(crate) key: Vec<ExpectedKey>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedKey {
    pub(crate) id: String,
    pub(crate) fate: Fate,
    pub(crate) severity: Severity,
    #[serde(default = "open")]
    pub(crate) status: Status,
    /// The rule cited.
    pub(crate) rule: String,
    /// When it can strike; "somebody acts" when it waits for that.
    pub(crate) when: String,
    #[serde(default)]
    pub(crate) loses: Vec<String>,
    #[serde(default, deserialize_with = "moment")]
    pub(crate) act_by: Option<Timestamp>,
    /// Who takes it over; "nobody" when nobody does.
    pub(crate) successor: Option<String>,
    /// When somebody came back: whether the key does.
    pub(crate) returns: Option<Returns>,
    /// The id of the key that took its place.
    pub(crate) replaced_by: Option<String>,
    /// Parts of what goes along, all of them in their order.
    #[serde(default)]
    pub(crate) takes_along: Vec<String>,
    /// Parts of what the impact tells in words.
    #[serde(default)]
    pub(crate) says: Vec<String>,
}

fn open() -> Status {
    Status::Open
}

/// A moment, or a day for its first one.
pub(crate) fn parse_moment(text: &str) -> Option<Timestamp> {
    let day = format!("{text}T00:00:00Z");
    text.parse().or_else(|_| day.parse()).ok()
}

fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(from)?;
    let found = parse_moment(&text);
    found
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is no moment")))
}

fn moments<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Timestamp>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(from)?;
    let parsed = texts.into_iter().map(|(name, text)| {
        let found = parse_moment(&text);
        let moment = found.ok_or_else(|| D::Error::custom(format!("{text:?} is no moment")));
        Ok((name, moment?))
    });
    parsed.collect()
}

fn scope<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Scope>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(D::Error::custom)
}
