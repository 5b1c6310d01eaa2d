//! Questions about the cluster: which partitions there are, and where they end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    config::{ClientConfig, FromClientConfigAndContext as _},
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::{Metadata, MetadataTopic},
};

use super::{
    events::{Events, TokenSource},
    names::Names,
    settings::Settings,
};
use crate::{
    domain::Topic,
    log::{LogError, Partition, Position},
    telemetry::metrics as names,
};

/// How long one question may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before a question is asked again.
const GLANCE: Duration = Duration::from_millis(100);

/// How many things a client can have to tell at once.
const MOST_EVENTS: usize = 32;

/// How long a client for questions is given to find its brokers again.
const OLD: Duration = Duration::from_secs(5);

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

/// Why there is no answer.
enum Silence {
    /// It may be the client's fault.
    Lasts(String),
    /// The brokers say so.
    Told(String),
}

impl From<KafkaError> for Silence {
    fn from(error: KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown,
            ) => Self::Lasts(error.to_string()),
            _ => Self::Told(error.to_string()),
        }
    }
}

/// A client that only asks. One that finds no broker is made anew: when all were away, the library's
/// at times looks for none any more.
struct Asker {
    config: ClientConfig,
    tokens: Option<Arc<TokenSource>>,
    client: Mutex<(Arc<BaseConsumer<Events>>, Instant)>,
}

impl Asker {
    fn new(config: ClientConfig, tokens: Option<Arc<TokenSource>>) -> Result<Self, LogError> {
        let client = Self::client(&config, tokens.clone())?;
        Ok(Self {
            config,
            tokens,
            client: Mutex::new((client, Instant::now())),
        })
    }

    fn client(
        config: &ClientConfig,
        tokens: Option<Arc<TokenSource>>,
    ) -> Result<Arc<BaseConsumer<Events>>, LogError> {
        let events = Events::new("questions", tokens);
        BaseConsumer::from_config_and_context(config, events)
            .map(Arc::new)
            .map_err(|error| away(&error))
    }

    fn lock(&self) -> MutexGuard<'_, (Arc<BaseConsumer<Events>>, Instant)> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&BaseConsumer<Events>) -> Result<T, Silence>,
    ) -> Result<T, LogError> {
        let (client, made_at) = self.lock().clone();
        // It tells what it needs, a token for one, when it is polled.
        drop(client.poll(Duration::ZERO));
        let why = match question(&client) {
            Ok(answer) => return Ok(answer),
            Err(Silence::Told(why)) => return Err(LogError::Unavailable(why)),
            Err(Silence::Lasts(why)) => why,
        };
        // Of a password that was refused and a certificate that nobody knows silence says nothing,
        // and the client does; one call tells one thing.
        for _ in 0..MOST_EVENTS {
            drop(client.poll(Duration::ZERO));
        }
        let trouble = client.context().trouble();
        if made_at.elapsed() > OLD {
            let mut known = self.lock();
            if Arc::ptr_eq(&known.0, &client) {
                metrics::counter!(names::KAFKA_REBUILDS, "what" => "questions").increment(1);
                *known = (
                    Self::client(&self.config, self.tokens.clone())?,
                    Instant::now(),
                );
            }
        }
        Err(LogError::Unavailable(match trouble {
            Some(trouble) => format!("{why}: {trouble}"),
            None => why,
        }))
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
