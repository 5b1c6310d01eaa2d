//! Questions about the cluster: which partitions there are, and where they end.

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::{Metadata, MetadataTopic},
};

use super::{
    asker::{Asker, Silence},
    events::Events,
    names::Names,
    settings::Settings,
};
use crate::{
    domain::Topic,
    log::{LogError, Partition, Position},
};

/// How long one question may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before a question is asked again.
const GLANCE: Duration = Duration::from_millis(100);

/// Answers questions.
pub(super) struct Cluster {
    /// Sees everything.
    all: Asker,
    /// Sees what is decided.
    decided: Asker,
    names: Names,
}

impl Cluster {
    pub(super) fn new(settings: &Settings, names: Names) -> Result<Arc<Self>, LogError> {
        let asker = |config| Asker::new(config, settings.tokens.clone());
        Ok(Arc::new(Self {
            all: asker(settings.questions())?,
            decided: asker(settings.reader())?,
            names,
        }))
    }

    /// The cluster's own id.
    pub(super) fn id(&self) -> Result<String, LogError> {
        self.all.ask(|client| {
            let id = client.client().fetch_cluster_id(PATIENCE);
            id.ok_or(Silence::Lasts("no broker answers".to_owned()))
        })
    }

    /// Every topic's name and its partitions, as the brokers tell them.
    pub(super) fn all_topics(&self) -> Result<Metadata, LogError> {
        self.metadata(None)
    }

    fn metadata(&self, topic: Option<&str>) -> Result<Metadata, LogError> {
        self.all
            .ask(|client| Ok(client.client().fetch_metadata(topic, PATIENCE)?))
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
        let metadata = self.metadata(Some(&name))?;
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
        self.ask(&self.all, partitions, Offset::End)
    }

    /// Where everything before is decided.
    pub(super) fn decided(&self, partitions: &[Partition]) -> Result<Position, LogError> {
        self.ask(&self.decided, partitions, Offset::End)
    }

    /// Where `partitions` begin.
    pub(super) fn beginnings(&self, partitions: &[Partition]) -> Result<Position, LogError> {
        self.ask(&self.all, partitions, Offset::Beginning)
    }

    /// The first offset in each of `wanted` that is not older than the time given as its offset.
    pub(super) fn offsets_for_times(
        &self,
        wanted: TopicPartitionList,
    ) -> Result<TopicPartitionList, LogError> {
        self.all
            .ask(|client| Ok(client.offsets_for_times(wanted, PATIENCE)?))
    }

    /// Asks again for a while: partitions that change their leader have none for a moment.
    fn ask(
        &self,
        asker: &Asker,
        partitions: &[Partition],
        which: Offset,
    ) -> Result<Position, LogError> {
        let until = Instant::now() + PATIENCE;
        let wanted = list(&self.names, partitions, which)?;
        loop {
            let found = asker
                .ask(|client| Ok(client.offsets_for_times(wanted.clone(), PATIENCE)?))
                .and_then(|found| position(&self.names, partitions, &found));
            match found {
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
    let found = client
        .offsets_for_times(list(names, partitions, which)?, PATIENCE)
        .map_err(|error| away(&error))?;
    position(names, partitions, &found)
}

fn list(
    names: &Names,
    partitions: &[Partition],
    which: Offset,
) -> Result<TopicPartitionList, LogError> {
    let mut wanted = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        let (topic, number) = names.place(*partition);
        wanted
            .add_partition_offset(&topic, number, which)
            .map_err(|error| away(&error))?;
    }
    Ok(wanted)
}

fn position(
    names: &Names,
    partitions: &[Partition],
    found: &TopicPartitionList,
) -> Result<Position, LogError> {
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
