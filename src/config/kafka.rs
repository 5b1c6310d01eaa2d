//! `[log.kafka]`: the cluster that is the log.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use serde::Deserialize;
use url::Url;

use super::{secret::SecretRef, size::read_size};

/// The cluster, and how to talk to it.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// Some of the brokers, `host:port` between commas.
    pub brokers: String,
    /// What the names of topics, groups and transactions begin with; by default `offkey.`.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// Into how many partitions a topic is created; more instances than these share no work.
    #[serde(default = "partitions")]
    pub partitions: NonZeroU32,
    /// On how many brokers a topic is created; absent: as the brokers are configured.
    #[serde(default)]
    pub replication: Option<NonZeroU32>,
    /// Whether topics that are absent are created; otherwise their absence is an error.
    #[serde(default = "yes")]
    pub create_topics: bool,
    /// The most bytes of one record, everything included. Brokers take 1 MB by default.
    #[serde(default = "one_megabyte", deserialize_with = "read_size")]
    pub max_record: ByteSize,
    /// After how much silence the others take over an instance's work: 6 s or more.
    #[serde(default = "ten_seconds", with = "humantime_serde")]
    pub session_timeout: Duration,
    /// After how long the brokers end a transaction that its instance left open. Readers wait
    /// for it.
    #[serde(default = "ten_seconds", with = "humantime_serde")]
    pub transaction_timeout: Duration,
    /// How long a sender waits for the brokers before it is told to come again.
    #[serde(default = "five_seconds", with = "humantime_serde")]
    pub append_timeout: Duration,
    /// Encrypt; `tls = {}` trusts the system's authorities.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Authenticate.
    #[serde(default)]
    pub sasl: Option<SaslConfig>,
    /// Any other setting of librdkafka, by its own name.
    #[serde(default)]
    pub librdkafka: BTreeMap<String, String>,
}

/// How to encrypt.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The authorities that sign brokers' certificates (PEM); absent: the system's.
    pub ca: Option<PathBuf>,
    /// Our own certificate (PEM), where brokers want one.
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub key: Option<PathBuf>,
    /// What decrypts the key.
    pub key_password: Option<SecretRef>,
}

/// How to authenticate.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(tag = "mechanism", deny_unknown_fields)]
pub enum SaslConfig {
    /// `mechanism = "plain"`.
    #[serde(rename = "plain")]
    Plain(Login),
    /// `mechanism = "scram-sha-256"`.
    #[serde(rename = "scram-sha-256")]
    ScramSha256(Login),
    /// `mechanism = "scram-sha-512"`.
    #[serde(rename = "scram-sha-512")]
    ScramSha512(Login),
    /// `mechanism = "oauthbearer"`: a token by the client credentials grant (RFC 6749 section 4.4).
    #[serde(rename = "oauthbearer")]
    OAuthBearer(TokenConfig),
}

/// A name and a password.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretRef,
}

/// Where tokens come from.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct TokenConfig {
    /// The token endpoint.
    pub token_url: Url,
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: SecretRef,
    /// What to ask for.
    #[serde(default)]
    pub scope: Option<String>,
}

fn prefix() -> String {
    "offkey.".to_owned()
}

fn partitions() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(11)
}

fn yes() -> bool {
    true
}

fn one_megabyte() -> ByteSize {
    ByteSize::mb(1)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

#[cfg(test)]
mod tests {
    use super::{KafkaConfig, SaslConfig};

    #[test]
    fn the_brokers_are_enough() {
        let config: KafkaConfig = toml::from_str("brokers = \"a:9092,b:9092\"").unwrap();
        assert_eq!(config.prefix, "offkey.");
        assert_eq!(config.partitions.get(), 12);
        assert!(config.create_topics);
        assert_eq!((config.tls, config.sasl), (None, None));
    }

    #[test]
    fn every_way_to_authenticate_can_be_written() {
        let login = "username = \"offkey\"\npassword = { env = \"P\" }";
        for mechanism in ["plain", "scram-sha-256", "scram-sha-512"] {
            let text = format!("mechanism = \"{mechanism}\"\n{login}");
            toml::from_str::<SaslConfig>(&text).unwrap();
        }
        let token = "mechanism = \"oauthbearer\"\ntoken_url = \"https://id.example.com/token\"
                     client_id = \"offkey\"\nclient_secret = { file = \"s\" }";
        toml::from_str::<SaslConfig>(token).unwrap();
        let wrong = format!("mechanism = \"gssapi\"\n{login}");
        assert!(toml::from_str::<SaslConfig>(&wrong).is_err());
    }
}
