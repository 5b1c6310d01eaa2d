//! Transactions that hang: decided, and still open in a partition.
//!
//! A coordinator whose broker comes back takes partitions without a leader for deleted ones, and calls
//! a transaction complete that it has not ended in them (KAFKA-20734, open as of Kafka 4.4). Who reads
//! what is committed then never comes past its first record; where it is the partition of a group's
//! offsets, nobody is told where the group is. Only a transaction under the same transactional id
//! writes the missing ends: every producer has one when it is made, and is made anew when somebody saw
//! a transaction that lasts too long. It aborts what hangs, whatever it was; what was promised is then
//! said again ([`super::promises`]; a report by whoever holds its partition then). For an instance that
//! never comes back, an operator has to (KIP-664).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _, producer::BaseRecord};

use super::{
    Shared,
    client::Client,
    cluster::{PATIENCE, away},
    events::Events,
    producer::Producer,
    threads::spawn,
};
use crate::{
    domain::Topic,
    log::{LogError, Partition, Position},
    telemetry::metrics as names,
};

/// How often the watch looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After how many times the longest transaction an open one is nobody's any more.
const MOST_TIMEOUTS: u32 = 3;

/// The key of records that are only there to have an end written behind them. Nobody reads them; on a
/// compacted topic no record goes without a key.
const KEY: &[u8] = b"offkey.hanging";

/// How often somebody saw a transaction that hangs.
#[derive(Default)]
pub(super) struct Suspicions(AtomicU64);

impl Suspicions {
    /// Has every producer of this instance end what it may have left open.
    pub(super) fn raise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there are more than `known`, which becomes what there is.
    pub(super) fn is_new(&self, known: &mut u64) -> bool {
        let now = self.0.load(Ordering::Relaxed);
        std::mem::replace(known, now) != now
    }
}

/// Ends what an earlier producer with the transactional id of `producer` may have left open.
pub(super) fn end(shared: &Shared, group: &str, producer: &Producer) -> Result<(), LogError> {
    let open = open(shared)?;
    let touched = touch(shared, group, producer, &open);
    // Also after a failure: what the transaction reached ends with it.
    let aborted = producer.abort();
    touched.and(aborted.map_err(Into::into))?;
    let partitions = open.len();
    tracing::debug!(group, partitions, "what was open and ours is ended");
    Ok(())
}

/// Begins a transaction that reaches every partition in which one of ours may be open.
fn touch(
    shared: &Shared,
    group: &str,
    producer: &Producer,
    open: &BTreeMap<Partition, u64>,
) -> Result<(), LogError> {
    producer.begin()?;
    for &partition in open.keys() {
        let (topic, number) = shared.names.place(partition);
        let record = BaseRecord::<[u8], [u8]>::to(&topic)
            .partition(number)
            .key(KEY)
            .payload(&[]);
        producer.send(record)?;
    }
    producer.settle()?;
    // And the partition of the group's offsets, which its name tells.
    let config = shared
        .settings
        .group(&shared.names.group(group), &shared.config);
    let events = Events::new("questions", shared.settings.tokens.clone());
    let outsider = Client::new(&config, events)?;
    if let Some(proof) = outsider.group_metadata() {
        let mut offsets = TopicPartitionList::new();
        let topic = shared.names.topic(Topic::Membership);
        offsets
            .add_partition_offset(&topic, 0, Offset::Offset(0))
            .map_err(|error| away(&error))?;
        // They are aborted; whether an outsider may say them does not matter.
        let answer = producer.add_offsets(offsets, Arc::new(proof));
        tracing::trace!(?answer, "the group's partition is in the transaction");
    }
    Ok(())
}

/// Whether the offsets of `partitions` are told only to those who do not mind an open transaction.
pub(super) fn do_offsets_hang(
    shared: &Shared,
    group: &str,
    partitions: &TopicPartitionList,
) -> bool {
    let mut config = shared.settings.questions();
    config.set("group.id", shared.names.group(group));
    let events = Events::new("questions", shared.settings.tokens.clone());
    let client = Client::new(&config, events);
    client.is_ok_and(|client| {
        client
            .committed_offsets(partitions.clone(), PATIENCE)
            .is_ok()
    })
}

/// Partitions with an open transaction, and where the first of it lies.
fn open(shared: &Shared) -> Result<BTreeMap<Partition, u64>, LogError> {
    let all = shared.cluster.partitions(&Topic::ALL)?;
    let ends: Position = shared.cluster.ends(&all)?;
    let decided = shared.cluster.decided(&all)?;
    Ok(all
        .into_iter()
        .map(|partition| (partition, decided.next_in(partition)))
        .filter(|&(partition, decided)| decided < ends.next_in(partition))
        .collect())
}

/// Looks from time to time for transactions that hang, has those that are ours ended, and says how to end
/// those that nobody does, until `shared` ends.
pub(super) fn watch(shared: &Arc<Shared>) -> Result<(), LogError> {
    let watched = Arc::downgrade(shared);
    spawn("hang", move || look(&watched))
}

fn look(watched: &Weak<Shared>) {
    let mut since: BTreeMap<Partition, (u64, Instant)> = BTreeMap::new();
    while let Some(shared) = watched.upgrade() {
        // Brokers that are away are told of elsewhere.
        if let Ok(open) = open(&shared) {
            since.retain(|partition, (at, _)| open.get(partition) == Some(at));
            for (partition, at) in open {
                since.entry(partition).or_insert((at, Instant::now()));
            }
            let timeout = shared.config.transaction_timeout;
            // The brokers end what lasts for longer, unless they have forgotten it.
            if since.values().any(|(_, began)| began.elapsed() > timeout) {
                shared.suspicions.raise();
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
