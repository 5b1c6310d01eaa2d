//! The flow: log ─► projection ─► correlation ─► log, and nothing else writes the projection.
//!
//! What has to be done is derived from the projection, so a crash between any two steps leads to
//! the same outputs with the same ids.

#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::Catalogue,
    clock::Clock,
    correlation::{Inputs, Policy, Published, correlate, revise},
    domain::{ChangeId, Record, Report, Topic, quarantine::Quarantined},
    log::{Log, LogError, Member, Position},
    projection::{Lens, Projection, ProjectionError, Stale},
    telemetry::metrics as names,
};

/// The most records taken in at once.
const MOST_RECORDS: usize = 4000;
/// The most changes judged between two commits.
const MOST_CHANGES: usize = 500;

/// How long to wait after the log refused.
const REFUSED: Duration = Duration::from_millis(200);

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
        let mut member = self.log.join("correlation", &[Topic::Membership])?;
        // Before everything committed is known, a report would be made of half the history.
        let committed = self.log.end()?;
        self.progress.send_replace(projection.position()?);
        loop {
            let is_caught_up = projection.position()?.has_reached(&committed);
            if is_caught_up && !self.settle(&mut projection, member.as_mut()).await? {
                // The log refused for now: what waits stays stale, and is tried again.
                let pause = tokio::time::sleep(REFUSED);
                if shutdown.run_until_cancelled(pause).await.is_none() {
                    return Ok(());
                }
                continue;
            }
            let next = shutdown
                .run_until_cancelled(follower.next(MOST_RECORDS))
                .await;
            let Some(batch) = next else { return Ok(()) };
            projection.apply(&batch?, self.lens())?;
            self.progress.send_replace(projection.position()?);
        }
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
        member: &mut dyn Member,
    ) -> Result<bool, PipelineError> {
        loop {
            let stale = projection.stale(MOST_CHANGES)?;
            let rejects = projection.rejects()?;
            metrics::gauge!(names::STALE_CHANGES)
                .set(u32::try_from(stale.len()).unwrap_or(u32::MAX));
            if stale.is_empty() && rejects.is_empty() {
                return Ok(true);
            }
            let now = self.clock.now();
            let done: Vec<ChangeId> = stale.iter().map(|stale| stale.change.id).collect();
            let mut outputs: Vec<Record> = rejects.iter().map(Quarantined::to_record).collect();
            for one in &stale {
                outputs.extend(self.report(one, now));
            }
            fail::fail_point!("pipeline.before-commit", |_| std::process::abort());
            if !outputs.is_empty() {
                match member
                    .commit(&projection.position()?, outputs.clone())
                    .await
                {
                    Err(error) if error.is_retriable() => return Ok(false),
                    result => result?,
                }
            }
            fail::fail_point!("pipeline.after-commit", |_| std::process::abort());
            projection.settle(&done, &outputs, self.lens())?;
            fail::fail_point!("pipeline.after-settle", |_| std::process::abort());
        }
    }

    /// The records of one change's news; none when everything was said.
    fn report(&self, stale: &Stale, now: Timestamp) -> Vec<Record> {
        let inputs = Inputs {
            change: &stale.change,
            history: &stale.history,
            catalogue: &self.catalogue,
            policy: &self.policy,
        };
        let Some(report) = revise(correlate(&inputs), said_before(stale)) else {
            return Vec::new();
        };
        tracing::info_span!("correlate", change.id = %stale.change.id).in_scope(|| note(&report));
        let key = &stale.partition_key;
        let impacts = report
            .impacts
            .iter()
            .map(|impact| impact.to_record(key, now));
        impacts
            .chain([report.outcome.to_record(key, now)])
            .collect()
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
    for impact in &report.impacts {
        let labels = [
            ("fate", impact.fate.label()),
            ("severity", impact.severity.level.label()),
        ];
        metrics::counter!(names::IMPACTS, &labels).increment(1);
    }
}
