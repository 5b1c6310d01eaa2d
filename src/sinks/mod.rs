//! Sinks: where impacts go. One cursor a sink, so that none delays another.

pub mod address;
pub mod file;
pub mod metrics;
pub mod retry;
pub mod webhook;
mod window;
pub mod worker;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use self::{
    file::FileSink,
    retry::Schedule,
    webhook::{WebhookError, WebhookSink},
    worker::WorkerOptions,
};
use crate::{
    clock::Clock,
    config::{secret::Secrets, sink::SinkConfig},
    domain::Record,
};

/// One configured receiver of impacts.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// One attempt to bring `impact` there. The record's id is the same in every attempt.
    async fn deliver(&self, impact: &Record) -> Delivery;

    /// The most impacts of one attempt.
    fn batch(&self) -> usize {
        1
    }

    /// One attempt to bring all of `impacts` there, in this order; what becomes of it becomes of each.
    async fn deliver_all(&self, impacts: &[Record]) -> Delivery {
        for impact in impacts {
            match self.deliver(impact).await {
                Delivery::Done => {}
                other => return other,
            }
        }
        Delivery::Done
    }
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver has it.
    Done,
    /// Not now.
    Retry {
        /// Why, for a person to read.
        why: String,
        /// The earliest moment at which the receiver wants to be asked again, from now.
        after: Option<Duration>,
    },
    /// The receiver will never take this one: it becomes a dead letter.
    Refused {
        /// Why, for a person to read.
        why: String,
    },
    /// The receiver takes nothing as things stand: the sink is parked until somebody mends it.
    Park {
        /// Why, for a person to read.
        why: String,
    },
}

impl Delivery {
    /// The outcome's name in metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry { .. } => "retry",
            Self::Refused { .. } => "refused",
            Self::Park { .. } => "park",
        }
    }
}

/// The sink that `config` describes; `secrets` are those of its `secret_refs`.
///
/// # Errors
/// [`WebhookError`] when the configuration or a secret is of no use.
pub fn build(
    config: &SinkConfig,
    secrets: Arc<Secrets>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Sink>, WebhookError> {
    Ok(match config {
        SinkConfig::Webhook(webhook) => Arc::new(WebhookSink::new(webhook, secrets, clock)?),
        SinkConfig::File(file) => Arc::new(FileSink::new(file)),
    })
}

/// A parked sink is not tried more often, whatever is configured.
const MOST_OFTEN: Duration = Duration::from_secs(1);

/// How the worker of the sink that `config` describes works.
#[must_use]
pub fn worker_options(config: &SinkConfig) -> WorkerOptions {
    let options = WorkerOptions::default();
    match config {
        SinkConfig::Webhook(webhook) => WorkerOptions {
            window: webhook.window.get(),
            concurrency: webhook.concurrency.get(),
            schedule: Schedule {
                retry_for: webhook.retry_for,
                ..options.schedule
            },
            probe_every: webhook.probe_every.max(MOST_OFTEN),
        },
        // One attempt after the other, so that the lines keep the order of the log.
        SinkConfig::File(file) => WorkerOptions {
            concurrency: 1,
            probe_every: file.probe_every.max(MOST_OFTEN),
            ..options
        },
    }
}
