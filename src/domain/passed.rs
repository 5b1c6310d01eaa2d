//! The word that a moment has come which a change's report waited for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ChangeId, Record, Topic, id::content_id};

/// Time is an input like any other: that a moment has passed counts when the log says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// For which change.
    pub change_id: ChangeId,
    /// The moment: the day of an announced leave, or the end of the time in which a prediction could
    /// be checked.
    pub at: Timestamp,
}

impl Passed {
    /// The CloudEvents type of the word.
    pub const TYPE: &str = "offkey.passed.v1";

    /// The record that carries the word, in the partition of its change. Saying it twice, or on two
    /// machines, makes one record.
    #[must_use]
    pub fn to_record(&self, partition_key: &str, recorded_at: Timestamp) -> Record {
        let at = self.at.as_microsecond().to_be_bytes();
        let id = content_id(&[b"passed", self.change_id.0.as_bytes(), &at]);
        Record::json(Topic::Outcomes, partition_key.to_owned(), self)
            .id(id.to_string())
            .kind(Self::TYPE)
            .source("/correlation".to_owned())
            .subject(self.change_id.to_string())
            .time(self.at)
            .recorded_at(recorded_at)
            .correlation(self.change_id)
    }
}
