//! The configured sources: who may tell us about membership, and how they prove it.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{declarative::DeclarativeConfig, name::Name, secret::SecretRef, zone::Zone};

/// One configured source, by its `kind`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SourceConfig {
    /// Okta Event Hooks.
    Okta(OktaConfig),
    /// Our own change format, signed as Standard Webhooks say.
    StandardWebhooks(StandardWebhooksConfig),
    /// Any JSON webhook, described by its configuration.
    Declarative(Box<DeclarativeConfig>),
}

impl SourceConfig {
    /// The configured name.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Okta(okta) => &okta.name,
            Self::StandardWebhooks(standard) => &standard.name,
            Self::Declarative(declarative) => &declarative.name,
        }
    }

    /// Where the secrets come from; all of them are valid at once.
    #[must_use]
    pub fn secrets(&self) -> &[SecretRef] {
        match self {
            Self::Okta(okta) => &okta.secrets,
            Self::StandardWebhooks(standard) => &standard.secrets,
            Self::Declarative(declarative) => &declarative.secrets,
        }
    }

    /// Whether quarantine keeps the bytes of a request that could not be used.
    #[must_use]
    pub fn keep_payload(&self) -> bool {
        match self {
            Self::Okta(okta) => okta.keep_payload,
            Self::StandardWebhooks(standard) => standard.keep_payload,
            Self::Declarative(declarative) => declarative.keep_payload,
        }
    }
}

pub(super) fn yes() -> bool {
    true
}

/// Okta Event Hooks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OktaConfig {
    /// The name.
    pub name: Name,
    /// The values that `header` may have.
    pub secrets: Vec<SecretRef>,
    /// Whether quarantine keeps the bytes. Default true.
    #[serde(default = "yes")]
    pub keep_payload: bool,
    /// The header with the secret, as the hook's authentication field names it. Default
    /// `"authorization"`.
    #[serde(default = "authorization")]
    pub header: String,
    /// Which Okta application (its id) opens which configured provider. The membership of an
    /// application that is not listed means nothing to us.
    #[serde(default)]
    pub apps: BTreeMap<String, String>,
}

fn authorization() -> String {
    "authorization".to_owned()
}

/// Our own change format, signed as Standard Webhooks say.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardWebhooksConfig {
    /// The name.
    pub name: Name,
    /// `whsec_` secrets and `whpk_` public keys.
    pub secrets: Vec<SecretRef>,
    /// Whether quarantine keeps the bytes. Default true.
    #[serde(default = "yes")]
    pub keep_payload: bool,
    /// How old, or how far ahead, a signature may be. Default `"5m"`.
    #[serde(default = "five_minutes", with = "humantime_serde")]
    pub tolerance: Duration,
    /// What the three headers start with: `"webhook"`, or `"svix"`. Default `"webhook"`.
    #[serde(default = "webhook")]
    pub header_prefix: String,
    /// In which time zone a day begins that comes without a time. Default `"UTC"`.
    #[serde(default)]
    pub zone: Zone,
}

pub(super) fn five_minutes() -> Duration {
    Duration::from_mins(5)
}

pub(super) fn webhook() -> String {
    "webhook".to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Name, SourceConfig};

    #[rstest]
    #[case("okta-main", true)]
    #[case("a", true)]
    #[case("", false)]
    #[case("Okta", false)]
    #[case("a/b", false)]
    #[case("a b", false)]
    fn a_name_fits_into_an_address(#[case] name: &str, #[case] fits: bool) {
        assert_eq!(Name::try_from(name.to_owned()).is_ok(), fits);
        let longest = Name::try_from("x".repeat(64));
        assert!(longest.is_ok() && Name::try_from("x".repeat(65)).is_err());
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let text =
            "kind = \"okta\"\nname = \"okta\"\nsecrets = [{ env = \"S\" }, { file = \"/s\" }]";
        let config: SourceConfig = toml::from_str(text).unwrap();
        assert_eq!(config.name().as_str(), "okta");
        assert_eq!(config.secrets().len(), 2);
        assert!(config.keep_payload());
        let SourceConfig::Okta(okta) = config else {
            panic!("not Okta");
        };
        assert_eq!(okta.header, "authorization");
    }

    #[rstest]
    #[case::a_field_of_another_kind(
        "kind = \"okta\"\nname = \"a\"\nsecrets = []\ntolerance = \"5m\""
    )]
    #[case::an_unknown_kind("kind = \"oktta\"\nname = \"a\"\nsecrets = []")]
    #[case::a_name_that_is_none("kind = \"okta\"\nname = \"A\"\nsecrets = []")]
    #[case::a_secret_in_the_file("kind = \"okta\"\nname = \"a\"\nsecrets = [\"s\"]")]
    fn what_cannot_be_is_refused(#[case] text: &str) {
        assert!(toml::from_str::<SourceConfig>(text).is_err());
    }
}
