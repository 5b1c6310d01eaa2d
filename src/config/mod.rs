//! Configuration: TOML, then the environment, then flags; parsed into real types at load.

pub mod declarative;
pub mod group;
pub mod http;
pub mod kafka;
pub mod name;
pub mod provider;
pub mod secret;
pub mod sink;
mod size;
pub mod source;
pub mod zone;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use self::{
    http::HttpConfig, kafka::KafkaConfig, provider::ProviderConfig, sink::SinkConfig,
    source::SourceConfig,
};
use crate::{
    correlation::{
        Policy,
        identity::{Identities, Link, PeopleRules},
        policy::{GroupMapping, ProviderFacts},
    },
    domain::Topic,
    log::Retention,
};

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where we listen and what we take.
    #[serde(default)]
    pub http: HttpConfig,
    /// Where everything is kept.
    #[serde(default)]
    pub log: LogConfig,
    /// Who tells us about changes.
    #[serde(default, rename = "source")]
    pub sources: Vec<SourceConfig>,
    /// Who holds keys.
    #[serde(default, rename = "provider")]
    pub providers: Vec<ProviderConfig>,
    /// Who hears of impacts.
    #[serde(default, rename = "sink")]
    pub sinks: Vec<SinkConfig>,
    /// Which accounts belong together.
    #[serde(default, rename = "link")]
    pub links: Vec<Link>,
    /// How people's addresses and accounts are spelled.
    #[serde(default)]
    pub people: PeopleRules,
    /// What the groups of sources open.
    #[serde(default, rename = "group")]
    pub groups: Vec<GroupMapping>,
    /// What is production, and how bad is what.
    #[serde(default)]
    pub policy: Policy,
    /// What becomes of keys, beyond what comes with this version.
    #[serde(default)]
    pub catalogue: CatalogueConfig,
    /// How the service writes about itself.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
}

/// Where everything is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Which engine.
    pub kind: LogKind,
    /// The folder of the log and of what is built from it.
    pub path: PathBuf,
    /// How long the records of a topic are kept, where the default does not suit.
    pub keep: BTreeMap<Topic, Keep>,
    /// With `kind = "kafka"`: the cluster.
    pub kafka: Option<KafkaConfig>,
}

impl LogConfig {
    /// The cluster.
    ///
    /// # Errors
    /// [`ConfigError`] when none is named.
    pub fn kafka(&self) -> Result<&KafkaConfig, ConfigError> {
        self.kafka.as_ref().ok_or_else(|| {
            ConfigError::Contradiction(
                "there is no [log.kafka]; name the brokers of the cluster there".to_owned(),
            )
        })
    }

    /// How long records are kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        let mut retention = Retention::default();
        let given = self.keep.iter().map(|(topic, keep)| (*topic, keep.0));
        retention.0.extend(given);
        retention
    }
}

/// The engines a log can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogKind {
    /// A file in a folder.
    Embedded,
    /// A Kafka cluster.
    Kafka,
}

/// How long to keep something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Keep(#[serde(with = "humantime_serde")] pub Duration);

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            kind: LogKind::Embedded,
            path: PathBuf::from("data"),
            keep: BTreeMap::new(),
            kafka: None,
        }
    }
}

/// What becomes of keys, beyond what comes with this version.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogueConfig {
    /// Files with more providers, classes and rules; a rule for the same situation replaces the one
    /// that comes with this version, and a later file counts more.
    pub files: Vec<PathBuf>,
}

/// How the service writes about itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// What to write, as `RUST_LOG` says it.
    pub filter: String,
    /// In which form.
    pub format: LogFormat,
}

/// The forms of the service's own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Pretty,
        }
    }
}

/// What flags say about the configuration; they count more than everything else.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    /// For `http`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http: BTreeMap<String, String>,
    /// For `log`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub log: BTreeMap<String, String>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there.
    #[error("there is no configuration file {0}; name one with --config")]
    NoFile(PathBuf),
    /// It cannot be read, or a value does not fit.
    #[error("the configuration cannot be used: {0}")]
    Unusable(#[source] Box<figment::Error>),
    /// Values do not fit each other.
    #[error("the configuration cannot be used: {0}")]
    Contradiction(String),
}

impl Config {
    /// Reads `file` (none: defaults only), then variables such as `OFFKEY_HTTP__LISTEN`, then
    /// `flags`.
    ///
    /// # Errors
    /// [`ConfigError`] with the name and place of the first value that does not fit.
    pub fn load(file: Option<&Path>, flags: &Overrides) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            if !file.is_file() {
                return Err(ConfigError::NoFile(file.to_owned()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        // Two underscores part the levels; variables of other tools (OFFKEY_SHARED) have none.
        let environment = Env::prefixed("OFFKEY_")
            .filter(|name| name.as_str().contains("__"))
            .split("__");
        Self::read(
            &figment
                .merge(environment)
                .merge(Serialized::defaults(flags)),
        )
    }

    /// Reads the text of a configuration file, and nothing else.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::read(&Figment::new().merge(Toml::string(text)))
    }

    fn read(figment: &Figment) -> Result<Self, ConfigError> {
        let mut config: Self = figment
            .extract()
            .map_err(|error| ConfigError::Unusable(Box::new(error)))?;
        config.check()?;
        config.inform_policy();
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let sources = self.sources.iter().map(|source| source.name().to_string());
        let providers = self
            .providers
            .iter()
            .map(|provider| provider.name().to_owned());
        let sinks = self
            .sinks
            .iter()
            .map(|sink| sink.name().as_str().to_owned());
        // A provider that is polled is a source too, so that both share their names.
        if self.log.kind == LogKind::Kafka {
            self.log.kafka()?;
        }
        let names: Vec<String> = sources.chain(providers).collect();
        group::check(&self.groups, &names, &self.providers)?;
        self.people.check().map_err(ConfigError::Contradiction)?;
        unique("source or provider", names.into_iter())?;
        unique("sink", sinks)
    }

    /// Gives the policy what it has to know of the rest.
    fn inform_policy(&mut self) {
        self.policy.identities = Identities {
            links: self.links.clone(),
            rules: self.people.clone(),
        };
        self.policy.groups.clone_from(&self.groups);
        self.policy.providers = self
            .providers
            .iter()
            .map(|provider| {
                let facts = ProviderFacts {
                    kind: provider.kind().to_owned(),
                    propagation: provider.propagation(),
                };
                (provider.name().to_owned(), facts)
            })
            .collect();
    }
}

fn unique(what: &str, names: impl Iterator<Item = String>) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(ConfigError::Contradiction(format!(
                "there are two {what}s named {name:?}; give every one a name of its own"
            )));
        }
    }
    Ok(())
}
