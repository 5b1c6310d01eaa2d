//! The log on a Kafka cluster: many instances on many machines share the work.
//!
//! Every instance follows all topics and keeps a read model of its own. A group tells which part of
//! the work is whose; what is put out is committed in one transaction with the group's offsets, so
//! that an instance whose share moved commits nothing any more (KIP-447).

mod appender;
mod asker;
mod bookmark;
mod bounds;
mod client;
mod cluster;
mod codec;
mod events;
mod group;
mod handover;
mod hanging;
mod marks;
mod member;
mod names;
mod producer;
mod promises;
mod reader;
mod session;
mod settings;
mod threads;
mod topics;
mod transactions;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, thread, time::Duration};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use self::{
    appender::Appender,
    cluster::Cluster,
    hanging::Suspicions,
    marks::Marks,
    member::KafkaMember,
    names::Names,
    promises::Promises,
    reader::{Reader, Scope},
    settings::Settings,
    topics::Topics,
};
pub use self::{settings::KafkaConfigError, topics::Difference};
use super::{Follower, Health, Log, LogError, Member, Partition, Position, Retention};
use crate::{
    config::kafka::KafkaConfig,
    domain::{Record, Topic},
};

/// How long the end of the process waits for what was handed over.
const LAST_FLUSH: Duration = Duration::from_secs(3);

/// A log on a cluster.
pub struct KafkaLog {
    shared: Arc<Shared>,
    appender: Arc<Appender>,
    retention: Retention,
    /// Held by the one process that works as this instance.
    _lock: Option<fs::File>,
}

/// What all parts use.
struct Shared {
    config: KafkaConfig,
    settings: Settings,
    names: Names,
    cluster: Arc<Cluster>,
    /// Names this instance in transactions.
    instance: String,
    /// What the topics' contents are known by.
    identity: String,
    /// By what topics are known again.
    marks: Marks,
    suspicions: Suspicions,
}

impl KafkaLog {
    /// Opens the log as an instance whose own files are in `folder`; creates and checks topics.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when no broker answers or another process works in the folder,
    /// [`LogError::Configured`] when topics are not what they have to be.
    pub fn serve(
        config: &KafkaConfig,
        folder: &Path,
        retention: Retention,
    ) -> Result<Self, LogError> {
        let lock = super::lock_folder(folder)?;
        let shared = Shared::connect(config, instance_of(folder)?, Some(folder))?;
        shared.topics(&retention).prepare()?;
        hanging::watch(&shared)?;
        Self::open(shared, retention, Some(lock))
    }

    /// Opens the log to fill it; creates and checks topics.
    ///
    /// # Errors
    /// As [`KafkaLog::serve`].
    pub fn fill(config: &KafkaConfig, retention: Retention) -> Result<Self, LogError> {
        let shared = Shared::connect(config, Uuid::new_v4().to_string(), None)?;
        shared.topics(&retention).prepare()?;
        Self::open(shared, retention, None)
    }

    /// Opens the log beside the instances that serve it.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when no broker answers.
    pub fn attach(config: &KafkaConfig, retention: Retention) -> Result<Self, LogError> {
        let shared = Shared::connect(config, Uuid::new_v4().to_string(), None)?;
        Self::open(shared, retention, None)
    }

    fn open(
        shared: Arc<Shared>,
        retention: Retention,
        lock: Option<fs::File>,
    ) -> Result<Self, LogError> {
        let (names, cluster) = (shared.names.clone(), shared.cluster.clone());
        let appender = Appender::start(&shared.settings, names, cluster)?;
        Ok(Self {
            shared,
            appender,
            retention,
            _lock: lock,
        })
    }

    fn member(
        &self,
        group: &str,
        topics: &[Topic],
        turn: Option<Partition>,
        promises: Promises,
    ) -> Result<Box<dyn Member>, LogError> {
        let (shared, topics) = (self.shared.clone(), topics.to_vec());
        let member = KafkaMember::join(shared, group, topics, turn, promises)?;
        Ok(Box::new(member))
    }

    /// What of the topics' settings is not as it has to be.
    ///
    /// # Errors
    /// [`LogError`] when the cluster does not tell.
    pub fn differences(&self) -> Result<Vec<Difference>, LogError> {
        self.shared.topics(&self.retention).differences()
    }
}

