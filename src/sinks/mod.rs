//! Sinks: where impacts go. One cursor a sink, so that none delays another.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::Record;

/// One configured receiver of impacts.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// One attempt to bring `impact` there. The record's id is the same in every attempt.
    async fn deliver(&self, impact: &Record) -> Delivery;
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
