//! Reads named partitions from named offsets, on a thread of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::sync::mpsc;

use super::{
    Shared,
    cluster::{PATIENCE, away, offsets},
    codec,
    events::Events,
};
use crate::{
    domain::Topic,
    log::{Batch, Entry, Follower, LogError, Partition, Position},
    telemetry::metrics as names,
};

/// How long to wait for a record.
const WAIT: Duration = Duration::from_millis(50);
/// The most records of one step.
const MOST_RECORDS: usize = 4000;
/// How many steps may wait for whoever reads.
const STEPS_AHEAD: usize = 2;
/// After how much silence the cluster is asked whether there is something after all.
const SILENCE: Duration = Duration::from_secs(1);
/// How often it is asked again.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After so many looks that found records which do not come, the client is made anew.
const MOST_VAIN_LOOKS: u32 = 2;
/// How long to wait before a client is made anew.
const REBUILD_PAUSE: Duration = Duration::from_secs(1);

/// Gives out what a thread reads.
pub(super) struct Reader {
    steps: mpsc::Receiver<Result<Batch, LogError>>,
    /// Read and not given out.
    waiting: VecDeque<Entry>,
    /// Behind the last of them.
    through: Position,
    given: Position,
}

impl Reader {
    /// Starts reading; ends when dropped.
    pub(super) fn start(
        shared: Arc<Shared>,
        scope: Scope,
        from: &Position,
    ) -> Result<Self, LogError> {
        let (out, steps) = mpsc::channel(STEPS_AHEAD);
        let (position, given) = (from.clone(), from.clone());
        thread::Builder::new()
            .name("offkey-kafka-read".to_owned())
            .spawn(move || Work::new(shared, scope, position, out).run())
            .map_err(|error| LogError::Failed(format!("a thread cannot start: {error}")))?;
        Ok(Self {
            steps,
            waiting: VecDeque::new(),
            through: given.clone(),
            given,
        })
    }

    pub(super) async fn next(&mut self, most: usize) -> Result<Batch, LogError> {
        if self.waiting.is_empty() {
            let step = self.steps.recv().await.ok_or(LogError::Closed)??;
            self.waiting = step.entries.into();
            self.through = step.through;
        }
        let count = most.min(self.waiting.len());
        let entries: Vec<Entry> = self.waiting.drain(..count).collect();
        if self.waiting.is_empty() {
            self.given.clone_from(&self.through);
        } else {
            for entry in &entries {
                self.given.advance(entry.partition, entry.offset + 1);
            }
        }
        Ok(Batch {
            entries,
            through: self.given.clone(),
        })
    }
}

#[async_trait]
impl Follower for Reader {
    async fn next(&mut self, most: usize) -> Result<Batch, LogError> {
        Self::next(self, most).await
    }
}

/// What a reader reads.
pub(super) enum Scope {
    /// Every partition of the topics, those that are added later included.
    Topics(Vec<Topic>),
    /// These.
    Partitions(Vec<Partition>),
}

/// Why a client cannot go on.
enum Fault {
    /// Nobody wants to know any more.
    Unwanted,
    /// A new client may fare better.
    Client(LogError),
    /// No client can.
    Lasting(LogError),
}

struct Work {
    shared: Arc<Shared>,
    scope: Scope,
    position: Position,
    out: mpsc::Sender<Result<Batch, LogError>>,
}

impl Work {
    fn new(
        shared: Arc<Shared>,
        scope: Scope,
        position: Position,
        out: mpsc::Sender<Result<Batch, LogError>>,
    ) -> Self {
        Self {
            shared,
            scope,
            position,
            out,
        }
    }

    fn run(mut self) {
        while !self.out.is_closed() {
            match self.read() {
                Fault::Unwanted => return,
                Fault::Client(error) => {
                    tracing::warn!(%error, "a reader of the log is made anew");
                    metrics::counter!(names::KAFKA_REBUILDS, "what" => "reader").increment(1);
                    thread::sleep(REBUILD_PAUSE);
                }
                Fault::Lasting(error) => {
                    drop(self.out.blocking_send(Err(error)));
                    return;
                }
            }
        }
    }

