//! Questions about the cluster: which partitions there are, and where they end.

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::{Metadata, MetadataTopic},
};

use super::{events::Events, names::Names, settings::Settings};
use crate::{
    domain::Topic,
    log::{LogError, Partition, Position},
};

/// How long one question may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before a question is asked again.
const GLANCE: Duration = Duration::from_millis(100);

/// How many things a client can have to tell at once.
const MOST_EVENTS: usize = 32;

/// A client that only asks.
pub(super) struct Cluster {
    client: BaseConsumer<Events>,
    names: Names,
}

impl Cluster {
    pub(super) fn new(settings: &Settings, names: Names) -> Result<Arc<Self>, LogError> {
        let events = Events::new("questions", settings.tokens.clone());
        let client = BaseConsumer::from_config_and_context(&settings.questions(), events)
            .map_err(|error| away(&error))?;
        Ok(Arc::new(Self { client, names }))
    }

    /// The client, after whatever it has to tell was heard: a token it needs is asked for here.
    pub(super) fn client(&self) -> &BaseConsumer<Events> {
        drop(self.client.poll(Duration::ZERO));
        &self.client
    }

    /// The cluster's own id.
    pub(super) fn id(&self) -> Result<String, LogError> {
        self.client()
            .client()
            .fetch_cluster_id(PATIENCE)
            .ok_or_else(|| self.silent("no broker answers"))
    }

    /// Every topic's name and its partitions, as the brokers tell them.
    pub(super) fn all_topics(&self) -> Result<Metadata, LogError> {
        let answer = self.client().client().fetch_metadata(None, PATIENCE);
        answer.map_err(|error| self.silent(&error.to_string()))
    }

    /// What a question without an answer means: of a password that was refused and a certificate
    /// that nobody knows the answer says nothing, and the client does.
    fn silent(&self, what: &str) -> LogError {
        // One call tells one thing.
        for _ in 0..MOST_EVENTS {
            drop(self.client.poll(Duration::ZERO));
        }
        let trouble = self.client.context().trouble();
        LogError::Unavailable(match trouble {
            Some(why) => format!("{what}: {why}"),
            None => what.to_owned(),
        })
    }

    /// The partitions of `topics`.
    pub(super) fn partitions(&self, topics: &[Topic]) -> Result<Vec<Partition>, LogError> {
        let mut all = Vec::new();
        for topic in topics {
            let count = self.count(*topic)?;
            all.extend((0..count).map(|number| Partition {
                topic: Some(*topic),
                number,
            }));
        }
        Ok(all)
    }

    /// How many partitions `topic` has.
    pub(super) fn count(&self, topic: Topic) -> Result<u32, LogError> {
        let name = self.names.topic(topic);
        let metadata = self
            .client()
            .client()
            .fetch_metadata(Some(&name), PATIENCE)
            .map_err(|error| self.silent(&error.to_string()))?;
        let found = metadata.topics().first();
        let fault = found.and_then(MetadataTopic::error);
        match (found, fault) {
            (Some(found), None) if !found.partitions().is_empty() => {
                Ok(u32::try_from(found.partitions().len()).unwrap_or(u32::MAX))
            }
            (_, fault) => {
                let why = fault.map_or_else(
                    || "it has no partitions".to_owned(),
                    |fault| RDKafkaErrorCode::from(fault).to_string(),
                );
                Err(LogError::Unavailable(format!("topic {name}: {why}")))
            }
        }
    }

    /// Where `partitions` end, records included that are not committed yet.
    pub(super) fn ends(&self, partitions: &[Partition]) -> Result<Position, LogError> {
        self.ask(partitions, Offset::End)
    }

    /// Where `partitions` begin.
    pub(super) fn beginnings(&self, partitions: &[Partition]) -> Result<Position, LogError> {
        self.ask(partitions, Offset::Beginning)
    }

    /// Asks again for a while: partitions that change their leader have none for a moment.
    fn ask(&self, partitions: &[Partition], which: Offset) -> Result<Position, LogError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match offsets(self.client(), &self.names, partitions, which) {
                Err(error) if error.is_retriable() && Instant::now() < until => {
                    tracing::debug!(%error, "asking again where partitions end");
                    thread::sleep(GLANCE);
                }
                other => return other,
            }
        }
    }
}

/// Asks as `client` sees it, in one question: `End` of a client that reads what is committed is
/// where everything before is decided.
pub(super) fn offsets(
    client: &BaseConsumer<Events>,
    names: &Names,
    partitions: &[Partition],
    which: Offset,
) -> Result<Position, LogError> {
    let mut wanted = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        let (topic, number) = names.place(*partition);
        wanted
            .add_partition_offset(&topic, number, which)
            .map_err(|error| away(&error))?;
    }
    let found = client
        .offsets_for_times(wanted, PATIENCE)
        .map_err(|error| away(&error))?;
    let mut position = BTreeMap::new();
    for element in found.elements() {
        element.error().map_err(|error| away(&error))?;
        let partition = names.partition(element.topic(), element.partition());
        if let (Some(partition), Offset::Offset(offset)) = (partition, element.offset()) {
            position.insert(partition, offset.unsigned_abs());
        }
    }
    if position.len() < partitions.len() {
        return Err(LogError::Unavailable(
            "not every partition could be asked where it ends".to_owned(),
        ));
    }
    Ok(position.into_iter().collect::<Vec<_>>().into())
}

/// What a failed question means.
pub(super) fn away(error: &KafkaError) -> LogError {
    LogError::Unavailable(error.to_string())
}
