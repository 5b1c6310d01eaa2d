//! The flow: log ─► projection ─► correlation ─► log, and nothing else writes the projection.
//!
//! What has to be done is derived from the projection, so a crash between any two steps leads to
//! the same outputs with the same ids.

mod judge;
mod settle;
#[cfg(test)]
mod tests;
mod work;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::work::{Kept, TELL_EVERY, Work};
use crate::{
    catalogue::Catalogue,
    clock::Clock,
    correlation::Policy,
    domain::Topic,
    log::{Follower, Log, LogError, Position},
    projection::{Lens, Projection, ProjectionError},
};

/// The most records taken in at once.
const MOST_RECORDS: usize = 4000;

/// How long to wait after the log refused.
const REFUSED: Duration = Duration::from_millis(200);

/// How long to wait when the disk is full.
const NO_ROOM: Duration = Duration::from_secs(1);

/// How often the clock is looked at for what falls due.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(1);

/// The group of those who make the reports.
pub const GROUP: &str = "correlation";

/// The topics whose records make reports stale.
const CAUSES: [Topic; 4] = [
    Topic::Membership,
    Topic::Inventory,
    Topic::Curation,
    Topic::Impacts,
];

/// Why the pipeline stops.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The log says no for good.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The projection says no.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

/// Turns membership changes into outcomes and impacts.
pub struct Pipeline {
    /// Where everything comes from and goes.
    pub log: Arc<dyn Log>,
    /// The folder of the projection.
    pub folder: PathBuf,
    /// What the operator decided.
    pub policy: Arc<Policy>,
    /// What providers do.
    pub catalogue: Arc<Catalogue>,
    /// When an output is made.
    pub clock: Arc<dyn Clock>,
    /// Tells how far the projection has come.
    pub progress: watch::Sender<Position>,
}

impl Pipeline {
    /// The projection to run with, opened before anybody reads it.
    ///
    /// # Errors
    /// [`PipelineError`] when there can be none in the folder.
    pub fn open_projection(&self) -> Result<Projection, PipelineError> {
        Ok(Projection::open(
            &self.folder,
            &self.log.identity(),
            self.lens(),
        )?)
    }

    /// Runs until `shutdown`, between two steps.
    ///
    /// # Errors
    /// [`PipelineError`] when the log or the projection fails for good.
    pub async fn run(
        self,
        mut projection: Projection,
        shutdown: CancellationToken,
    ) -> Result<(), PipelineError> {
        let mut follower = self.log.follow(&Topic::ALL, &projection.position()?)?;
        let mut work = self.join()?;
        self.progress.send_replace(projection.position()?);
        while !shutdown.is_cancelled() {
            work.adopt_share(&mut projection)?;
            // Before everything committed is known, a report would be made of half the history.
            let is_caught_up = projection.position()?.has_reached(&work.share.since);
            let kept = if is_caught_up {
                work.look_for_what_was_said(&projection, || self.end())?
            } else {
                Kept::NotKnown
            };
            if kept == Kept::No {
                tracing::error!(
                    "the log does not hold what this instance said last; the read model begins \
                     anew, and what is missing is said again"
                );
                drop(work);
                (projection, follower, work) = self.begin_anew(projection)?;
                continue;
            }
            let can_settle = kept == Kept::Yes;
            if can_settle {
                self.take_looks(&mut projection, &mut work, &shutdown)
                    .await?;
            }
            if can_settle && !self.settle(&mut projection, &mut work, &shutdown).await? {
                // The log refuses, or it is time to stop: what waits stays stale, and is judged again.
                shutdown
                    .run_until_cancelled(tokio::time::sleep(REFUSED))
                    .await;
                continue;
            }
            let next = self.pause(&projection, &work, can_settle)?;
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = work.member.moved() => {}
                () = tokio::time::sleep(next) => {}
                () = tokio::time::sleep(TELL_EVERY), if work.is_untold() => {}
                batch = follower.next(MOST_RECORDS) => match batch {
                    Ok(batch) => {
                        with_room(&shutdown, || projection.apply(&batch, self.lens())).await?;
                        work.read_back(&batch.entries);
                        self.progress.send_replace(projection.position()?);
                    }
                    Err(LogError::Replaced(why)) => {
                        tracing::error!(why, "the log is another one; the read model begins anew");
                        // How far the old log had come is never reached in the new one.
                        drop(work);
                        (projection, follower, work) = self.begin_anew(projection)?;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// The read model, its reader and the work, from the beginning of the log.
    fn begin_anew(
        &self,
        projection: Projection,
    ) -> Result<(Projection, Box<dyn Follower>, Work), PipelineError> {
        drop(projection);
        Projection::delete(&self.folder)?;
        let projection = self.open_projection()?;
        let follower = self.log.follow(&Topic::ALL, &Position::default())?;
        let work = self.join()?;
        self.progress.send_replace(Position::default());
        Ok((projection, follower, work))
    }

    fn join(&self) -> Result<Work, LogError> {
        let member = self.log.join_and_read_back(GROUP, &[Topic::Membership])?;
        Ok(Work::new(member))
    }

    /// Where the log ends; absent when it cannot be asked now, and is with the next turn.
    fn end(&self) -> Result<Option<Position>, LogError> {
        match self.log.end() {
            Err(error) if error.is_retriable() => Ok(None),
            end => end.map(Some),
        }
    }

    /// Lets looks at providers count once everything is read that the log held when they were: what
    /// was seen in one look lies in several partitions.
    async fn take_looks(
        &self,
        projection: &mut Projection,
        work: &mut Work,
        shutdown: &CancellationToken,
    ) -> Result<(), PipelineError> {
        if work.looks_count_at.is_none() && projection.has_new_looks()? {
            work.looks_count_at = self.end()?;
        }
        let position = projection.position()?;
        let is_read = |end: &Position| position.has_reached(end);
        if work.looks_count_at.as_ref().is_some_and(is_read) {
            with_room(shutdown, || projection.take_looks()).await?;
            work.looks_count_at = None;
        }
        Ok(())
    }

    /// How long nothing can fall due: the clock may be set meanwhile, so it is never long.
    fn pause(
        &self,
        projection: &Projection,
        work: &Work,
        can_settle: bool,
    ) -> Result<Duration, PipelineError> {
        let due = projection.next_due(&work.parts)?;
        let Some(due) = due.filter(|_| can_settle) else {
            return Ok(LOOK_AT_CLOCK);
        };
        let left = due.duration_since(self.clock.now());
        Ok(Duration::try_from(left)
            .unwrap_or_default()
            .min(LOOK_AT_CLOCK))
    }

    fn lens(&self) -> Lens<'_> {
        Lens {
            policy: &self.policy,
            catalogue: &self.catalogue,
        }
    }
}

/// Does it again while the disk is full: what was read or committed must not be forgotten.
async fn with_room(
    shutdown: &CancellationToken,
    mut work: impl FnMut() -> Result<(), ProjectionError>,
) -> Result<(), ProjectionError> {
    loop {
        match work() {
            Err(error) if error.is_out_of_space() => {
                tracing::error!(%error, "the read model waits for room on the disk");
                let pause = tokio::time::sleep(NO_ROOM);
                if shutdown.run_until_cancelled(pause).await.is_none() {
                    return Err(error);
                }
            }
            done => return done,
        }
    }
}
