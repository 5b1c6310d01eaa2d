//! The part of the work that this process holds.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    domain::{Record, Topic},
    log::{LogError, Member, Position, Share},
    projection::{Projection, ProjectionError},
};

/// How often the group hears how far its work has come when there is nothing else to say.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(5);

/// The part of the work that this process holds.
pub(super) struct Work {
    pub(super) member: Box<dyn Member>,
    pub(super) share: Share,
    /// The numbers of the held partitions of `membership`.
    pub(super) parts: Vec<u32>,
    /// Every report that was due up to here is made.
    pub(super) settled: Position,
    /// The same, as the group knows it, and since when.
    told: (Position, Instant),
    /// What has to be read before looks at providers that were read count.
    pub(super) looks_count_at: Option<Position>,
}

impl Work {
    pub(super) fn new(member: Box<dyn Member>) -> Self {
        Self {
            member,
            share: Share::default(),
            parts: Vec::new(),
            settled: Position::default(),
            told: (Position::default(), Instant::now()),
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
        self.share = share;
        self.settled = Position::default();
        // What was told is told of the partitions that were held then.
        self.told.0 = Position::default();
        Ok(())
    }

    pub(super) fn is_untold(&self) -> bool {
        !self.parts.is_empty() && self.settled != self.told.0
    }

    /// The group hears at times that there was nothing to say.
    pub(super) fn is_time_to_tell(&self) -> bool {
        self.is_untold() && self.told.1.elapsed() >= TELL_EVERY
    }

    pub(super) async fn commit(&mut self, outputs: Vec<Record>) -> Result<(), LogError> {
        self.member.commit(&self.settled, outputs).await?;
        self.told = (self.settled.clone(), Instant::now());
        Ok(())
    }
}