    /// Reads with one client for as long as it works.
    fn read(&mut self) -> Fault {
        match self.open().and_then(|session| session.run(self)) {
            Ok(never) => match never {},
            Err(fault) => fault,
        }
    }

    /// A client at the position.
    fn open(&mut self) -> Result<Session, Fault> {
        let partitions = match &self.scope {
            Scope::Topics(topics) => self.shared.cluster.partitions(topics),
            Scope::Partitions(partitions) => Ok(partitions.clone()),
        };
        let partitions = partitions.map_err(Fault::Client)?;
        self.check_bounds(&partitions)?;
        let settings = &self.shared.settings;
        let events = Events::new("reader", settings.tokens.clone());
        let client = BaseConsumer::from_config_and_context(&settings.reader(), events)
            .map_err(|error| Fault::Client(away(&error)))?;
        let session = Session::new(client, partitions);
        session.assign(self)?;
        Ok(session)
    }

    /// Moves past what retention took, and sees when the log is another one.
    fn check_bounds(&mut self, partitions: &[Partition]) -> Result<(), Fault> {
        let cluster = &self.shared.cluster;
        let ends = cluster.ends(partitions).map_err(Fault::Client)?;
        let begins = cluster.beginnings(partitions).map_err(Fault::Client)?;
        for &partition in partitions {
            let at = self.position.next_in(partition);
            if at > ends.next_in(partition) {
                return Err(Fault::Lasting(LogError::Replaced(format!(
                    "{partition} ends at {} and was read up to {at}",
                    ends.next_in(partition)
                ))));
            }
            if at < begins.next_in(partition) {
                if at > 0 {
                    tracing::warn!(%partition, at, "records were deleted before they were read");
                }
                self.position.advance(partition, begins.next_in(partition));
            }
        }
        Ok(())
    }

    fn tell(&mut self, entries: Vec<Entry>, position: Position) -> Result<(), Fault> {
        self.position = position;
        let step = Batch {
            entries,
            through: self.position.clone(),
        };
        let told = self.out.blocking_send(Ok(step));
        told.map_err(|_closed| Fault::Unwanted)
    }
}

enum Never {}

/// One client, and how it fares.
struct Session {
    client: BaseConsumer<Events>,
    partitions: Vec<Partition>,
    heard_at: Instant,
    /// When the client was asked how far it has come.
    asked_at: Instant,
    looked_at: Option<Instant>,
    vain_looks: u32,
}

impl Session {
    fn new(client: BaseConsumer<Events>, partitions: Vec<Partition>) -> Self {
        Self {
            client,
            partitions,
            heard_at: Instant::now(),
            asked_at: Instant::now(),
            looked_at: None,
            vain_looks: 0,
        }
    }

    fn assign(&self, work: &Work) -> Result<(), Fault> {
        let mut list = TopicPartitionList::with_capacity(self.partitions.len());
        for &partition in &self.partitions {
            let (topic, number) = work.shared.names.place(partition);
            let offset = Offset::Offset(work.position.next_in(partition).cast_signed());
            list.add_partition_offset(&topic, number, offset)
                .map_err(|error| Fault::Client(away(&error)))?;
        }
        let assigned = self.client.assign(&list);
        assigned.map_err(|error| Fault::Client(away(&error)))
    }

    fn run(mut self, work: &mut Work) -> Result<Never, Fault> {
        loop {
            let entries = self.take(work)?;
            let mut position = work.position.clone();
            for entry in &entries {
                position.advance(entry.partition, entry.offset + 1);
            }
            // While records come, they say enough; to ask for every partition takes longer than to
            // read some.
            if entries.is_empty() || self.asked_at.elapsed() >= WAIT {
                self.asked_at = Instant::now();
                for (partition, next) in self.client_position(work)?.parts() {
                    position.advance(partition, next);
                }
            }
            if position != work.position {
                self.heard_at = Instant::now();
                self.vain_looks = 0;
                work.tell(entries, position)?;
            } else if work.out.is_closed() {
                return Err(Fault::Unwanted);
            } else if self.is_time_to_look() {
                self.look(work)?;
            }
        }
    }

