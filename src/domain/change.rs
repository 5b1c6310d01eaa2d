//! The one normalised event.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ChangeId, PersonRef, Record, Scope, Topic};

/// What happened to a person's membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Came in.
    Joined,
    /// Left, was removed or deleted.
    Removed,
    /// Locked out, may come back.
    Suspended,
    /// Came back.
    Reinstated,
    /// Has another role.
    RoleChanged,
    /// Has another name or address.
    Renamed,
    /// Will leave at the effective time.
    LeaveScheduled,
    /// Will not leave after all.
    LeaveCancelled,
}

impl ChangeKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Joined,
        Self::Removed,
        Self::Suspended,
        Self::Reinstated,
        Self::RoleChanged,
        Self::Renamed,
        Self::LeaveScheduled,
        Self::LeaveCancelled,
    ];

    /// The kind's name in JSON, tables and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Removed => "removed",
            Self::Suspended => "suspended",
            Self::Reinstated => "reinstated",
            Self::RoleChanged => "role_changed",
            Self::Renamed => "renamed",
            Self::LeaveScheduled => "leave_scheduled",
            Self::LeaveCancelled => "leave_cancelled",
        }
    }

    /// Whether a strictly later change of kind `self` undoes an earlier one of kind `earlier`.
    #[must_use]
    pub fn undoes(self, earlier: Self) -> bool {
        match self {
            Self::Joined | Self::Reinstated => {
                matches!(
                    earlier,
                    Self::Removed | Self::Suspended | Self::LeaveScheduled
                )
            }
            // Another date takes the place of the one before.
            Self::LeaveCancelled | Self::LeaveScheduled => earlier == Self::LeaveScheduled,
            Self::Removed | Self::Suspended => {
                matches!(earlier, Self::Joined | Self::Reinstated)
            }
            _ => false,
        }
    }

    /// Whether it speaks of a leave before that takes effect: then the one said last counts.
    #[must_use]
    pub fn speaks_ahead(self) -> bool {
        matches!(self, Self::LeaveScheduled | Self::LeaveCancelled)
    }
}

impl std::fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

impl std::str::FromStr for ChangeKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.label() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::label).join(", ");
                format!("{text:?} is no change; known are {known}")
            })
    }
}

/// The role before and after; a side that the source does not tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleChange {
    /// The role until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The role from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// One membership change: who, what happened, in which scope, when it takes effect.
///
/// It holds content of the source only, so that a repeated delivery is the same to the byte; when
/// we heard of it stands in the record around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipChange {
    /// Derived from `source` and `event_id`.
    pub id: ChangeId,
    /// The configured name of the source.
    pub source: String,
    /// The source's own id of the event.
    pub event_id: String,
    /// What happened.
    pub change: ChangeKind,
    /// To whom.
    pub person: PersonRef,
    /// How far it reaches.
    pub scope: Scope,
    /// When it takes effect; for a change seen by polling, the latest moment it can have.
    pub effective_at: Timestamp,
    /// For a change seen by polling: the last moment at which it had not happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// When the source published it; orders changes of one source.
    pub published_at: Timestamp,
    /// For `role_changed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleChange>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, in the source's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl MembershipChange {
    /// The CloudEvents type of a membership change.
    pub const TYPE: &str = "offkey.membership-change.v1";

    /// Whether nobody told of it: two looks at a provider differ.
    #[must_use]
    pub fn was_observed(&self) -> bool {
        self.not_before.is_some()
    }

    /// The record that carries the change, heard of at `recorded_at`.
    #[must_use]
    pub fn to_record(&self, recorded_at: Timestamp) -> Record {
        Record::json(
            Topic::Membership,
            self.person.partition_key(&self.source),
            self,
        )
        .id(self.id.to_string())
        .kind(Self::TYPE)
        .source(format!("/sources/{}", self.source))
        .subject(self.id.to_string())
        .time(self.published_at)
        .recorded_at(recorded_at)
        .correlation(self.id)
    }
}
