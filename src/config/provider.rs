//! `[[provider]]`: where keys live, and how to read them.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::{name::Name, secret::SecretRef};
use crate::domain::Propagation;

/// One `[[provider]]`; `kind` says which.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProviderConfig {
    /// `kind = "deepgram"`.
    Deepgram(DeepgramConfig),
    /// `kind = "import"`.
    Import(ImportConfig),
}

/// A provider without a connector: its keys come from files.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ImportConfig {
    /// What the provider is called everywhere in Offkey.
    pub name: Name,
    /// The kind, as the catalogue names it: it says which credential classes there are.
    pub catalogue: String,
    /// How a change in an identity provider gets here; by default somebody has to act.
    #[serde(default = "manual", deserialize_with = "from_elsewhere")]
    pub propagation: Propagation,
}

/// A Deepgram account.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DeepgramConfig {
    /// What the provider is called everywhere in Offkey.
    pub name: String,
    /// Where the API is; by default Deepgram's own.
    #[serde(default = "deepgram")]
    pub base_url: Url,
    /// The key of an owner or admin. A file with several lines holds several keys: each adds the
    /// projects that it sees.
    pub api_key: SecretRef,
    /// How often everything is read; by default every 60 s.
    #[serde(default = "one_minute", with = "humantime_serde")]
    pub poll: Duration,
    /// How a change in an identity provider gets here; by default somebody has to act.
    #[serde(default = "manual", deserialize_with = "from_elsewhere")]
    pub propagation: Propagation,
}

impl ProviderConfig {
    /// The configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Deepgram(config) => &config.name,
            Self::Import(config) => config.name.as_str(),
        }
    }

    /// The kind, as the catalogue names it.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Deepgram(_) => "deepgram",
            Self::Import(config) => &config.catalogue,
        }
    }

    /// Where the provider's credential comes from; nothing: it needs none.
    #[must_use]
    pub fn api_key(&self) -> Option<&SecretRef> {
        match self {
            Self::Deepgram(config) => Some(&config.api_key),
            Self::Import(_) => None,
        }
    }

    /// How a change in an identity provider gets here.
    #[must_use]
    pub fn propagation(&self) -> Propagation {
        match self {
            Self::Deepgram(config) => config.propagation,
            Self::Import(config) => config.propagation,
        }
    }
}

/// How a change elsewhere propagates; `direct` is what happens at the provider itself.
fn from_elsewhere<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Propagation, D::Error> {
    match Propagation::deserialize(from)? {
        Propagation::Direct {} => Err(serde::de::Error::custom(
            "a propagation is automatic, manual or none; direct is for changes of the provider",
        )),
        other => Ok(other),
    }
}

#[expect(
    clippy::expect_used,
    reason = "the address is written here, and a test reads it"
)]
fn deepgram() -> Url {
    Url::parse("https://api.deepgram.com").expect("a valid address")
}

fn one_minute() -> Duration {
    Duration::from_secs(60)
}

fn manual() -> Propagation {
    Propagation::Manual {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ProviderConfig;
    use crate::domain::Propagation;

    const SHORT: &str = r#"
        kind = "deepgram"
        name = "dg"
        api_key = { env = "DEEPGRAM_API_KEY" }
    "#;

    #[test]
    fn name_and_credential_are_enough() {
        let config: ProviderConfig = toml::from_str(SHORT).unwrap();
        let ProviderConfig::Deepgram(deepgram) = &config else {
            panic!("{config:?}");
        };
        assert_eq!(deepgram.base_url.as_str(), "https://api.deepgram.com/");
        assert_eq!((config.name(), config.kind()), ("dg", "deepgram"));
        assert_eq!(deepgram.poll, Duration::from_secs(60));
        assert_eq!(config.propagation(), Propagation::Manual {});
    }

    #[test]
    fn everything_can_be_said() {
        let text = format!(
            r#"{SHORT}
            base_url = "http://127.0.0.1:8090/dg"
            poll = "5m"
            propagation = {{ kind = "automatic", within = "1h" }}
            "#
        );
        let config: ProviderConfig = toml::from_str(&text).unwrap();
        let within = Duration::from_secs(3600);
        assert!(
            matches!(&config, ProviderConfig::Deepgram(it) if it.poll == Duration::from_secs(300))
        );
        assert_eq!(config.propagation(), Propagation::Automatic { within });
    }

    #[test]
    fn a_provider_without_a_connector_is_of_the_kind_that_the_catalogue_names() {
        let text = "kind = \"import\"\nname = \"gh\"\ncatalogue = \"github\"";
        let config: ProviderConfig = toml::from_str(text).unwrap();
        assert_eq!((config.name(), config.kind()), ("gh", "github"));
        assert_eq!(config.propagation(), Propagation::Manual {});
        assert!(config.api_key().is_none());
        let wrong = text.replace("\"gh\"", "\"g/h\"");
        assert!(toml::from_str::<ProviderConfig>(&wrong).is_err());
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for wrong in ["pol = \"5m\"", "poll = \"often\"", "base_url = \"nowhere\""] {
            let text = format!("{SHORT}\n{wrong}");
            assert!(toml::from_str::<ProviderConfig>(&text).is_err(), "{wrong}");
        }
        let other = SHORT.replace("\"deepgram\"", "\"deepgrim\"");
        let said = toml::from_str::<ProviderConfig>(&other).unwrap_err();
        assert!(said.to_string().contains("deepgram"), "{said}");
    }
}
