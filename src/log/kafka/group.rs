//! Holds a share of a group's work, on a thread of its own. It tells whose turn it is and reads
//! nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata},
};
use tokio::sync::watch;

use super::{
    Shared, bookmark,
    client::Client,
    cluster::{PATIENCE, away},
    events::Events,
    hanging::do_offsets_hang,
    threads::spawn,
};
use crate::{
    domain::Topic,
    log::{LogError, Partition, Position, Share},
    telemetry::metrics as names,
};

/// How long to wait for the group to say something.
const WAIT: Duration = Duration::from_millis(100);
/// How long leaving may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before a client is made anew.
const REBUILD_PAUSE: Duration = Duration::from_secs(1);

/// What is held, under which number of the group's generations.
#[derive(Clone, Default)]
pub(super) struct Held {
    /// Counts the moves.
    pub(super) moves: u64,
    pub(super) share: Share,
    /// How far the group's work on each held partition is committed.
    pub(super) committed: Position,
    /// Proves to the brokers that the share is held; absent: nothing is.
    pub(super) proof: Option<Arc<ConsumerGroupMetadata>>,
}

/// A handle on the thread; the group is left when it is dropped.
pub(super) struct Group {
    held: watch::Sender<Held>,
    stale: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    /// Closed when the thread has left the group.
    left: mpsc::Receiver<()>,
}

impl Group {
    /// Joins `name` for the partitions of `topics`, or for `turn` alone of them.
    pub(super) fn join(
        shared: Arc<Shared>,
        name: &str,
        topics: Vec<Topic>,
        turn: Option<Partition>,
    ) -> Result<Self, LogError> {
        let (leaving, left) = mpsc::channel();
        let group = Self {
            left,
            held: watch::Sender::new(Held::default()),
            stale: Arc::new(AtomicBool::new(false)),
            stop: Arc::new(AtomicBool::new(false)),
        };
        let work = Work {
            shared,
            name: name.to_owned(),
            topics,
            turn,
            held: group.held.clone(),
            stale: group.stale.clone(),
            stop: group.stop.clone(),
        };
        spawn("group", move || {
            work.run();
            drop(leaving);
        })?;
        Ok(group)
    }

    pub(super) fn held(&self) -> watch::Receiver<Held> {
        self.held.subscribe()
    }

    /// Nobody may build on the share any more: it is asked for anew, with how far the log has
    /// come since.
    pub(super) fn renew(&self) {
        self.stale.store(true, Ordering::Release);
        self.held.send_modify(let_go);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Whoever takes over need not wait for our silence. A broker that is away holds up nobody.
        let _left_or_not = self.left.recv_timeout(LEAVE_TIMEOUT);
    }
}

fn let_go(held: &mut Held) {
    *held = Held {
        moves: held.moves + 1,
        ..Held::default()
    };
}

/// What `group` committed of `topics`, seen from outside: how far it is done with each partition,
/// and the position noted beside it.
pub(super) fn committed(
    shared: &Shared,
    group: &str,
    topics: &[Topic],
) -> Result<(BTreeMap<Partition, Position>, Position), LogError> {
    let failed = |error| away(&error);
    let config = shared
        .settings
        .group(&shared.names.group(group), &shared.config);
    let events = Events::new("questions", shared.settings.tokens.clone());
    let client = Client::new(&config, events)?;
    let mut wanted = TopicPartitionList::new();
    for partition in shared.cluster.partitions(topics)? {
        let (topic, number) = shared.names.place(partition);
        wanted
            .add_partition_offset(&topic, number, Offset::Invalid)
            .map_err(failed)?;
    }
    let found = client.committed_offsets(wanted, PATIENCE).map_err(failed)?;
    read(shared, &found)
}

/// What was committed: the position noted beside each partition, and how far in each.
fn read(
    shared: &Shared,
    found: &TopicPartitionList,
) -> Result<(BTreeMap<Partition, Position>, Position), LogError> {
    let (mut held, mut committed) = (BTreeMap::new(), Position::default());
    for element in found.elements() {
        element.error().map_err(|error| away(&error))?;
        let partition = shared.names.partition(element.topic(), element.partition());
        let Some(partition) = partition else { continue };
        if let Offset::Offset(next) = element.offset() {
            committed.advance(partition, next.unsigned_abs());
        }
        held.insert(partition, bookmark::read(element.metadata()));
    }
    Ok((held, committed))
}

