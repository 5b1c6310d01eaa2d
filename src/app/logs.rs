//! Opens the log that a configuration names: whichever engine it is.

use std::{path::PathBuf, sync::Arc};

#[cfg(feature = "kafka")]
use crate::log::kafka::KafkaLog;
use crate::{
    clock::Clock,
    config::{Config, LogKind},
    log::{Log, embedded::EmbeddedLog},
};

/// Opens the log that `config` names as the process that serves it.
///
/// # Errors
/// When it cannot be had.
pub fn serve_log(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Log>> {
    let (path, retention) = (&config.log.path, config.log.retention());
    match config.log.kind {
        LogKind::Embedded => Ok(Arc::new(EmbeddedLog::serve(path, clock, retention)?)),
        #[cfg(feature = "kafka")]
        LogKind::Kafka => Ok(Arc::new(KafkaLog::serve(
            config.log.kafka()?,
            path,
            retention,
        )?)),
        #[cfg(not(feature = "kafka"))]
        LogKind::Kafka => without_kafka(config),
    }
}

/// Opens the log that `config` names beside the process that serves it.
///
/// # Errors
/// When it cannot be had.
pub fn attach_log(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Log>> {
    match config.log.kind {
        LogKind::Embedded => Ok(Arc::new(EmbeddedLog::attach(&config.log.path, clock)?)),
        #[cfg(feature = "kafka")]
        LogKind::Kafka => {
            let kafka = config.log.kafka()?;
            Ok(Arc::new(KafkaLog::attach(kafka, config.log.retention())?))
        }
        #[cfg(not(feature = "kafka"))]
        LogKind::Kafka => without_kafka(config),
    }
}

/// Where a log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this folder.
    Folder(PathBuf),
    /// On the cluster that the configuration names.
    Cluster,
}

/// Opens the log in `place` while nobody writes into it; a folder is held.
///
/// # Errors
/// When there is none, it is served, or it cannot be had.
pub fn log_to_read(
    config: &Config,
    place: &Place,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Log>> {
    match place {
        Place::Folder(folder) if !EmbeddedLog::is_in(folder) => {
            anyhow::bail!("there is no log in {}", folder.display())
        }
        Place::Folder(folder) => Ok(Arc::new(EmbeddedLog::hold(folder, clock)?)),
        #[cfg(feature = "kafka")]
        Place::Cluster => {
            let kafka = config.log.kafka()?;
            Ok(Arc::new(KafkaLog::attach(kafka, config.log.retention())?))
        }
        #[cfg(not(feature = "kafka"))]
        Place::Cluster => without_kafka(config),
    }
}

/// Opens the log in `place` to fill it, creating what is absent; a folder is held.
///
/// # Errors
/// When it is served or cannot be had.
pub fn log_to_fill(
    config: &Config,
    place: &Place,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Log>> {
    match place {
        Place::Folder(folder) => Ok(Arc::new(EmbeddedLog::hold(folder, clock)?)),
        #[cfg(feature = "kafka")]
        Place::Cluster => {
            let kafka = config.log.kafka()?;
            Ok(Arc::new(KafkaLog::fill(kafka, config.log.retention())?))
        }
        #[cfg(not(feature = "kafka"))]
        Place::Cluster => without_kafka(config),
    }
}

#[cfg(not(feature = "kafka"))]
fn without_kafka(_: &Config) -> anyhow::Result<Arc<dyn Log>> {
    anyhow::bail!("this program was built without Kafka; build it with the feature `kafka`")
}