    /// What has come, waiting a little for it.
    fn take(&self, work: &Work) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        let mut wait = WAIT;
        while entries.len() < MOST_RECORDS {
            match self.client.poll(wait) {
                Some(Ok(message)) => {
                    let topic = work.shared.names.parse(message.topic());
                    entries.extend(topic.and_then(|topic| codec::entry(topic, &message)));
                    wait = Duration::ZERO;
                }
                Some(Err(error)) => judge(&error)?,
                None => break,
            }
        }
        Ok(entries)
    }

    /// How far the client has come, records included that say nothing to us (the ends of
    /// transactions, what was aborted).
    fn client_position(&self, work: &Work) -> Result<Position, Fault> {
        let found = self
            .client
            .position()
            .map_err(|error| Fault::Client(away(&error)))?;
        let mut position = BTreeMap::new();
        for element in found.elements() {
            let partition = work
                .shared
                .names
                .partition(element.topic(), element.partition());
            if let (Some(partition), Offset::Offset(next)) = (partition, element.offset()) {
                position.insert(partition, next.unsigned_abs());
            }
        }
        Ok(position.into_iter().collect::<Vec<_>>().into())
    }

    fn is_time_to_look(&self) -> bool {
        self.heard_at.elapsed() >= SILENCE
            && self
                .looked_at
                .is_none_or(|at| at.elapsed() >= LOOK_EVERY || at < self.heard_at)
    }

    /// Asks whether the silence is the log's or the client's.
    fn look(&mut self, work: &mut Work) -> Result<(), Fault> {
        self.looked_at = Some(Instant::now());
        if let Scope::Topics(topics) = &work.scope {
            let now = work
                .shared
                .cluster
                .partitions(topics)
                .map_err(Fault::Client)?;
            if now != self.partitions {
                tracing::info!(partitions = now.len(), "the log has other partitions now");
                return Err(Fault::Client(LogError::Moved));
            }
        }
        let decided = offsets(
            &self.client,
            &work.shared.names,
            &self.partitions,
            Offset::End,
        );
        let decided = decided.map_err(Fault::Client)?;
        let mut position = work.position.clone();
        for (partition, end) in decided.parts() {
            let at = position.next_in(partition);
            if at > end {
                // The topic was deleted and made anew under our hands.
                return Err(Fault::Client(LogError::Moved));
            }
            if at < end && is_gap(work, partition, at)? {
                position.advance(partition, end);
            }
        }
        if !position.has_reached(&decided) {
            self.vain_looks += 1;
            if self.vain_looks > MOST_VAIN_LOOKS {
                let why = "records are there and do not come".to_owned();
                return Err(Fault::Client(LogError::Unavailable(why)));
            }
        }
        if position != work.position {
            work.tell(Vec::new(), position)?;
        }
        Ok(())
    }
}

/// Whether there is nothing to read from `at` on: compaction can leave an end without a record,
/// which no position reaches by reading.
fn is_gap(work: &Work, partition: Partition, at: u64) -> Result<bool, Fault> {
    let settings = &work.shared.settings;
    let mut config = settings.reader();
    config.set("enable.partition.eof", "true");
    let fault = |error: KafkaError| Fault::Client(away(&error));
    let events = Events::new("gap", settings.tokens.clone());
    let client = BaseConsumer::<Events>::from_config_and_context(&config, events).map_err(fault)?;
    let mut list = TopicPartitionList::new();
    let (topic, number) = work.shared.names.place(partition);
    list.add_partition_offset(&topic, number, Offset::Offset(at.cast_signed()))
        .map_err(fault)?;
    client.assign(&list).map_err(fault)?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match client.poll(WAIT) {
            Some(Ok(_)) => return Ok(false),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(true),
            Some(Err(_)) | None => {}
        }
    }
    Ok(false)
}

/// Whether the client can go on after `error`.
fn judge(error: &KafkaError) -> Result<(), Fault> {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    match (error, code) {
        (KafkaError::MessageConsumptionFatal(_), _)
        | (
            _,
            Some(
                Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::UnknownTopicId,
            ),
        ) => Err(Fault::Client(away(error))),
        _ => {
            tracing::debug!(%error, "the client says so and goes on");
            Ok(())
        }
    }
}
