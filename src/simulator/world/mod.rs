//! The state behind the simulated API. No HTTP in here.

mod build;
mod entry;
mod keys;
mod membership;
mod traffic;

use std::{collections::VecDeque, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

pub(crate) use self::{
    entry::{Caller, Credential, parse_id},
    keys::NewKey,
    traffic::{Call, Traffic},
};
use super::role::Role;
use crate::clock::Clock;

/// Everything there is.
pub(crate) struct World {
    clock: Arc<dyn Clock>,
    offset: SignedDuration,
    pub(crate) name: String,
    pub(crate) projects: Vec<Project>,
    tokens: VecDeque<Token>,
}

/// One project.
pub(crate) struct Project {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) members: Vec<Member>,
    pub(crate) invites: Vec<Invite>,
    /// Deleted ones too: their traffic has been billed.
    pub(crate) keys: Vec<Key>,
    /// Requests that were really made, oldest first; at most [`traffic::MOST_CALLS`].
    pub(crate) calls: VecDeque<Call>,
}

/// Somebody's account.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
}

/// Somebody in a project.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) person: Person,
    pub(crate) role: Role,
}

/// Somebody who may come in.
#[derive(Debug, Clone)]
pub(crate) struct Invite {
    pub(crate) email: String,
    pub(crate) role: Role,
}

/// One API key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: Uuid,
    pub(crate) creator: Person,
    pub(crate) comment: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) deleted: Option<Timestamp>,
    pub(crate) administrative: bool,
    pub(crate) traffic: Traffic,
    secret: [u8; 32],
}

/// A temporary token that a key was exchanged for.
struct Token {
    secret: [u8; 32],
    key: Uuid,
    expires: Timestamp,
}

impl World {
    /// The simulated time.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        now.checked_add(self.offset).unwrap_or(now)
    }

    /// Moves the simulated time on.
    pub(crate) fn advance(&mut self, by: SignedDuration) {
        self.offset = self.offset.saturating_add(by);
    }
}

impl Project {
    /// The member with this account.
    pub(crate) fn member(&self, id: Uuid) -> Option<&Member> {
        self.members.iter().find(|member| member.person.id == id)
    }

    /// Whether `id` is an owner and no other member is.
    pub(crate) fn is_sole_owner(&self, id: Uuid) -> bool {
        let mut owners = self.members.iter().filter(|one| one.role == Role::Owner);
        owners.next().is_some_and(|owner| owner.person.id == id) && owners.next().is_none()
    }
}

impl Key {
    /// Whether it can be used.
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        self.deleted.is_none() && !self.has_expired(now)
    }

    /// Whether it has stopped by itself.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// When its traffic stops or stopped.
    fn traffic_end(&self, now: Timestamp) -> Timestamp {
        let ends = [self.traffic.until, self.expires, self.deleted];
        ends.into_iter().flatten().fold(now, Timestamp::min)
    }
}
