//! Ownership is history: what was whose as of a change.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::ties::Behind;

use crate::domain::{
    ChangeId, ChangeKind, Email, Key, KeyInterval, Member, MemberInterval, MembershipChange,
    Project, Scope, preview::Preview,
};

/// Everything known that touches one person, in no particular order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonHistory {
    /// The person's one name, see [`super::identity::person_of`].
    pub person: String,
    /// What to call them, where anybody says.
    pub name: Option<String>,
    /// Every known change of the person.
    pub changes: Vec<MembershipChange>,
    /// The person's accounts at providers, as `(provider, account id)`.
    pub accounts: Vec<AccountName>,
    /// Every key that one of these accounts ever had.
    pub keys: Vec<Key>,
    /// The projects these keys are in.
    pub projects: Vec<Project>,
    /// All members of these projects, the person included.
    pub members: Vec<Member>,
    /// Where the people behind the other members' accounts left, for each account that has any.
    pub departures: BTreeMap<AccountName, Vec<Departure>>,
    /// Every recorded preview of the person.
    pub previews: Vec<Preview>,
    /// With a change that is a return: the other keys of these projects, which may have taken the
    /// place of one of theirs.
    pub others: Vec<Key>,
    /// The keys that we read providers with, as `(provider, key id)`.
    pub own_keys: BTreeSet<(String, String)>,
    /// How far the providers of these keys were looked at.
    pub looks: BTreeMap<String, Look>,
    /// When we heard of the changes.
    pub heard: BTreeMap<ChangeId, Timestamp>,
    /// Up to when time is recorded to have passed for a change.
    pub passed: BTreeMap<ChangeId, Timestamp>,
    /// Who can be meant, where it is not known; otherwise empty.
    pub candidates: Vec<String>,
    /// Those of the person's accounts that can be somebody else's, and whose they can be.
    pub doubtful: BTreeMap<AccountName, Vec<String>>,
    /// The accounts of the service accounts behind which the person stands.
    pub behind: BTreeMap<AccountName, Behind>,
    /// Accounts that are no human's.
    pub robots: BTreeSet<AccountName>,
    /// Why the person is no human, and who stands behind it; absent: a human.
    pub service: Option<ServiceAccount>,
}

/// How far a provider was looked at, everything said of it being known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// When the newest complete look began.
    pub complete: Option<Timestamp>,
    /// When the newest look ended, be it complete or not.
    pub read_until: Option<Timestamp>,
}

/// A person who is no human.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ServiceAccount {
    /// What says so.
    pub because: String,
    /// The humans behind it, sorted.
    pub behind: Vec<Email>,
}

/// A provider's name and the id of an account there.
pub type AccountName = (String, String);

impl PersonHistory {
    /// Whether the account is the person's.
    #[must_use]
    pub fn has_account(&self, provider: &str, account: &str) -> bool {
        self.accounts
            .iter()
            .any(|(system, id)| system == provider && id == account)
    }

    /// Whether the account is the person's, or a service account's behind which they stand.
    #[must_use]
    pub fn answers_for(&self, provider: &str, account: &str) -> bool {
        let mut behind = self.behind.keys();
        self.has_account(provider, account)
            || behind.any(|(system, id)| system == provider && id == account)
    }

    /// Whether the account is no human's.
    #[must_use]
    pub fn is_robot(&self, provider: &str, account: &str) -> bool {
        let mut robots = self.robots.iter();
        robots.any(|(system, id)| system == provider && id == account)
    }

    /// Whether we read the key's provider with it.
    #[must_use]
    pub fn is_ours(&self, key: &Key) -> bool {
        let is_it = |(provider, id): &(String, String)| *provider == key.provider && *id == key.id;
        self.own_keys.iter().any(is_it)
    }

    /// The project of a key.
    #[must_use]
    pub fn project_of(&self, key: &Key) -> Option<&Project> {
        self.projects
            .iter()
            .find(|project| project.provider == key.provider && project.id == key.project)
    }
}

/// The time in which a change can have happened, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The last moment at which it had not happened, or the effective time.
    pub from: Timestamp,
    /// The effective time.
    pub to: Timestamp,
}

impl Moment {
    /// When `change` happened.
    #[must_use]
    pub fn of(change: &MembershipChange) -> Self {
        let from = change
            .not_before
            .unwrap_or(change.effective_at)
            .min(change.effective_at);
        Self {
            from,
            to: change.effective_at,
        }
    }