impl Shared {
    fn connect(
        config: &KafkaConfig,
        instance: String,
        folder: Option<&Path>,
    ) -> Result<Arc<Self>, LogError> {
        let settings =
            Settings::new(config).map_err(|error| LogError::Configured(error.to_string()))?;
        let names = Names::new(&config.prefix);
        let cluster = Cluster::new(&settings, names.clone())?;
        let identity = format!("kafka:{}:{}", cluster.id()?, config.prefix);
        let marks = Marks::open(folder, identity.clone());
        Ok(Arc::new(Self {
            config: config.clone(),
            settings,
            names,
            cluster,
            instance,
            identity,
            marks,
            suspicions: Suspicions::default(),
        }))
    }

    fn topics<'a>(&'a self, retention: &'a Retention) -> Topics<'a> {
        Topics {
            settings: &self.settings,
            config: &self.config,
            names: &self.names,
            cluster: &self.cluster,
            retention,
        }
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.appender.flush(LAST_FLUSH);
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn append(&self, records: Vec<Record>) -> Result<(), LogError> {
        self.appender.append(&records).await
    }

    fn join(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Member>, LogError> {
        self.member(group, topics, None, Promises::kept())
    }

    fn join_and_read_back(
        &self,
        group: &str,
        topics: &[Topic],
    ) -> Result<Box<dyn Member>, LogError> {
        self.member(group, topics, None, Promises::left_to_the_reader())
    }

    /// The turn is whoever's who holds the partition that the duty hashes to.
    fn take_turns(&self, duty: &str) -> Result<Box<dyn Member>, LogError> {
        let count = self.shared.cluster.count(Topic::Curation)?;
        let turn = Partition {
            topic: Some(Topic::Curation),
            number: spread(duty) % count.max(1),
        };
        self.member(duty, &[Topic::Curation], Some(turn), Promises::kept())
    }

    fn follow(&self, topics: &[Topic], from: &Position) -> Result<Box<dyn Follower>, LogError> {
        let scope = Scope::Topics(topics.to_vec());
        Ok(Box::new(Reader::start(self.shared.clone(), scope, from)?))
    }

    fn end(&self) -> Result<Position, LogError> {
        let all = self.shared.cluster.partitions(&Topic::ALL)?;
        self.shared.cluster.ends(&all)
    }

    fn lag(&self, group: &str, topics: &[Topic]) -> Result<u64, LogError> {
        let committed = self.cursor(group, topics)?;
        let ends = self
            .shared
            .cluster
            .ends(&self.shared.cluster.partitions(topics)?)?;
        let behind = |(partition, end): (_, u64)| end.saturating_sub(committed.next_in(partition));
        Ok(ends.parts().map(behind).sum())
    }

    fn cursor(&self, group: &str, topics: &[Topic]) -> Result<Position, LogError> {
        group::committed(&self.shared, group, topics).map(|(_, committed)| committed)
    }

    fn settled(
        &self,
        group: &str,
        topics: &[Topic],
    ) -> Result<BTreeMap<Partition, Position>, LogError> {
        group::committed(&self.shared, group, topics).map(|(settled, _)| settled)
    }

    fn faults(&self) -> Result<Vec<String>, LogError> {
        self.shared.topics(&self.retention).faults()
    }

    fn identity(&self) -> String {
        self.shared.identity.clone()
    }

    fn health(&self) -> Health {
        self.appender.health()
    }
}

/// The same number for the same duty on every machine.
fn spread(duty: &str) -> u32 {
    let digest = Sha256::digest(duty);
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// The name of the instance whose folder it is, the same after a restart.
fn instance_of(folder: &Path) -> Result<String, LogError> {
    let file = folder.join("instance");
    let failed = |error: std::io::Error| LogError::Failed(format!("{}: {error}", file.display()));
    match fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        Ok(_) | Err(_) => {
            let name = Uuid::new_v4().to_string();
            fs::write(&file, &name).map_err(failed)?;
            Ok(name)
        }
    }
}

/// Waits for a client's answer, wherever the caller is.
fn block_on<T: Send>(answer: impl Future<Output = T> + Send) -> Result<T, LogError> {
    let failed = |why: &str| LogError::Failed(why.to_owned());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.map(|runtime| runtime.block_on(answer))
        });
        waiting
            .join()
            .map_err(|_| failed("waiting for the cluster failed"))?
            .map_err(|error| LogError::Failed(error.to_string()))
    })
}
