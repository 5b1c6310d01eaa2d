//! Appends durably, and says whether the brokers take records.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use futures_util::future::try_join_all;
use rdkafka::{
    config::FromClientConfigAndContext as _,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord, Producer as _},
};

use super::{
    cluster::Cluster, codec, events::Events, names::Names, settings::Settings, threads::spawn,
};
use crate::{
    domain::{Record, Topic},
    log::{Health, LogError},
};

/// How often the brokers are asked how they are.
const GLANCE: Duration = Duration::from_secs(1);

/// The producer of what is not part of a commit.
pub(super) struct Appender {
    producer: FutureProducer<Events>,
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
        let events = Events::new("append", settings.tokens.clone());
        let producer = FutureProducer::from_config_and_context(&settings.producer(), events)
            .map_err(|error| LogError::Failed(error.to_string()))?;
        let appender = Arc::new(Self {
            producer,
            names,
            timeout: settings.append_timeout,
            max_record: settings.max_record,
            health: Mutex::new(Health::Writable),
        });
        let watched = Arc::downgrade(&appender);
        spawn("health", move || watch(&watched, &cluster))?;
        Ok(appender)
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
        let mut deliveries = Vec::with_capacity(records.len());
        for record in records {
            let topic = self.names.topic(record.topic);
            let message = FutureRecord::to(&topic)
                .key(record.key.as_bytes())
                .payload(&record.data[..])
                .headers(codec::headers(record));
            let sent = self.producer.send_result(message);
            deliveries.push(sent.map_err(|(error, _)| self.refused(&error))?);
        }
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

    pub(super) fn health(&self) -> Health {
        self.lock().clone()
    }

    /// Waits until what was handed over is with the brokers.
    pub(super) fn flush(&self, timeout: Duration) {
        if let Err(error) = self.producer.flush(timeout) {
            tracing::warn!(%error, "not everything reached the brokers before the end");
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
            // Nothing is wrong but that too many wait.
            Some(RDKafkaErrorCode::QueueFull) => LogError::Unavailable(error.to_string()),
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
    while let Some(appender) = appender.upgrade() {
        match cluster.count(Topic::Membership) {
            Err(error) => drop(appender.note(error.to_string())),
            // What waits since the brokers were away has to be with them first.
            Ok(_) if appender.producer.in_flight_count() == 0 => appender.set(Health::Writable),
            Ok(_) => {}
        }
        drop(appender);
        thread::sleep(GLANCE);
    }
}
