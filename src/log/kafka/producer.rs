//! A transactional producer whose every step ends in time.
//!
//! The library waits without end for some answers: when a group's coordinator moves while offsets are
//! sent to it, it asks again only when some connection changes (`rd_kafka_coord_req`, librdkafka
//! 2.12). So what may wait is done on a thread of its own. A step that is not back in time is left
//! there with its client; the next producer under the same transactional id fences it.
//!
//! What the client has to tell (deliveries, and tokens it wants) is heard on another thread, which
//! sleeps until there is something: `BaseProducer::poll` burns what is left of its last millisecond
//! (rdkafka 0.39), and each `flush` wakes the threads of all brokers.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::{Shared, codec, events::Events, threads::spawn};
use crate::{
    domain::Record,
    log::{LogError, Partition},
};

/// How much longer than it was told a step may take.
const GRACE: Duration = Duration::from_secs(5);
/// For how long the client is heard before its thread looks whether it is still wanted.
const HEAR: Duration = Duration::from_secs(1);
/// How often to look whether the brokers have everything.
const GLANCE: Duration = Duration::from_millis(1);
/// How long to wait for room in the queue.
const ROOM: Duration = Duration::from_millis(5);

type Step = Box<dyn FnOnce(&BaseProducer<Events>) + Send>;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProducerError {
    #[error("the client library does not come back from {0}")]
    Stuck(&'static str),
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

impl ProducerError {
    /// Whether the transaction is to be aborted, and the producer goes on.
    pub(super) fn requires_abort(&self) -> bool {
        matches!(self, Self::Kafka(KafkaError::Transaction(error)) if error.txn_requires_abort())
    }

    /// Whether the producer is of no use any more.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Stuck(_) => true,
            Self::Kafka(KafkaError::Transaction(error)) => error.is_fatal(),
            Self::Kafka(_) => false,
        }
    }
}

impl From<ProducerError> for LogError {
    fn from(error: ProducerError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// A producer that has ended what its predecessors under its transactional id left open.
pub(super) struct Producer {
    shared: Arc<Shared>,
    // Before the steps: the last of the client ends on a thread of its own, which may take long.
    client: Arc<BaseProducer<Events>>,
    steps: mpsc::Sender<Step>,
    timeout: Duration,
    is_stuck: Cell<bool>,
    is_over: Arc<AtomicBool>,
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Producer {
    pub(super) fn start(shared: &Arc<Shared>, id: &str) -> Result<Self, LogError> {
        let timeout = shared.config.transaction_timeout;
        let config = shared.settings.transactions(id, timeout);
        let events = Events::new("transactions", shared.settings.tokens.clone());
        let client = BaseProducer::from_config_and_context(&config, events);
        let client = client.map(Arc::new).map_err(ProducerError::from)?;
        let (steps, waiting) = mpsc::channel::<Step>();
        let acting = client.clone();
        spawn("step", move || {
            waiting.into_iter().for_each(|step| step(&acting));
        })?;
        let (hearing, is_over) = (client.clone(), Arc::<AtomicBool>::default());
        let is_unwanted = is_over.clone();
        spawn("hear", move || {
            while !is_unwanted.load(Ordering::Relaxed) {
                hearing.poll(HEAR);
            }
        })?;
        let producer = Self {
            shared: shared.clone(),
            client,
            steps,
            timeout,
            is_stuck: Cell::new(false),
            is_over,
        };
        producer.act("its start", |client, timeout| {
            client.init_transactions(timeout)
        })?;
        Ok(producer)
    }

    pub(super) fn begin(&self) -> Result<(), ProducerError> {
        // What was delivered before is another's.
        drop(self.client.context().take_first());
        self.act("the begin of a transaction", |client, _| {
            client.begin_transaction()
        })
    }

    pub(super) fn commit(&self) -> Result<(), ProducerError> {
        self.act("a commit", |client, timeout| {
            client.commit_transaction(timeout)
        })
    }

    pub(super) fn abort(&self) -> Result<(), ProducerError> {
        self.act("an abort", |client, timeout| {
            client.abort_transaction(timeout)
        })
    }

    pub(super) fn add_offsets(
        &self,
        offsets: TopicPartitionList,
        proof: Arc<ConsumerGroupMetadata>,
    ) -> Result<(), ProducerError> {
        self.act("offsets in a transaction", move |client, timeout| {
            fail::fail_point!("kafka.offsets-stand-still");
            client.send_offsets_to_transaction(&offsets, &proof, timeout)
        })
    }

    pub(super) fn put_all(&self, records: &[Record]) -> Result<(), ProducerError> {
        for record in records {
            let topic = self.shared.names.topic(record.topic);
            let message = BaseRecord::to(&topic)
                .key(record.key.as_bytes())
                .payload(&record.data[..])
                .headers(codec::headers(record));
            self.send(message)?;
        }
        Ok(())
    }

    /// Puts one record in, and waits for room where there is none.
    pub(super) fn send(&self, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<(), ProducerError> {
        let until = Instant::now() + self.timeout;
        loop {
            match self.client.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < until =>
                {
                    record = back;
                    thread::sleep(ROOM);
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Waits until the brokers have what was put in, or said that they will not. Before a commit as
    /// well: the library's own flush, which is part of it, then has nothing to wait for in its steps of
    /// 100 ms.
    pub(super) fn settle(&self) -> Result<(), ProducerError> {
        let until = Instant::now() + self.timeout;
        while self.client.in_flight_count() > 0 {
            if Instant::now() > until {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut).into());
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// Where the first record of the last transaction lies in each partition.
    pub(super) fn first(&self) -> BTreeMap<Partition, u64> {
        let first = self.client.context().take_first().into_iter();
        first
            .filter_map(|((topic, number), offset)| {
                let partition = self.shared.names.partition(&topic, number)?;
                Some((partition, offset.unsigned_abs()))
            })
            .collect()
    }

    fn act(
        &self,
        name: &'static str,
        act: impl FnOnce(&BaseProducer<Events>, Duration) -> Result<(), KafkaError> + Send + 'static,
    ) -> Result<(), ProducerError> {
        let (done, answer) = mpsc::channel();
        let timeout = self.timeout;
        // Whoever waited may have given up.
        let step: Step = Box::new(move |client| drop(done.send(act(client, timeout))));
        if self.is_stuck.get() || self.steps.send(step).is_err() {
            return Err(ProducerError::Stuck(name));
        }
        match answer.recv_timeout(timeout + GRACE) {
            Ok(result) => Ok(result?),
            Err(_) => {
                self.is_stuck.set(true);
                Err(ProducerError::Stuck(name))
            }
        }
    }
}
