//! The flow: log ─► projection ─► correlation ─► log, and nothing else writes the projection.
//!
//! What has to be done is derived from the projection, so a crash between any two steps leads to
//! the same outputs with the same ids.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::Catalogue,
    clock::Clock,
    correlation::{Inputs, Policy, Published, correlate, revise},
    domain::{Record, Report, Topic, quarantine::Quarantined},
    log::{Log, LogError, Member, Position, Share},
    projection::{Lens, Projection, ProjectionError, Said, Stale},
    shutdown::with_grace,
    telemetry::metrics as names,
};

/// The most records taken in at once.
const MOST_RECORDS: usize = 4000;
/// The most changes judged between two commits.
const MOST_CHANGES: usize = 500;

/// How long to wait after the log refused.
const REFUSED: Duration = Duration::from_millis(200);

/// How long to wait when the disk is full.
const NO_ROOM: Duration = Duration::from_secs(1);

/// How often the group hears how far its work has come when there is nothing else to say.
const TELL_EVERY: Duration = Duration::from_secs(5);

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
        let mut work = Work::new(self.log.join("correlation", &[Topic::Membership])?);
        self.progress.send_replace(projection.position()?);
        while !shutdown.is_cancelled() {
            work.adopt_share(&mut projection)?;
            // Before everything committed is known, a report would be made of half the history.
            let is_caught_up = projection.position()?.has_reached(&work.share.since);
            if is_caught_up && !self.settle(&mut projection, &mut work, &shutdown).await? {
                // The log refused for now: what waits stays stale, and is tried again.
                shutdown
                    .run_until_cancelled(tokio::time::sleep(REFUSED))
                    .await;
                continue;
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = work.member.moved() => {}
                () = tokio::time::sleep(TELL_EVERY), if work.is_untold() => {}
                batch = follower.next(MOST_RECORDS) => match batch {
                    Ok(batch) => {
                        with_room(&shutdown, || projection.apply(&batch, self.lens())).await?;
                        self.progress.send_replace(projection.position()?);
                    }
                    Err(LogError::Replaced(why)) => {
                        tracing::error!(why, "the log is another one; the read model begins anew");
                        drop(projection);
                        Projection::delete(&self.folder)?;
                        projection = self.open_projection()?;
                        follower = self.log.follow(&Topic::ALL, &Position::default())?;
                        // How far the old log had come is never reached in the new one.
                        drop(work);
                        work = Work::new(self.log.join("correlation", &[Topic::Membership])?);
                        self.progress.send_replace(Position::default());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn lens(&self) -> Lens<'_> {
        Lens {
            policy: &self.policy,
            catalogue: &self.catalogue,
        }
    }

    /// Makes every report that has to be made; false when the log does not take them now.
    async fn settle(
        &self,
        projection: &mut Projection,
        work: &mut Work,
        shutdown: &CancellationToken,
    ) -> Result<bool, PipelineError> {
        loop {
            let stale = projection.stale(&work.parts, MOST_CHANGES)?;
            let rejects = projection.rejects(&work.parts)?;
            metrics::gauge!(names::STALE_CHANGES)
                .set(u32::try_from(stale.len()).unwrap_or(u32::MAX));
            let is_last = stale.len() < MOST_CHANGES;
            if is_last {
                work.settled = projection.position()?.within(&CAUSES);
            }
            let now = self.clock.now();
            let refused: Vec<Record> = rejects.iter().map(Quarantined::to_record).collect();
            let said: Vec<Said> = stale
                .iter()
                .filter_map(|one| self.report(one, now))
                .collect();
            let news = said.iter().flat_map(|one| &one.records);
            let outputs: Vec<Record> = refused.iter().chain(news).cloned().collect();
            fail::fail_point!("pipeline.before-commit", |_| std::process::abort());
            if !outputs.is_empty() || work.is_time_to_tell() {
                match with_grace(shutdown, work.commit(outputs)).await {
                    None => return Ok(false),
                    Some(Err(error)) if error.is_retriable() => return Ok(false),
                    Some(result) => result?,
                }
            }
            fail::fail_point!("pipeline.after-commit", |_| std::process::abort());
            if stale.is_empty() && rejects.is_empty() {
                return Ok(true);
            }
            let done = stale.iter().map(|stale| (stale.part, stale.change.id));
            let done: Vec<_> = done.collect();
            with_room(shutdown, || {
                projection.settle(&done, &said, &refused, self.lens())
            })
            .await?;
            fail::fail_point!("pipeline.after-settle", |_| std::process::abort());
            if is_last {
                return Ok(true);
            }
        }
    }

    /// One change's news; nothing when everything was said.
    fn report(&self, stale: &Stale, now: Timestamp) -> Option<Said> {
        let inputs = Inputs {
            change: &stale.change,
            history: &stale.history,
            catalogue: &self.catalogue,
            policy: &self.policy,
        };
        let report = revise(correlate(&inputs), said_before(stale))?;
        tracing::info_span!("correlate", change.id = %stale.change.id).in_scope(|| note(&report));
        let key = &stale.partition_key;
        let impacts = report
            .impacts
            .iter()
            .map(|impact| impact.to_record(key, now));
        let records = impacts
            .chain([report.outcome.to_record(key, now)])
            .collect();
        Some(Said { report, records })
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

/// The part of the work that this process holds.
struct Work {
    member: Box<dyn Member>,
    share: Share,
    /// The numbers of the held partitions of `membership`.
    parts: Vec<u32>,
    /// Every report that was due up to here is made.
    settled: Position,
    /// The same, as the group knows it, and since when.
    told: (Position, Instant),
}

impl Work {
    fn new(member: Box<dyn Member>) -> Self {
        Self {
            member,
            share: Share::default(),
            parts: Vec::new(),
            settled: Position::default(),
            told: (Position::default(), Instant::now()),
        }
    }

    /// Takes note of what is held now, and of what whoever held it before has done.
    fn adopt_share(&mut self, projection: &mut Projection) -> Result<(), ProjectionError> {
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
        self.share = share;
        self.settled = Position::default();
        Ok(())
    }

    fn is_untold(&self) -> bool {
        !self.parts.is_empty() && self.settled != self.told.0
    }

    /// The group hears at times that there was nothing to say.
    fn is_time_to_tell(&self) -> bool {
        self.is_untold() && self.told.1.elapsed() >= TELL_EVERY
    }

    async fn commit(&mut self, outputs: Vec<Record>) -> Result<(), LogError> {
        self.member.commit(&self.settled, outputs).await?;
        self.told = (self.settled.clone(), Instant::now());
        Ok(())
    }
}

fn said_before(stale: &Stale) -> &Published {
    // Forgetting it says everything twice, for the test that shows that somebody would notice.
    fail::fail_point!("pipeline.forget-what-was-said", |_| {
        static NOTHING: std::sync::LazyLock<Published> =
            std::sync::LazyLock::new(Published::default);
        &NOTHING
    });
    &stale.published
}

fn note(report: &Report) {
    let outcome = &report.outcome;
    tracing::info!(
        change.id = %outcome.change_id,
        change.kind = %outcome.change,
        result = outcome.result.label(),
        revision = outcome.revision,
        impacts = report.impacts.len(),
        "correlated"
    );
    metrics::counter!(names::OUTCOMES, "result" => outcome.result.label()).increment(1);
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for impact in &report.impacts {
        let labels = (impact.fate.label(), impact.severity.level.label());
        *counts.entry(labels).or_default() += 1;
    }
    for ((fate, severity), count) in counts {
        metrics::counter!(names::IMPACTS, "fate" => fate, "severity" => severity).increment(count);
    }
}
