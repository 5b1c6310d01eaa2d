//! The engines a log can have, each with a place of its own.

use std::{sync::Arc, time::Duration};

use offkey::{
    clock::SystemClock,
    config::kafka::KafkaConfig,
    domain::{Record, Topic},
    log::{
        Batch, Log, LogError, Member, Position, Retention, embedded::EmbeddedLog, kafka::KafkaLog,
    },
};

use crate::broker::{self, Cluster};

const PATIENCE: Duration = Duration::from_secs(60);

/// Which engine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Engine {
    Embedded,
    Kafka,
}

/// Where a log lives; it can be opened again and again.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) kafka: Option<KafkaConfig>,
}

impl Place {
    pub(crate) fn of(engine: Engine) -> Self {
        match engine {
            Engine::Embedded => Self {
                folder: tempfile::tempdir().unwrap(),
                kafka: None,
            },
            Engine::Kafka => Self::in_cluster(Cluster::shared(), ""),
        }
    }

    /// On `cluster`, under a prefix of its own; `more` adds to the configuration.
    pub(crate) fn in_cluster(cluster: &Cluster, more: &str) -> Self {
        let text = format!(
            "brokers = {:?}\nprefix = {:?}\npartitions = 4\nsession_timeout = \"6s\"\n{more}",
            cluster.brokers,
            broker::prefix(),
        );
        Self {
            folder: tempfile::tempdir().unwrap(),
            kafka: Some(toml::from_str(&text).unwrap()),
        }
    }

    /// Opens the log to serve it; waits while whoever served it lets go.
    pub(crate) fn serve(&self) -> Arc<dyn Log> {
        loop {
            match self.try_serve() {
                Ok(log) => return log,
                Err(LogError::Unavailable(_)) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn try_serve(&self) -> Result<Arc<dyn Log>, LogError> {
        let folder = self.folder.path();
        let retention = Retention::default();
        Ok(match &self.kafka {
            Some(kafka) => Arc::new(KafkaLog::serve(kafka, folder, retention)?),
            None => Arc::new(EmbeddedLog::serve(
                folder,
                Arc::new(SystemClock),
                retention,
            )?),
        })
    }

    /// Opens the log beside whoever serves it.
    pub(crate) fn attach(&self) -> Arc<dyn Log> {
        match &self.kafka {
            Some(kafka) => Arc::new(KafkaLog::attach(kafka, Retention::default()).unwrap()),
            None => {
                Arc::new(EmbeddedLog::attach(self.folder.path(), Arc::new(SystemClock)).unwrap())
            }
        }
    }

    /// Another instance of the same log; with the embedded engine there is none.
    pub(crate) fn another(&self) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            kafka: self.kafka.clone(),
        }
    }
}

/// A record with everything a record can have.
pub(crate) fn record(topic: Topic, key: &str, data: &str) -> Record {
    Record::json(topic, key.to_owned(), &data)
        .id(format!("{key}-{data}"))
        .kind("test")
        .source("/tests".to_owned())
        .subject("a subject – with more than ASCII".to_owned())
        .time("2030-01-02T03:04:05.678901Z".parse().unwrap())
        .recorded_at("2030-01-02T03:04:06Z".parse().unwrap())
        .correlation(offkey::domain::ChangeId::derive("test", key))
}

/// Everything in `topics`, until the end of the log.
pub(crate) async fn all(log: &dyn Log, topics: &[Topic], most: usize) -> Vec<Record> {
    let end = log.end().unwrap().within(topics);
    let mut follower = log.follow(topics, &Position::default()).unwrap();
    let mut found = Vec::new();
    let mut position = Position::default();
    let read = async {
        while !position.has_reached(&end) {
            let batch = follower.next(most).await.unwrap();
            position = batch.through;
            found.extend(batch.entries.into_iter().map(|entry| entry.record));
        }
    };
    in_time("the end of the log", read).await;
    found
}

/// The next records of a member's share, through moves of it.
pub(crate) async fn next(member: &mut dyn Member, most: usize) -> Batch {
    in_time("records", async {
        loop {
            match member.next(most).await {
                Ok(batch) if batch.entries.is_empty() => {}
                Ok(batch) => return batch,
                Err(LogError::Moved) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

/// Waits until a member holds something.
pub(crate) async fn holds(member: &mut dyn Member) {
    in_time("a share", async {
        while member.share().is_empty() {
            member.moved().await;
        }
    })
    .await;
}

pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
