//! What our topics, groups and transactions are called in the cluster.

use std::sync::Arc;

use crate::{domain::Topic, log::Partition};

/// Names with the configured prefix.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<str>);

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self(prefix.into())
    }

    pub(super) fn topic(&self, topic: Topic) -> String {
        format!("{}{topic}", self.0)
    }

    pub(super) fn group(&self, group: &str) -> String {
        format!("{}{group}", self.0)
    }

    /// Stable over restarts of an instance, so that a new start ends what an old one left open.
    pub(super) fn transaction(&self, instance: &str, group: &str) -> String {
        format!("{}{group}.{instance}", self.0)
    }

    /// The topic and number of a partition as the client wants them.
    pub(super) fn place(&self, partition: Partition) -> (String, i32) {
        let topic = partition
            .topic
            .map_or_else(String::new, |topic| self.topic(topic));
        (topic, i32::try_from(partition.number).unwrap_or(i32::MAX))
    }

    pub(super) fn parse(&self, topic: &str) -> Option<Topic> {
        topic.strip_prefix(&*self.0)?.parse().ok()
    }

    pub(super) fn partition(&self, topic: &str, number: i32) -> Option<Partition> {
        Some(Partition {
            topic: Some(self.parse(topic)?),
            number: u32::try_from(number).ok()?,
        })
    }
}
