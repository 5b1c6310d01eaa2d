//! The wish that reports are made again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Record, Topic, id::content_id};

/// Makes the reports of all changes in a range stale: whoever works on them judges them again, with
/// the catalogue and policy it has, and publishes what differs as the next revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The first effective time in the range.
    pub from: Timestamp,
    /// The first one behind it.
    pub to: Timestamp,
    /// When somebody wished it.
    pub requested_at: Timestamp,
}

impl Replay {
    /// The CloudEvents type of the wish.
    pub const TYPE: &str = "offkey.replay.v1";

    /// The record that carries the wish. A later one for the same range stands for it.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let key = format!("replay/{}/{}", self.from, self.to);
        let record = Record::json(Topic::Curation, key.clone(), self);
        let id = content_id(&[b"replay", &record.data]).to_string();
        record
            .id(id)
            .kind(Self::TYPE)
            .source("/replay".to_owned())
            .subject(key)
            .time(self.requested_at)
            .recorded_at(self.requested_at)
    }
}
