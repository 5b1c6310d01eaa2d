//! Commits outputs with inputs, on a thread of its own.
//!
//! librdkafka speaks the transaction protocol before KIP-890: a commit whose answer was lost can
//! take hold later. So nothing is tried again with a producer whose commit or abort ended any way
//! but well: it is thrown away, and its successor's first step (`init_transactions`) ends what was
//! open and fences what is still on its way. What brokers then leave open is [`super::hanging`]'s, and
//! what may be lost by that [`super::promises`]'s.

use std::{
    sync::{
        Arc,
        mpsc::{self as std_mpsc, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use rdkafka::{Offset, TopicPartitionList, consumer::ConsumerGroupMetadata};
use tokio::sync::oneshot;

use super::{
    Shared, bookmark, hanging,
    producer::{Producer, ProducerError},
    promises::Promises,
    threads::spawn,
};
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
    pub(super) fn start(
        shared: Arc<Shared>,
        group: &str,
        promises: Promises,
    ) -> Result<Self, LogError> {
        // Its member waits for each, so more than one never waits.
        let (jobs, waiting) = std_mpsc::sync_channel(1);
        let work = Work {
            id: shared.names.transaction(&shared.instance, group),
            group: group.to_owned(),
            shared,
            promises,
            looked_at: Instant::now(),
            suspicion: 0,
        };
        spawn("commit", move || work.run(&waiting))?;
        Ok(Self(jobs))
    }

    pub(super) fn submit(&self, commit: Commit) -> Result<(), LogError> {
        self.0.try_send(commit).map_err(|_| LogError::Closed)
    }
}

/// How a transaction went that did not commit.
enum Failure {
    /// It is aborted for certain.
    Aborted(ProducerError),
    /// Nobody knows, or the producer is of no use any more.
    Unknown(ProducerError),
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
    fn serve(&mut self, producer: Option<Producer>, commit: Commit) -> Option<Producer> {
        let made = producer.map_or_else(|| self.producer(), Ok);
        let (answer, producer) = match made {
            Ok(producer) => {
                let result = self.commit(&producer, &commit);
                let is_of_use = match &result {
                    Ok(_) => {
                        self.promises.add(commit.outputs, producer.first());
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

    fn try_producer(&mut self) -> Option<Producer> {
        let made = self.producer();
        self.or_later(made)
    }

    /// What was tried, or that it was in vain for now.
    fn or_later<T>(&self, tried: Result<T, LogError>) -> Option<T> {
        tried
            .inspect_err(|error| tracing::warn!(group = self.group, %error, "no transactions yet"))
            .ok()
    }

    /// A producer after which nothing of its predecessors can take hold any more, nor hang.
    fn producer(&mut self) -> Result<Producer, LogError> {
        let producer = Producer::start(&self.shared, &self.id)?;
        hanging::end(&self.shared, &self.group, &producer)?;
        self.keep_promises(&producer)?;
        Ok(producer)
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

    fn try_to_keep_promises(&mut self, producer: &Producer) -> bool {
        let kept = self.keep_promises(producer);
        self.or_later(kept).is_some()
    }

    /// After an abort: it may have ended what was committed before.
    fn keep_promises(&mut self, producer: &Producer) -> Result<(), LogError> {
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
        producer.begin()?;
        producer.put_all(&lost)?;
        producer.settle()?;
        producer.commit()?;
        let first = producer.first();
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
                ("aborted", Err(error.into()))
            }
            Err(Failure::Unknown(error)) => {
                tracing::warn!(group = self.group, %error, "a transaction ended unknown; its producer is made anew");
                metrics::counter!(names::KAFKA_REBUILDS, "what" => "producer").increment(1);
                ("unknown", Err(error.into()))
            }
        };
        let labels = [
            ("group", self.group.clone()),
            ("outcome", outcome.to_owned()),
        ];
        metrics::counter!(names::KAFKA_TRANSACTIONS, &labels).increment(1);
        answer
    }

    fn commit(&self, producer: &Producer, commit: &Commit) -> Result<Duration, Failure> {
        let began = Instant::now();
        producer.begin().map_err(Failure::Unknown)?;
        self.fill(producer, commit)
            .map_err(|error| abort(producer, error))?;
        fail::fail_point!("kafka.before-commit", |_| std::process::abort());
        // As if the brokers had decided it and forgotten to end it.
        fail::fail_point!(&format!("kafka.lose-end.{}", self.group), |_| {
            Ok(began.elapsed())
        });
        let committed = producer.commit();
        fail::fail_point!("kafka.after-commit", |_| std::process::abort());
        fail::fail_point!("kafka.lose-answer", |_| {
            Err(Failure::Unknown(
                rdkafka::error::KafkaError::Canceled.into(),
            ))
        });
        match committed {
            Ok(()) => Ok(began.elapsed()),
            Err(error) if error.requires_abort() => Err(abort(producer, error)),
            Err(error) => Err(Failure::Unknown(error)),
        }
    }

    /// Puts the outputs in, and how far their inputs are done.
    fn fill(&self, producer: &Producer, commit: &Commit) -> Result<(), ProducerError> {
        producer.put_all(&commit.outputs)?;
        let note = bookmark::write(&commit.through);
        let mut offsets = TopicPartitionList::new();
        for &(partition, next) in &commit.offsets {
            let (topic, number) = self.shared.names.place(partition);
            let mut element = offsets.add_partition(&topic, number);
            element.set_offset(Offset::Offset(next.cast_signed()))?;
            element.set_metadata(note.clone());
        }
        // The outputs travel while the offsets are noted.
        producer.add_offsets(offsets, commit.proof.clone())?;
        producer.settle()
    }
}

fn abort(producer: &Producer, error: ProducerError) -> Failure {
    if error.is_final() {
        return Failure::Unknown(error);
    }
    match producer.abort() {
        Ok(()) => Failure::Aborted(error),
        Err(worse) => Failure::Unknown(worse),
    }
}
