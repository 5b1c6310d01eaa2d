//! Transactions that hang: open in a partition, and over for whoever should end them.
//!
//! A broker that comes back can call an aborted transaction complete without having written its
//! ends: it takes partitions whose leader it does not know yet for deleted ones
//! (`TransactionMarkerChannelManager` in Apache Kafka). Who reads what is committed then never comes
//! past its first record. An abort under the same transactional id writes the missing ends; of an
//! instance that never comes back, an operator has to (KIP-664).

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::{
    Shared,
    cluster::{away, offsets},
    events::Events,
    transactions::settle,
};
use crate::{
    domain::Topic,
    log::{LogError, Partition, Position},
    telemetry::metrics as names,
};

/// How often the watch looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// After how many times the longest transaction an open one is nobody's any more.
const MOST_TIMEOUTS: u32 = 3;

/// Ends what an earlier producer with the transactional id of `producer` may have left open.
pub(super) fn end(
    shared: &Shared,
    group: &str,
    producer: &BaseProducer<Events>,
) -> Result<(), LogError> {
    let open = Questions::new(shared)?.open(shared)?;
    if open.is_empty() {
        return Ok(());
    }
    let timeout = shared.config.transaction_timeout;
    let ended = end_in(shared, group, producer, &open);
    // Also after a failure: what the transaction reached ends with it.
    let aborted = producer.abort_transaction(timeout);
    ended.and(aborted).map_err(|error| away(&error))?;
    let partitions = open.len();
    tracing::debug!(group, partitions, "transactions were open; ours are ended");
    Ok(())
}

fn end_in(
    shared: &Shared,
    group: &str,
    producer: &BaseProducer<Events>,
    open: &BTreeMap<Partition, u64>,
) -> Result<(), KafkaError> {
    let timeout = shared.config.transaction_timeout;
    producer.begin_transaction()?;
    let mut offsets = TopicPartitionList::new();
    for &partition in open.keys() {
        let (topic, number) = shared.names.place(partition);
        // The ends reach the partitions that have a record of the transaction; nobody sees it.
        let record = BaseRecord::<[u8], [u8]>::to(&topic)
            .partition(number)
            .payload(&[]);
        producer.send(record).map_err(|(error, _)| error)?;
        offsets.add_partition_offset(&topic, number, Offset::Offset(0))?;
    }
    settle(producer, timeout)?;
    // And the partition of the group's offsets. As no member of the group may say how far it came,
    // the offsets themselves are refused.
    let config = shared
        .settings
        .group(&shared.names.group(group), &shared.config);
    let events = Events::new("questions", shared.settings.tokens.clone());
    let outsider = BaseConsumer::<Events>::from_config_and_context(&config, events)?;
    if let Some(proof) = outsider.group_metadata() {
        let refused = producer.send_offsets_to_transaction(&offsets, &proof, timeout);
        tracing::trace!(?refused, "the group's partition is in the transaction");
    }
    Ok(())
}

/// Sees where what is decided ends.
struct Questions(BaseConsumer<Events>);

impl Questions {
    fn new(shared: &Shared) -> Result<Self, LogError> {
        let events = Events::new("questions", shared.settings.tokens.clone());
        BaseConsumer::from_config_and_context(&shared.settings.reader(), events)
            .map(Self)
            .map_err(|error| away(&error))
    }

    /// Partitions with an open transaction, and where the first of it lies.
    fn open(&self, shared: &Shared) -> Result<BTreeMap<Partition, u64>, LogError> {
        let all = shared.cluster.partitions(&Topic::ALL)?;
        let ends: Position = shared.cluster.ends(&all)?;
        drop(self.0.poll(Duration::ZERO));
        let decided = offsets(&self.0, &shared.names, &all, Offset::End)?;
        Ok(all
            .into_iter()
            .map(|partition| (partition, decided.next_in(partition)))
            .filter(|&(partition, decided)| decided < ends.next_in(partition))
            .collect())
    }
}

/// Looks from time to time for transactions that nobody ends, and says how to, until `shared` ends.
pub(super) fn watch(shared: &Arc<Shared>) -> Result<(), LogError> {
    let watched = Arc::downgrade(shared);
    let questions = Questions::new(shared)?;
    thread::Builder::new()
        .name("offkey-kafka-hang".to_owned())
        .spawn(move || look(&watched, &questions))
        .map(drop)
        .map_err(|error| LogError::Failed(format!("a thread cannot start: {error}")))
}

fn look(watched: &Weak<Shared>, questions: &Questions) {
    let mut since: BTreeMap<Partition, (u64, Instant)> = BTreeMap::new();
    while let Some(shared) = watched.upgrade() {
        // Brokers that are away are told of elsewhere.
        if let Ok(open) = questions.open(&shared) {
            since.retain(|partition, (at, _)| open.get(partition) == Some(at));
            for (partition, at) in open {
                since.entry(partition).or_insert((at, Instant::now()));
            }
            tell(&shared, &since);
        }
        drop(shared);
        thread::sleep(LOOK_EVERY);
    }
}

fn tell(shared: &Shared, since: &BTreeMap<Partition, (u64, Instant)>) {
    let long = MOST_TIMEOUTS * shared.config.transaction_timeout;
    let hanging = since
        .iter()
        .filter(|(_, (_, began))| began.elapsed() > long);
    let mut count = 0_u32;
    for (&partition, &(at, _)) in hanging {
        count += 1;
        let (topic, number) = shared.names.place(partition);
        let command = format!(
            "kafka-transactions.sh --bootstrap-server {} abort --topic {topic} --partition {number} \
             --start-offset {at}",
            shared.config.brokers,
        );
        tracing::error!(
            %partition, at, command,
            "nothing behind an open transaction can be read, and nobody ends it; if no instance \
             that was away comes back and does, the command does"
        );
    }
    metrics::gauge!(names::KAFKA_HANGING).set(count);
}
