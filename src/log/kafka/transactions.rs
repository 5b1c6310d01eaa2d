//! Commits outputs with inputs, on a thread of its own.
//!
//! librdkafka speaks the transaction protocol before KIP-890: a commit whose answer was lost can
//! take hold later. So nothing is tried again with a producer whose commit or abort ended any way
//! but well: it is thrown away, and its successor's first step (`init_transactions`) ends what was
//! open and fences what is still on its way. What brokers then leave open is [`super::hanging`]'s, and
//! what may be lost by that [`super::promises`]'s.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{self as std_mpsc, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio::sync::oneshot;

use super::{Shared, bookmark, cluster::away, codec, events::Events, hanging, promises::Promises};
use crate::{
    domain::Record,
    log::{LogError, Partition, Position},
    telemetry::metrics as names,
};

/// How often to look whether the ends of commits are in the log.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many records of commits are kept before it is looked at once.
const MOST_KEPT: usize = 5000;
/// How long to wait before a producer is tried again that could not be had.
const REBUILD_PAUSE: Duration = Duration::from_millis(500);
/// For how many times the longest transaction open ones are waited for.
const PATIENCE_IN_TIMEOUTS: u32 = 2;
/// How long to wait for room in the producer's queue.
const ROOM: Duration = Duration::from_millis(5);

/// How often to look whether the brokers have everything.
const GLANCE: Duration = Duration::from_millis(1);
/// After how many records the producer is heard: what was delivered takes its room until then.
const HEAR_EVERY: usize = 100;

/// One commit.
pub(super) struct Commit {
    pub(super) outputs: Vec<Record>,
    /// The held partitions and the next offset in each.
    pub(super) offsets: Vec<(Partition, u64)>,
    /// What to note beside them.
    pub(super) through: Position,
    pub(super) proof: Arc<ConsumerGroupMetadata>,
    pub(super) done: oneshot::Sender<Result<(), LogError>>,
}

/// Commits for one member of a group, one after the other.
pub(super) struct Transactions(std_mpsc::SyncSender<Commit>);

impl Transactions {
    pub(super) fn start(shared: Arc<Shared>, group: &str) -> Result<Self, LogError> {
        // Its member waits for each, so more than one never waits.
        let (jobs, waiting) = std_mpsc::sync_channel(1);
        let work = Work {
            id: shared.names.transaction(&shared.instance, group),
            group: group.to_owned(),
            shared,
            promises: Promises::default(),
            looked_at: Instant::now(),
            suspicion: 0,
        };
        thread::Builder::new()
            .name("offkey-kafka-commit".to_owned())
            .spawn(move || work.run(&waiting))
            .map_err(|error| LogError::Failed(format!("a thread cannot start: {error}")))?;
        Ok(Self(jobs))
    }

    pub(super) fn submit(&self, commit: Commit) -> Result<(), LogError> {
        self.0.try_send(commit).map_err(|_| LogError::Closed)
    }
}

/// How a transaction went that did not commit.
enum Failure {
    /// It is aborted for certain.
    Aborted(KafkaError),
    /// Nobody knows, or the producer is of no use any more.
    Unknown(KafkaError),
}

struct Work {
    shared: Arc<Shared>,
    group: String,
    id: String,
    /// What commits have promised whose ends may not be in the log.
    promises: Promises,
    looked_at: Instant,
    /// The last suspicion that was followed.
    suspicion: u64,
}

