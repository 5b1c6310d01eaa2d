//! How long records are kept.

use std::{collections::BTreeMap, time::Duration};

use crate::domain::Topic;

/// How long the records of a topic are kept; what is compacted is kept for good.
#[derive(Debug, Clone)]
pub struct Retention(pub BTreeMap<Topic, Duration>);

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self(BTreeMap::from([
            (Topic::Membership, days(400)),
            (Topic::Lookups, days(7)),
            (Topic::Outcomes, days(400)),
            (Topic::Impacts, days(400)),
            (Topic::Quarantine, days(14)),
            (Topic::Deliveries, days(30)),
            (Topic::DeadLetters, days(90)),
        ]))
    }
}
