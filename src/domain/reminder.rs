//! A word about what is still to be done, at a configured distance from its deadline.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ChangeId, ChangeKind, Fate, ImpactId, Record, Severity, Status, Topic, id::content_id,
    impact::Person,
};

/// How far from the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Distance {
    /// So long before it.
    Before {
        /// How long.
        #[serde(with = "humantime_serde")]
        by: Duration,
    },
    /// So long after it: somebody is late.
    After {
        /// How long.
        #[serde(with = "humantime_serde")]
        by: Duration,
    },
}

/// What of one change has to be dealt with by one deadline, and is not yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminder {
    /// The change that causes it.
    pub change_id: ChangeId,
    /// What happened, or will.
    pub change: ChangeKind,
    /// Whose change it is.
    pub person: Person,
    /// When the change takes effect.
    pub change_effective_at: Timestamp,
    /// The deadline.
    pub act_by: Timestamp,
    /// How far from it this word was due.
    pub distance: Distance,
    /// When this word was due.
    pub due_at: Timestamp,
    /// The digest of the report it is about.
    pub report_digest: String,
    /// The worst of the impacts below.
    pub severity: Severity,
    /// What is not resolved, worst first.
    pub impacts: Vec<Unresolved>,
}

/// An impact that somebody still has to deal with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unresolved {
    /// Which.
    pub impact_id: ImpactId,
    /// The configured name of the key's provider.
    pub provider: String,
    /// The project's id.
    pub project: String,
    /// The provider's own id of the key.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// What becomes of it.
    pub fate: Fate,
    /// How bad it is.
    pub severity: Severity,
    /// How far it is.
    pub status: Status,
    /// What to do.
    pub recommended_action: String,
}

impl Reminder {
    /// The CloudEvents type of a reminder.
    pub const TYPE: &str = "offkey.reminder.v1";

    /// The record that carries the reminder, in the partition of its change.
    ///
    /// Its id comes from the change, the deadline and the distance, so that one that fires twice, or
    /// on two machines, is one record.
    #[must_use]
    pub fn to_record(&self, partition_key: &str, recorded_at: Timestamp) -> Record {
        let number = |at: Timestamp| at.as_microsecond().to_be_bytes();
        let id = content_id(&[
            b"reminder",
            self.change_id.0.as_bytes(),
            &number(self.act_by),
            &number(self.due_at),
        ]);
        Record::json(Topic::Impacts, partition_key.to_owned(), self)
            .id(id.to_string())
            .kind(Self::TYPE)
            .source("/correlation".to_owned())
            .subject(self.change_id.to_string())
            .time(self.due_at)
            .recorded_at(recorded_at)
            .correlation(self.change_id)
    }
}