    /// Whether `[valid_from, valid_to)` holds at some time of this moment.
    ///
    /// `valid_to` is the first moment at which something is known to be gone, so what vanished
    /// together with its owner still counts.
    fn touches(self, valid_from: Option<Timestamp>, valid_to: Option<Timestamp>) -> bool {
        valid_from.is_none_or(|from| from <= self.to) && valid_to.is_none_or(|to| to > self.from)
    }
}

/// What the person's account held of `key` at `moment`: the newest interval that touches it.
#[must_use]
pub fn held<'a>(history: &PersonHistory, key: &'a Key, moment: Moment) -> Option<&'a KeyInterval> {
    key.history.iter().rev().find(|interval| {
        moment.touches(interval.valid_from, interval.valid_to)
            && history.answers_for(&key.provider, &interval.creator.id)
    })
}

/// What `member` was at `moment`.
#[must_use]
pub fn membership(member: &Member, moment: Moment) -> Option<&MemberInterval> {
    member
        .history
        .iter()
        .rev()
        .find(|interval| moment.touches(interval.valid_from, interval.valid_to))
}

/// The one of a person's `changes` that, strictly later, undid `change`: the earliest such one.
#[must_use]
pub fn undone_by<'a>(
    changes: &'a [MembershipChange],
    change: &MembershipChange,
) -> Option<&'a MembershipChange> {
    let order = |change: &MembershipChange| (change.effective_at, change.published_at);
    let comes_later = |other: &MembershipChange| {
        if other.change.speaks_ahead() {
            spoken(other) > spoken(change)
        } else {
            order(other) > order(change)
        }
    };
    changes
        .iter()
        .filter(|other| {
            other.change.undoes(change.change) && includes(other, change) && comes_later(other)
        })
        .min_by_key(|other| {
            let said = other.change.speaks_ahead().then_some(other.published_at);
            (said.unwrap_or(other.effective_at), order(other), other.id)
        })
}

/// Whether all that `change` reaches lies within the scope of `other`. Ids of groups are their
/// source's own.
pub(super) fn includes(other: &MembershipChange, change: &MembershipChange) -> bool {
    let is_group = matches!(other.scope, Scope::Group { .. });
    other.scope.includes(&change.scope) && (!is_group || other.source == change.source)
}

/// Whether `other` undid `change`, strictly later and no later than `until`.
pub(super) fn undoes_within(
    other: &MembershipChange,
    change: &MembershipChange,
    until: Timestamp,
) -> bool {
    let order = |change: &MembershipChange| (change.effective_at, change.published_at);
    let is_between = if other.change.speaks_ahead() {
        spoken(other) > spoken(change) && other.published_at <= until
    } else {
        order(other) > order(change) && other.effective_at <= until
    };
    is_between && other.change.undoes(change.change)
}

/// What orders words about a leave that is still to come: when they were said.
pub(super) fn spoken(change: &MembershipChange) -> (Timestamp, Timestamp, ChangeId) {
    (change.published_at, change.effective_at, change.id)
}

/// Somebody left, or said that they will, and nothing undid it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// From where.
    pub scope: Scope,
    /// Since when that is so.
    pub since: Timestamp,
}

impl Departure {
    /// The departures among one person's `changes`: of each scope the earliest.
    #[must_use]
    pub fn among(changes: &[MembershipChange]) -> Vec<Self> {
        let mut earliest: BTreeMap<&Scope, Timestamp> = BTreeMap::new();
        for change in changes {
            let since = match change.change {
                ChangeKind::Removed | ChangeKind::Suspended => change.effective_at,
                ChangeKind::LeaveScheduled => change.published_at.min(change.effective_at),
                ChangeKind::Joined
                | ChangeKind::Reinstated
                | ChangeKind::RoleChanged
                | ChangeKind::Renamed
                | ChangeKind::LeaveCancelled => continue,
            };
            if undone_by(changes, change).is_none() {
                let known = earliest.entry(&change.scope).or_insert(since);
                *known = since.min(*known);
            }
        }
        let all = earliest.into_iter();
        all.map(|(scope, since)| Self {
            scope: scope.clone(),
            since,
        })
        .collect()
    }

    /// Whether whoever departs had left the project of `key` at `moment`.
    #[must_use]
    pub fn is_from(&self, key: &Key, moment: Moment) -> bool {
        self.since <= moment.to && self.scope.covers(&key.provider, &key.project)
    }
}
