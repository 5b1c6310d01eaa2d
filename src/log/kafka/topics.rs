//! The topics and their settings: created where that is allowed, checked in any case.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    config::FromClientConfigAndContext as _,
    error::RDKafkaErrorCode,
    metadata::MetadataTopic,
};

use super::{
    block_on,
    cluster::{Cluster, PATIENCE, away},
    events::Events,
    names::Names,
    settings::Settings,
};
use crate::{
    config::kafka::KafkaConfig,
    domain::Topic,
    log::{LogError, Retention},
};

/// How long created topics may take to appear.
const APPEARANCE: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(100);
/// On so many brokers two of them have a record before it counts.
const MANY_REPLICAS: u32 = 3;

/// Something about a topic that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The topic's name in the cluster.
    pub topic: String,
    /// What is wrong.
    pub what: String,
    /// The command that mends it.
    pub mend: String,
    /// Whether records would be lost.
    pub is_fatal: bool,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "topic {}: {}; mend it with: {}",
            self.topic, self.what, self.mend
        )
    }
}

/// What looks after the topics.
pub(super) struct Topics<'a> {
    pub(super) settings: &'a Settings,
    pub(super) config: &'a KafkaConfig,
    pub(super) names: &'a Names,
    pub(super) cluster: &'a Cluster,
    pub(super) retention: &'a Retention,
}

