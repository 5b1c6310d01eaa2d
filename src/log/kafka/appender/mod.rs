//! Appends durably, and says whether the brokers take records.
//!
//! A producer is made anew that can go on no more: after an error the library calls fatal, and when
//! brokers that were away answer again and what waits for them does not get less. The library's client
//! at times looks for none any more then. What waited was promised to nobody.

#[cfg(test)]
mod tests;

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak},
    thread,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use rdkafka::{
    config::FromClientConfigAndContext as _,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};

use super::{
    cluster::Cluster, codec, events::Events, names::Names, settings::Settings, threads::spawn,
};
use crate::{
    domain::{Record, Topic},
    log::{Health, LogError},
    telemetry::metrics as names,
};

/// How often the brokers are asked how they are.
const GLANCE: Duration = Duration::from_secs(1);
/// How long what waits may not get less while the brokers answer.
const STILL: Duration = Duration::from_secs(10);

/// The producer of what is not part of a commit.
pub(super) struct Appender {
    producer: RwLock<FutureProducer<Events>>,
    settings: Settings,
    names: Names,
    timeout: Duration,
    max_record: usize,
    health: Mutex<Health>,
}

impl Appender {
    pub(super) fn start(
        settings: &Settings,
        names: Names,
        cluster: Arc<Cluster>,
    ) -> Result<Arc<Self>, LogError> {
        let appender = Arc::new(Self {
            producer: RwLock::new(producer(settings)?),
            settings: settings.clone(),
            names,
            timeout: settings.append_timeout,
            max_record: settings.max_record,
            health: Mutex::new(Health::Writable),
        });
        let watched = Arc::downgrade(&appender);
        spawn("health", move || watch(&watched, &cluster))?;
        Ok(appender)
    }

    fn producer(&self) -> RwLockReadGuard<'_, FutureProducer<Events>> {
        self.producer.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn append(&self, records: &[Record]) -> Result<(), LogError> {
        for record in records {
            let size = codec::size(record);
            if size > self.max_record {
                return Err(LogError::TooLarge {
                    size,
                    most: self.max_record,
                });
            }
        }
        let deliveries = self.hand_over(records)?;
        let all = tokio::time::timeout(self.timeout, try_join_all(deliveries)).await;
        let all = all.map_err(|_| {
            // It may still arrive; the sender's repeat is the same record.
            self.note("the brokers did not answer in time".to_owned())
        })?;
        let all = all.map_err(|_| LogError::Closed)?;
        for delivery in all {
            delivery.map_err(|(error, _)| self.refused(&error))?;
        }
        Ok(())
    }

    fn hand_over(&self, records: &[Record]) -> Result<Vec<DeliveryFuture>, LogError> {
        let producer = self.producer();
        let sent = records.iter().map(|record| {
            let topic = self.names.topic(record.topic);
            let message = FutureRecord::to(&topic)
                .key(record.key.as_bytes())
                .payload(&record.data[..])
                .headers(codec::headers(record));
            let sent = producer.send_result(message);
            sent.map_err(|(error, _)| self.refused(&error))
        });
        sent.collect()
    }

    pub(super) fn health(&self) -> Health {
        self.lock().clone()
    }

    /// Waits until what was handed over is with the brokers.
    pub(super) fn flush(&self, timeout: Duration) {
        if let Err(error) = self.producer().flush(timeout) {
            tracing::warn!(%error, "not everything reached the brokers before the end");
        }
    }

    fn look(&self, cluster: &Cluster, queue: &mut Queue) {
        if let Err(error) = cluster.count(Topic::Membership) {
            drop(self.note(error.to_string()));
            *queue = Queue::default();
            return;
        }
        let (waiting, fatal) = {
            let producer = self.producer();
            (producer.in_flight_count(), producer.client().fatal_error())
        };
        // Whoever waits too long says so.
        let is_refused = waiting > 0 && self.health() != Health::Writable;
        if !is_refused {
            *queue = Queue::default();
        }
        if let Some((_, why)) = fatal {
            self.renew(&why);
        } else if waiting == 0 {
            self.set(Health::Writable);
        } else if is_refused && queue.stands_still(waiting) {
            *queue = Queue::default();
            self.renew("the brokers answer, and what waits for them does not get less");
        }
    }

    fn renew(&self, why: &str) {
        tracing::warn!(why, "the producer of the log is made anew");
        metrics::counter!(names::KAFKA_REBUILDS, "what" => "append").increment(1);
        let left = producer(&self.settings).and_then(|anew| {
            let mut known = self
                .producer
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let old = mem::replace(&mut *known, anew);
            // A client that stands still may never come back from its end.
            spawn("leave", move || drop(old))
        });
        if let Err(error) = left {
            tracing::warn!(%error, "the producer of the log cannot be made anew yet");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, error: &KafkaError) -> LogError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => LogError::TooLarge {
                size: self.max_record,
                most: self.max_record,
            },
            // Nothing is wrong but that too many wait, or that this one waited in a producer that was
            // made anew.
            Some(
                RDKafkaErrorCode::QueueFull
                | RDKafkaErrorCode::PurgeQueue
                | RDKafkaErrorCode::PurgeInflight,
            ) => LogError::Unavailable(error.to_string()),
            _ => self.note(error.to_string()),
        }
    }

    fn note(&self, why: String) -> LogError {
        self.set(Health::Unavailable(why.clone()));
        LogError::Unavailable(why)
    }

    fn set(&self, health: Health) {
        let mut known = self.lock();
        if *known != health {
            match &health {
                Health::Writable => tracing::info!("the log takes records again"),
                Health::Unavailable(why) | Health::Failed(why) => {
                    tracing::error!(why, "the log does not take records");
                }
            }
            *known = health;
        }
    }
}

/// Asks the brokers from time to time, so that a refusal ends by itself.
fn watch(appender: &Weak<Appender>, cluster: &Cluster) {
    let mut queue = Queue::default();
    while let Some(appender) = appender.upgrade() {
        appender.look(cluster, &mut queue);
        drop(appender);
        thread::sleep(GLANCE);
    }
}

/// What waits for the brokers since they took nothing.
#[derive(Default)]
struct Queue {
    /// The fewest that were seen, and when first.
    fewest: Option<(i32, Instant)>,
}

impl Queue {
    /// Whether it has not got shorter for long.
    fn stands_still(&mut self, waiting: i32) -> bool {
        match self.fewest {
            Some((fewest, since)) if waiting >= fewest => since.elapsed() > STILL,
            _ => {
                self.fewest = Some((waiting, Instant::now()));
                false
            }
        }
    }
}

fn producer(settings: &Settings) -> Result<FutureProducer<Events>, LogError> {
    let events = Events::new("append", settings.tokens.clone());
    FutureProducer::from_config_and_context(&settings.producer(), events)
        .map_err(|error| LogError::Failed(error.to_string()))
}
