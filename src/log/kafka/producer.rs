//! A transactional producer whose every step ends in time.
//!
//! The library waits without end for some answers: when a group's coordinator moves while offsets are
//! sent to it, it asks again only when some connection changes (`rd_kafka_coord_req`, librdkafka
//! 2.12). So what may wait is done on a thread of its own. A step that is not back in time is left
//! there with its client; the next producer under the same transactional id fences it.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
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

use super::{Shared, codec, events::Events};
use crate::{
    domain::Record,
    log::{LogError, Partition},
};

/// How much longer than it was told a step may take.
const GRACE: Duration = Duration::from_secs(5);
/// How often the client is heard while a step is under way: some wait for what it has to tell.
const HEAR: Duration = Duration::from_millis(5);
/// How often to look whether the brokers have everything.
const GLANCE: Duration = Duration::from_millis(1);
/// How long to wait for room in the queue.
const ROOM: Duration = Duration::from_millis(5);
/// After how many records the client is heard: what was delivered takes its room until then.
const HEAR_EVERY: usize = 100;

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
    // Before the steps: the thread that does them ends with the last of the client.
    client: Arc<BaseProducer<Events>>,
    steps: mpsc::Sender<Step>,
    timeout: Duration,
    is_stuck: Cell<bool>,
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
        thread::Builder::new()
            .name("offkey-kafka-step".to_owned())
            .spawn(move || waiting.into_iter().for_each(|step| step(&acting)))
            .map_err(|error| LogError::Failed(format!("a thread cannot start: {error}")))?;
        let producer = Self {
            shared: shared.clone(),
            client,
            steps,
            timeout,
            is_stuck: Cell::new(false),
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
        for (count, record) in (1_usize..).zip(records) {
            let topic = self.shared.names.topic(record.topic);
            let message = BaseRecord::to(&topic)
                .key(record.key.as_bytes())
                .payload(&record.data[..])
                .headers(codec::headers(record));
            self.send(message)?;
            if count.is_multiple_of(HEAR_EVERY) {
                self.client.poll(Duration::ZERO);
            }
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
                    self.client.poll(ROOM);
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Waits until the brokers have what was put in. The library's own flush looks every 100 ms whether
    /// they do, which would be the least that a transaction takes.
    pub(super) fn settle(&self) -> Result<(), ProducerError> {
        let until = Instant::now() + self.timeout;
        loop {
            match self.client.flush(Duration::ZERO) {
                Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut))
                    if Instant::now() < until =>
                {
                    self.client.poll(GLANCE);
                }
                done => return Ok(done?),
            }
        }
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
        let until = Instant::now() + timeout + GRACE;
        loop {
            match answer.recv_timeout(HEAR) {
                Ok(result) => return Ok(result?),
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {
                    self.client.poll(Duration::ZERO);
                }
                Err(_) => {
                    self.is_stuck.set(true);
                    return Err(ProducerError::Stuck(name));
                }
            }
        }
    }
}