impl Topics<'_> {
    /// Creates what is absent, and refuses to go on with what loses records.
    pub(super) fn prepare(&self) -> Result<(), LogError> {
        let absent = self.absent()?;
        if !absent.is_empty() {
            if !self.config.create_topics {
                return Err(LogError::Configured(self.complain(&absent)));
            }
            self.create(&absent)?;
        }
        // Another instance may be creating them at this moment.
        self.wait_for(&Topic::ALL)?;
        match self.differences() {
            Err(error) => tracing::warn!(%error, "the topics' settings cannot be checked"),
            Ok(differences) => {
                for difference in differences {
                    if difference.is_fatal {
                        return Err(LogError::Configured(difference.to_string()));
                    }
                    tracing::warn!("{difference}");
                }
            }
        }
        Ok(())
    }

    /// What is absent or differs, each with the command that mends it.
    pub(super) fn faults(&self) -> Result<Vec<String>, LogError> {
        let absent = self.absent()?;
        if absent.is_empty() {
            let differences = self.differences()?;
            return Ok(differences.iter().map(ToString::to_string).collect());
        }
        let tell = |topic: &Topic| {
            let (name, mend) = (self.names.topic(*topic), self.create_command(*topic));
            format!("topic {name} is absent; create it with: {mend}")
        };
        Ok(absent.iter().map(tell).collect())
    }

    fn absent(&self) -> Result<Vec<Topic>, LogError> {
        let metadata = self.cluster.all_topics()?;
        let known: Vec<&str> = metadata.topics().iter().map(MetadataTopic::name).collect();
        Ok(Topic::ALL
            .into_iter()
            .filter(|topic| !known.contains(&self.names.topic(*topic).as_str()))
            .collect())
    }

    fn complain(&self, absent: &[Topic]) -> String {
        let commands: Vec<String> = absent
            .iter()
            .map(|topic| self.create_command(*topic))
            .collect();
        format!(
            "topics are absent, and log.kafka.create_topics is false; create them with: {}",
            commands.join(" && ")
        )
    }

    /// What a topic has to be created with.
    fn wanted(&self, topic: Topic) -> BTreeMap<&'static str, String> {
        let mut wanted =
            BTreeMap::from([("max.message.bytes", self.settings.max_record.to_string())]);
        if topic.is_compacted() {
            wanted.insert("cleanup.policy", "compact".to_owned());
        } else {
            let kept = self.retention.0.get(&topic).copied();
            let kept = kept.map_or_else(|| "-1".to_owned(), |kept| kept.as_millis().to_string());
            wanted.insert("cleanup.policy", "delete".to_owned());
            wanted.insert("retention.ms", kept);
        }
        let replicas = self.config.replication.map(std::num::NonZero::get);
        if replicas.is_some_and(|replicas| replicas >= MANY_REPLICAS) {
            wanted.insert("min.insync.replicas", "2".to_owned());
        }
        wanted
    }

    fn create(&self, absent: &[Topic]) -> Result<(), LogError> {
        let partitions = i32::try_from(self.config.partitions.get()).unwrap_or(i32::MAX);
        let replicas = self.config.replication.map_or(-1, |replicas| {
            i32::try_from(replicas.get()).unwrap_or(i32::MAX)
        });
        let named: Vec<_> = absent
            .iter()
            .map(|topic| (self.names.topic(*topic), self.wanted(*topic)))
            .collect();
        let new = named.iter().map(|(name, wanted)| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
            wanted
                .iter()
                .fold(topic, |topic, (key, value)| topic.set(key, value))
        });
        let new: Vec<_> = new.collect();
        let admin = self.admin()?;
        let options = AdminOptions::new().operation_timeout(Some(APPEARANCE));
        let made = block_on(admin.create_topics(&new, &options))?;
        for one in made.map_err(|error| away(&error))? {
            match one {
                // Another instance was faster.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(LogError::Configured(format!(
                        "topic {name} cannot be created: {code}; {}",
                        self.complain(absent)
                    )));
                }
            }
        }
        tracing::info!(topics = absent.len(), "created topics");
        Ok(())
    }

    fn wait_for(&self, topics: &[Topic]) -> Result<(), LogError> {
        let until = Instant::now() + APPEARANCE;
        for topic in topics {
            while let Err(error) = self.cluster.count(*topic) {
                if Instant::now() > until {
                    return Err(error);
                }
                thread::sleep(GLANCE);
            }
        }
        // A partition that is there has no leader yet for a moment.
        let partitions = self.cluster.partitions(topics)?;
        while let Err(error) = self.cluster.ends(&partitions) {
            if Instant::now() > until {
                return Err(error);
            }
        }
        Ok(())
    }

    /// What differs from what is wanted.
    pub(super) fn differences(&self) -> Result<Vec<Difference>, LogError> {
        let names = Topic::ALL.map(|topic| self.names.topic(topic));
        let wanted = names.iter().map(|name| ResourceSpecifier::Topic(name));
        let wanted: Vec<_> = wanted.collect();
        let admin = self.admin()?;
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let found = block_on(admin.describe_configs(&wanted, &options))?;
        let found = found.map_err(|error| away(&error))?;
        let mut differences = Vec::new();
        for (topic, resource) in Topic::ALL.into_iter().zip(found) {
            let resource = resource.map_err(|code| LogError::Unavailable(code.to_string()))?;
            for (setting, wanted) in self.wanted(topic) {
                let is = resource.get(setting).and_then(|entry| entry.value.clone());
                differences.extend(self.compare(topic, setting, &wanted, is.as_deref()));
            }
        }
        Ok(differences)
    }

    fn compare(
        &self,
        topic: Topic,
        setting: &str,
        wanted: &str,
        is: Option<&str>,
    ) -> Option<Difference> {
        let is = is.unwrap_or("unknown");
        let at_least = |is: &str, wanted: &str| {
            let number = |text: &str| text.parse::<i64>().ok();
            number(is) == Some(-1) || number(is) >= number(wanted)
        };
        let is_right = match setting {
            "cleanup.policy" => is == wanted,
            _ => at_least(is, wanted),
        };
        (!is_right).then(|| {
            let name = self.names.topic(topic);
            Difference {
                what: format!("{setting} is {is} instead of {wanted}"),
                mend: format!(
                    "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics \
                     --entity-name {name} --add-config {setting}={wanted}",
                    self.config.brokers
                ),
                topic: name,
                is_fatal: setting == "cleanup.policy",
            }
        })
    }

    fn create_command(&self, topic: Topic) -> String {
        let settings = self.wanted(topic);
        let settings = settings
            .iter()
            .map(|(key, value)| format!(" --config {key}={value}"));
        let replicas = self
            .config
            .replication
            .map_or_else(String::new, |replicas| {
                format!(" --replication-factor {replicas}")
            });
        format!(
            "kafka-topics.sh --bootstrap-server {} --create --topic {} --partitions {}{replicas}{}",
            self.config.brokers,
            self.names.topic(topic),
            self.config.partitions,
            settings.collect::<String>()
        )
    }

    fn admin(&self) -> Result<AdminClient<Events>, LogError> {
        let events = Events::new("topics", self.settings.tokens.clone());
        AdminClient::from_config_and_context(&self.settings.questions(), events)
            .map_err(|error| away(&error))
    }
}
