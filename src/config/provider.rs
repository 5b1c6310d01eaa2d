//! `[[provider]]`: where keys live, and how to read them.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::secret::SecretRef;
use crate::domain::Propagation;

/// One `[[provider]]`; `kind` says which.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProviderConfig {
    /// `kind = "deepgram"`.
    Deepgram(DeepgramConfig),
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
        }
    }

    /// What `kind` says.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Deepgram(_) => "deepgram",
        }
    }

    /// Where the provider's credential comes from.
    #[must_use]
    pub fn api_key(&self) -> &SecretRef {
        match self {
            Self::Deepgram(config) => &config.api_key,
        }
    }

    /// How often everything is read.
    #[must_use]
    pub fn poll(&self) -> Duration {
        match self {
            Self::Deepgram(config) => config.poll,
        }
    }

    /// How a change in an identity provider gets here.
    #[must_use]
    pub fn propagation(&self) -> Propagation {
        match self {
            Self::Deepgram(config) => config.propagation,
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
        let ProviderConfig::Deepgram(deepgram) = &config;
        assert_eq!(deepgram.base_url.as_str(), "https://api.deepgram.com/");
        assert_eq!((config.name(), config.kind()), ("dg", "deepgram"));
        assert_eq!(config.poll(), Duration::from_secs(60));
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
        assert_eq!(config.poll(), Duration::from_secs(300));
        assert_eq!(config.propagation(), Propagation::Automatic { within });
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
