//! The part of the work that this process holds.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::PipelineError;
use crate::{
    domain::{Record, Topic},
    log::{Entry, LogError, Member, Position, Share},
    projection::{Projection, ProjectionError, parts_read_back},
};

/// How often the group hears how far its work has come when there is nothing else to say.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(1);
/// How long what was said may not come back before it is looked whether it was lost.
const LONG: Duration = Duration::from_secs(5);

/// The part of the work that this process holds.
pub(super) struct Work {
    pub(super) member: Box<dyn Member>,
    pub(super) share: Share,
    /// The numbers of the held partitions of `membership`.
    pub(super) parts: Vec<u32>,
    /// Every report that was due up to here is made.
    pub(super) settled: Position,
    /// The same, and all of it was read back: brokers can lose what they acknowledged, and whoever
    /// takes over believes this.
    sure: Position,
    /// What becomes sure once it is read back.
    said: Option<Unread>,
    /// What is sure, as the group knows it, and since when.
    told: (Position, Instant),
    /// Whether the log was seen to hold what was said; asked whenever that may have changed.
    is_checked: bool,
    /// What has to be read before that is known.
    check_at: Option<Position>,
    /// What has to be read before looks at providers that were read count.
    pub(super) looks_count_at: Option<Position>,
}

/// Whether the log holds what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// It does, or it is on its way there.
    Yes,
    /// Everything was read that it held, and something was not among it.
    No,
    /// Something has to be read before, and nothing is to be said.
    NotKnown,
}

/// What was said and not read back.
struct Unread {
    /// Up to where every report that was due is made with it.
    settled: Position,
    /// The ids of the last outcomes in their partitions.
    outcomes: BTreeMap<u32, String>,
    since: Instant,
}

impl Work {
    pub(super) fn new(member: Box<dyn Member>) -> Self {
        Self {
            member,
            share: Share::default(),
            parts: Vec::new(),
            settled: Position::default(),
            sure: Position::default(),
            said: None,
            told: (Position::default(), Instant::now()),
            is_checked: false,
            check_at: None,
            looks_count_at: None,
        }
    }

    /// Takes note of what is held now, and of what whoever held it before has done.
    pub(super) fn adopt_share(
        &mut self,
        projection: &mut Projection,
    ) -> Result<(), ProjectionError> {
        let share = self.member.share();
        if share == self.share {
            return Ok(());
        }
        for (partition, settled) in &share.held {
            if !self.share.held.contains_key(partition) {
                projection.forget_settled(partition.number, settled)?;
            }
        }
        self.parts = share.numbers(Topic::Membership);
        projection.hold(&self.parts)?;
        let held = share.held.values().cloned();
        self.sure = held
            .reduce(|one, other| one.common(&other))
            .unwrap_or_default();
        self.share = share;
        self.settled = Position::default();
        self.said = None;
        // What was told is told of the partitions that were held then.
        self.told.0 = Position::default();
        // A commit that failed, or a partition that moved, can have ended what brokers had forgotten.
        (self.is_checked, self.check_at) = (false, None);
        Ok(())
    }

    /// Notes that everything is made that is `settled`, with `unread` of it on its way back.
    pub(super) fn note_settled(&mut self, unread: &BTreeMap<u32, String>) {
        if unread.is_empty() {
            self.sure.clone_from(&self.settled);
            self.said = None;
        } else if self.said.is_none() {
            self.said = Some(Unread {
                settled: self.settled.clone(),
                outcomes: unread.clone(),
                since: Instant::now(),
            });
        }
    }

    /// Notes what was read back.
    pub(super) fn read_back(&mut self, entries: &[Entry]) {
        let Some(said) = &mut self.said else { return };
        for part in parts_read_back(&said.outcomes, entries) {
            said.outcomes.remove(&part);
        }
        if said.outcomes.is_empty() {
            self.sure.clone_from(&said.settled);
            self.said = None;
        }
    }

    /// Looks whether the log holds what was said, when it may have lost it; `end` tells where it ends.
    pub(super) fn look_for_what_was_said(
        &mut self,
        projection: &Projection,
        end: impl FnOnce() -> Result<Option<Position>, LogError>,
    ) -> Result<Kept, PipelineError> {
        let is_late = |said: &Unread| said.since.elapsed() > LONG;
        let is_sure = self.said.is_none() && projection.unread().is_empty();
        if is_sure || self.parts.is_empty() {
            (self.is_checked, self.check_at) = (is_sure, None);
            return Ok(Kept::Yes);
        }
        if self.is_checked && !self.said.as_ref().is_some_and(is_late) {
            self.check_at = None;
            return Ok(Kept::Yes);
        }
        if self.check_at.is_none() {
            self.check_at = end()?;
        }
        let position = projection.position()?;
        match &self.check_at {
            Some(at) if position.has_reached(at) => Ok(Kept::No),
            _ => Ok(Kept::NotKnown),
        }
    }

    pub(super) fn is_untold(&self) -> bool {
        !self.parts.is_empty() && self.sure != self.told.0
    }

    /// The group hears at times that there was nothing to say.
    pub(super) fn is_time_to_tell(&self) -> bool {
        self.is_untold() && self.told.1.elapsed() >= TELL_EVERY
    }

    pub(super) async fn commit(&mut self, outputs: Vec<Record>) -> Result<(), LogError> {
        self.member.commit(&self.sure, outputs).await?;
        self.told = (self.sure.clone(), Instant::now());
        Ok(())
    }
}