struct Work {
    shared: Arc<Shared>,
    name: String,
    topics: Vec<Topic>,
    turn: Option<Partition>,
    held: watch::Sender<Held>,
    stale: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn run(self) {
        while !self.is_stopped() {
            if let Err(error) = self.hold() {
                tracing::warn!(group = self.name, %error, "a group's client is made anew");
                metrics::counter!(names::KAFKA_REBUILDS, "what" => "group").increment(1);
                self.held.send_modify(let_go);
                thread::sleep(REBUILD_PAUSE);
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Holds a share with one client for as long as it works.
    fn hold(&self) -> Result<(), LogError> {
        let failed = |error| away(&error);
        let settings = &self.shared.settings;
        let group = self.shared.names.group(&self.name);
        let config = settings.group(&group, &self.shared.config);
        let events = Events::new("group", settings.tokens.clone());
        let client = Client::new(&config, events)?;
        let topics: Vec<String> = self
            .topics
            .iter()
            .map(|topic| self.shared.names.topic(*topic))
            .collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        client.subscribe(&topics).map_err(failed)?;
        let mut is_due = false;
        while !self.is_stopped() {
            match client.poll(WAIT) {
                Some(Err(rdkafka::error::KafkaError::MessageConsumptionFatal(code))) => {
                    return Err(LogError::Unavailable(code.to_string()));
                }
                Some(Err(error)) => tracing::debug!(%error, "the group's client says so"),
                Some(Ok(_)) | None => {}
            }
            fail::fail_point!("kafka.group-poll");
            if client.context().has_moved() {
                self.held.send_modify(let_go);
                is_due = true;
            }
            is_due |= self.stale.swap(false, Ordering::AcqRel);
            if is_due {
                // What cannot be told now is asked again after the next poll.
                is_due = !self.tell(&client).unwrap_or_else(|error| {
                    tracing::warn!(group = self.name, %error, "the share cannot be told yet");
                    false
                });
            }
        }
        client.unsubscribe();
        client.end();
        Ok(())
    }

    /// Tells what is held now; false when something moved meanwhile.
    fn tell(&self, client: &BaseConsumer<Events>) -> Result<bool, LogError> {
        let moves = self.held.borrow().moves;
        let failed = |error| away(&error);
        let assigned = client.assignment().map_err(failed)?;
        let (share, committed, proof) = if self.is_our_turn(&assigned) {
            // Waits until no transaction can change them any more (KIP-447).
            let wanted = self.wanted(&assigned)?;
            let found = client
                .committed_offsets(wanted.clone(), PATIENCE)
                .inspect_err(|_| {
                    if do_offsets_hang(&self.shared, &self.name, &wanted) {
                        self.shared.suspicions.raise();
                    }
                })
                .map_err(failed)?;
            let (held, committed) = read(&self.shared, &found)?;
            let proof = client.group_metadata().map(Arc::new);
            // Asked after that: what the one before us has put out lies before these ends.
            let all = self.shared.cluster.partitions(&Topic::ALL)?;
            let since = self.shared.cluster.ends(&all)?;
            (Share { held, since }, committed, proof)
        } else {
            (Share::default(), Position::default(), None)
        };
        tracing::info!(
            group = self.name,
            partitions = share.held.len(),
            "holds a share of the work"
        );
        Ok(self.held.send_if_modified(|held| {
            let is_current = held.moves == moves;
            if is_current {
                *held = Held {
                    moves: moves + 1,
                    share,
                    committed,
                    proof,
                };
            }
            is_current
        }))
    }

    fn is_our_turn(&self, assigned: &TopicPartitionList) -> bool {
        match self.turn {
            Some(turn) => {
                let (topic, number) = self.shared.names.place(turn);
                assigned.find_partition(&topic, number).is_some()
            }
            None => assigned.count() > 0,
        }
    }

    fn wanted(&self, assigned: &TopicPartitionList) -> Result<TopicPartitionList, LogError> {
        let mut wanted = TopicPartitionList::new();
        for element in assigned.elements() {
            let partition = self
                .shared
                .names
                .partition(element.topic(), element.partition());
            if self.turn.is_none() || self.turn == partition {
                wanted
                    .add_partition_offset(element.topic(), element.partition(), Offset::Invalid)
                    .map_err(|error| away(&error))?;
            }
        }
        Ok(wanted)
    }
}
