//! The floor of the flow: consumes changes, looks keys up in a hash map, and commits outputs with
//! offsets in one transaction. It judges nothing and remembers nothing on disk.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use offkey::domain::Topic;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use serde::Deserialize;

use crate::{
    cluster::Place,
    ends::{partitions, reader},
    world::change_of,
};

/// The most changes of one transaction.
const MOST_CHANGES: usize = 500;
const WAIT: Duration = Duration::from_millis(20);
const GLANCE: Duration = Duration::from_millis(1);
const TIMEOUT: Duration = Duration::from_secs(30);

/// Whose keys are whose.
pub(crate) type Owners = HashMap<String, Vec<String>>;

/// How large what is put out is: as large as ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) outcome: usize,
    pub(crate) impact: usize,
}

/// A running loop.
pub(crate) struct Minimal {
    stop: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<()>>,
}

/// A change as the topic has it, or as a webhook says it.
#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    person: Option<Person<'a>>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    person: Person<'a>,
}

#[derive(Deserialize)]
struct Person<'a> {
    email: &'a str,
}

impl Minimal {
    pub(crate) fn start(place: &Place, owners: Owners, sizes: Sizes) -> anyhow::Result<Self> {
        let work = Work::new(place, owners, sizes)?;
        let (stop, paused) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let (is_stopped, is_paused) = (stop.clone(), paused.clone());
        let thread = thread::Builder::new()
            .name("minimal".to_owned())
            .spawn(move || {
                while !is_stopped.load(Ordering::Acquire) {
                    if is_paused.load(Ordering::Acquire) {
                        thread::sleep(Duration::from_millis(1));
                    } else {
                        work.step()?;
                    }
                }
                Ok(())
            })?;
        Ok(Self {
            stop,
            paused,
            thread,
        })
    }

    /// Lets what is appended wait.
    pub(crate) fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    pub(crate) fn resume(&self) {
        self.paused.store(false, Ordering::Release);
    }

    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Release);
        let ended = self.thread.join();
        ended.map_err(|_panic| anyhow::anyhow!("the minimal loop panicked"))?
    }
}

struct Work {
    consumer: BaseConsumer,
    producer: ThreadedProducer<DefaultProducerContext>,
    input: String,
    outcomes: String,
    impacts: String,
    owners: Owners,
    outcome: Vec<u8>,
    impact: Vec<u8>,
}

impl Work {
    fn new(place: &Place, owners: Owners, sizes: Sizes) -> anyhow::Result<Self> {
        let producer: ThreadedProducer<_> = ClientConfig::new()
            .set("bootstrap.servers", &place.brokers)
            .set("transactional.id", place.topic(Topic::Membership))
            .set("linger.ms", "0")
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "50")
            .create()?;
        producer.init_transactions(TIMEOUT)?;
        let (consumer, input) = (reader(&place.brokers)?, place.topic(Topic::Membership));
        consumer.assign(&partitions(&consumer, &input, Offset::Beginning)?)?;
        Ok(Self {
            consumer,
            producer,
            input,
            outcomes: place.topic(Topic::Outcomes),
            impacts: place.topic(Topic::Impacts),
            owners,
            outcome: vec![b'o'; sizes.outcome],
            impact: vec![b'i'; sizes.impact],
        })
    }

    /// One transaction over what has come.
    fn step(&self) -> anyhow::Result<()> {
        let mut next: HashMap<i32, i64> = HashMap::new();
        let mut wait = WAIT;
        let mut count = 0;
        while count < MOST_CHANGES {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    if count == 0 {
                        self.producer.begin_transaction()?;
                    }
                    self.answer(&message)?;
                    next.insert(message.partition(), message.offset() + 1);
                    (wait, count) = (Duration::ZERO, count + 1);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => return Err(error.into()),
                None => break,
            }
        }
        if count == 0 {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, next) in next {
            offsets.add_partition_offset(&self.input, partition, Offset::Offset(next))?;
        }
        self.settle()?;
        let group = self.consumer.group_metadata();
        let group = group.ok_or_else(|| anyhow::anyhow!("there is no group"))?;
        self.producer
            .send_offsets_to_transaction(&offsets, &group, TIMEOUT)?;
        Ok(self.producer.commit_transaction(TIMEOUT)?)
    }

    /// The library's own flush, which is part of a commit, looks every 100 ms only.
    fn settle(&self) -> anyhow::Result<()> {
        let until = Instant::now() + TIMEOUT;
        while self.producer.in_flight_count() > 0 {
            anyhow::ensure!(Instant::now() < until, "the brokers do not answer");
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    fn answer(&self, message: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        let change: Change<'_> = serde_json::from_slice(message.payload().unwrap_or_default())?;
        let person = change.person.or(change.data.map(|data| data.person));
        let email = person.map_or("", |person| person.email);
        let event = String::from_utf8_lossy(message.key().unwrap_or_default());
        let id = change_of(&event).to_string();
        self.put(&self.outcomes, &event, &id, &self.outcome)?;
        for key in self.owners.get(email).into_iter().flatten() {
            self.put(&self.impacts, key, &id, &self.impact)?;
        }
        Ok(())
    }

    fn put(&self, topic: &str, key: &str, id: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let headers = OwnedHeaders::new_with_capacity(1).insert(Header {
            key: "ce_correlationid",
            value: Some(id),
        });
        let mut record = BaseRecord::to(topic)
            .key(key)
            .payload(bytes)
            .headers(headers);
        let until = Instant::now() + TIMEOUT;
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < until =>
                {
                    record = back;
                    thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