impl Work {
    fn run(mut self, waiting: &std_mpsc::Receiver<Commit>) {
        // At once: it ends what a predecessor left open, and everybody waits for that.
        let mut producer = self.try_producer();
        loop {
            let pause = if producer.is_some() {
                LOOK_EVERY
            } else {
                REBUILD_PAUSE
            };
            let next = waiting.recv_timeout(pause);
            if self.shared.suspicions.is_new(&mut self.suspicion) {
                producer = None;
            }
            match next {
                Ok(commit) => producer = self.serve(producer.take(), commit),
                Err(RecvTimeoutError::Timeout) if producer.is_none() => {
                    producer = self.try_producer();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if producer.is_some() {
                self.look_after_promises();
            }
        }
    }

    /// Commits and answers; gives back the producer if it is of use after that.
    fn serve(
        &mut self,
        producer: Option<BaseProducer<Events>>,
        commit: Commit,
    ) -> Option<BaseProducer<Events>> {
        let made = producer.map_or_else(|| self.producer(), Ok);
        let (answer, producer) = match made {
            Ok(producer) => {
                let result = self.commit(&producer, &commit);
                let is_of_use = match &result {
                    Ok(_) => {
                        self.promises.add(commit.outputs, self.first(&producer));
                        true
                    }
                    Err(Failure::Aborted(_)) => self.try_to_keep_promises(&producer),
                    Err(Failure::Unknown(_)) => false,
                };
                (self.judge(result), is_of_use.then_some(producer))
            }
            Err(error) => (Err(error), None),
        };
        // Whoever asked may be gone.
        drop(commit.done.send(answer));
        producer
    }

    fn try_producer(&mut self) -> Option<BaseProducer<Events>> {
        let made = self.producer();
        made.inspect_err(|error| tracing::warn!(group = self.group, %error, "no transactions yet"))
            .ok()
    }

    /// A producer after which nothing of its predecessors can take hold any more, nor hang.
    fn producer(&mut self) -> Result<BaseProducer<Events>, LogError> {
        let settings = &self.shared.settings;
        let timeout = self.shared.config.transaction_timeout;
        let config = settings.transactions(&self.id, timeout);
        let events = Events::new("transactions", settings.tokens.clone());
        let producer = BaseProducer::from_config_and_context(&config, events);
        let producer = producer.map_err(|error| away(&error))?;
        let ready = producer.init_transactions(timeout);
        ready.map_err(|error| away(&error))?;
        hanging::end(&self.shared, &self.group, &producer)?;
        self.keep_promises(&producer)?;
        Ok(producer)
    }

    /// Where the first record of the last transaction lies in each partition.
    fn first(&self, producer: &BaseProducer<Events>) -> BTreeMap<Partition, u64> {
        let first = producer.context().take_first().into_iter();
        first
            .filter_map(|((topic, number), offset)| {
                let partition = self.shared.names.partition(&topic, number)?;
                Some((partition, offset.unsigned_abs()))
            })
            .collect()
    }

    fn look_after_promises(&mut self) {
        let kept = self.promises.records();
        if kept == 0 || (kept < MOST_KEPT && self.looked_at.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked_at = Instant::now();
        if let Err(error) = self.promises.look(&self.shared) {
            tracing::debug!(group = self.group, %error, "whether commits ended is not known");
        }
    }

    fn try_to_keep_promises(&mut self, producer: &BaseProducer<Events>) -> bool {
        let kept = self.keep_promises(producer);
        kept.inspect_err(|error| tracing::warn!(group = self.group, %error, "no transactions yet"))
            .is_ok()
    }

    /// After an abort: it may have ended what was committed before.
    fn keep_promises(&mut self, producer: &BaseProducer<Events>) -> Result<(), LogError> {
        if self.promises.is_empty() {
            return Ok(());
        }
        let timeout = self.shared.config.transaction_timeout;
        let lost = self
            .promises
            .lost(&self.shared, PATIENCE_IN_TIMEOUTS * timeout)?;
        if lost.is_empty() {
            self.promises.clear();
            return Ok(());
        }
        let (group, records) = (&self.group, lost.len());
        tracing::warn!(
            group,
            records,
            "brokers lost the end of a commit; it is said again"
        );
        metrics::counter!(names::KAFKA_RESAID)
            .increment(u64::try_from(records).unwrap_or(u64::MAX));
        let said = producer
            .begin_transaction()
            .and_then(|()| self.put_all(producer, &lost))
            .and_then(|()| settle(producer, timeout))
            .and_then(|()| producer.commit_transaction(timeout));
        said.map_err(|error| away(&error))?;
        let first = self.first(producer);
        self.promises.clear();
        self.promises.add(lost, first);
        Ok(())
    }

    fn judge(&self, result: Result<Duration, Failure>) -> Result<(), LogError> {
        let (outcome, answer) = match result {
            Ok(took) => {
                metrics::histogram!(names::KAFKA_TRANSACTION_SECONDS).record(took.as_secs_f64());
                ("committed", Ok(()))
            }
            Err(Failure::Aborted(error)) => {
                tracing::warn!(group = self.group, %error, "a transaction was aborted");
                ("aborted", Err(away(&error)))
            }
            Err(Failure::Unknown(error)) => {
                tracing::warn!(group = self.group, %error, "a transaction ended unknown; its producer is made anew");
                metrics::counter!(names::KAFKA_REBUILDS, "what" => "producer").increment(1);
                ("unknown", Err(away(&error)))
            }
        };
        let labels = [
            ("group", self.group.clone()),
            ("outcome", outcome.to_owned()),
        ];
        metrics::counter!(names::KAFKA_TRANSACTIONS, &labels).increment(1);
        answer
    }

    fn commit(
        &self,
        producer: &BaseProducer<Events>,
        commit: &Commit,
    ) -> Result<Duration, Failure> {
        let began = Instant::now();
        producer.begin_transaction().map_err(Failure::Unknown)?;
        // The outputs travel while the offsets are noted.
        let filled = self
            .fill(producer, commit)
            .and_then(|offsets| self.add_offsets(producer, &offsets, &commit.proof))
            .and_then(|()| settle(producer, self.shared.config.transaction_timeout));
        if let Err(error) = filled {
            return Err(abort(
                producer,
                error,
                self.shared.config.transaction_timeout,
            ));
        }
        fail::fail_point!("kafka.before-commit", |_| std::process::abort());
        // As if the brokers had decided it and forgotten to end it.
        fail::fail_point!("kafka.lose-end", self.group == "correlation", |_| {
            Ok(began.elapsed())
        });
        let committed = producer.commit_transaction(self.shared.config.transaction_timeout);
        fail::fail_point!("kafka.after-commit", |_| std::process::abort());
        fail::fail_point!("kafka.lose-answer", |_| {
            Err(Failure::Unknown(KafkaError::Canceled))
        });
        match committed {
            Ok(()) => Ok(began.elapsed()),
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                let error = KafkaError::Transaction(error);
                Err(abort(
                    producer,
                    error,
                    self.shared.config.transaction_timeout,
                ))
            }
            Err(error) => Err(Failure::Unknown(error)),
        }
    }

    /// Puts the outputs in; the offsets to note with them.
    fn fill(
        &self,
        producer: &BaseProducer<Events>,
        commit: &Commit,
    ) -> Result<TopicPartitionList, KafkaError> {
        self.put_all(producer, &commit.outputs)?;
        let note = bookmark::write(&commit.through);
        let mut offsets = TopicPartitionList::new();
        for &(partition, next) in &commit.offsets {
            let (topic, number) = self.shared.names.place(partition);
            let mut element = offsets.add_partition(&topic, number);
            element.set_offset(Offset::Offset(next.cast_signed()))?;
            element.set_metadata(note.clone());
        }
        Ok(offsets)
    }

    fn put_all(
        &self,
        producer: &BaseProducer<Events>,
        records: &[Record],
    ) -> Result<(), KafkaError> {
        // What was delivered before is another's.
        drop(producer.context().take_first());
        for (count, record) in (1_usize..).zip(records) {
            self.put(producer, record)?;
            if count.is_multiple_of(HEAR_EVERY) {
                producer.poll(Duration::ZERO);
            }
        }
        Ok(())
    }

    fn put(&self, producer: &BaseProducer<Events>, record: &Record) -> Result<(), KafkaError> {
        let topic = self.shared.names.topic(record.topic);
        let until = Instant::now() + self.shared.config.transaction_timeout;
        let mut message = BaseRecord::to(&topic)
            .key(record.key.as_bytes())
            .payload(&record.data[..])
            .headers(codec::headers(record));
        loop {
            match producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < until =>
                {
                    message = back;
                    producer.poll(ROOM);
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn add_offsets(
        &self,
        producer: &BaseProducer<Events>,
        offsets: &TopicPartitionList,
        proof: &ConsumerGroupMetadata,
    ) -> Result<(), KafkaError> {
        producer.send_offsets_to_transaction(offsets, proof, self.shared.config.transaction_timeout)
    }
}

/// Waits until the brokers have what was put in. The library's own flush looks every 100 ms whether
/// they do, which would be the least that a transaction takes.
pub(super) fn settle(producer: &BaseProducer<Events>, timeout: Duration) -> Result<(), KafkaError> {
    let until = Instant::now() + timeout;
    loop {
        match producer.flush(Duration::ZERO) {
            Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut))
                if Instant::now() < until =>
            {
                producer.poll(GLANCE);
            }
            done => return done,
        }
    }
}

fn abort(producer: &BaseProducer<Events>, error: KafkaError, timeout: Duration) -> Failure {
    if let KafkaError::Transaction(fault) = &error
        && fault.is_fatal()
    {
        return Failure::Unknown(error);
    }
    match producer.abort_transaction(timeout) {
        Ok(()) => Failure::Aborted(error),
        Err(worse) => Failure::Unknown(worse),
    }
}
