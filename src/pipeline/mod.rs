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
    correlation::{
        Awaited, Inputs, PersonHistory, Policy, Published, foresee, revise,
        schedule::{Occasion, remind},
    },
    domain::{Record, Report, Topic, passed::Passed, quarantine::Quarantined},
    log::{Log, LogError, Member, Position, Share},
    projection::{Lens, Projection, ProjectionError, Said, Stale, Waits},
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

/// How often the clock is looked at for what falls due.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(1);

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
            if is_caught_up && self.take_looks(&mut projection, &mut work)? {
                continue;
            }
            let next = self.pause(&projection, &work, is_caught_up)?;
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = work.member.moved() => {}
                () = tokio::time::sleep(next) => {}
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

    /// Lets looks at providers count once everything is read that the log held when they were: what
    /// was seen in one look lies in several partitions. Whether any did.
    fn take_looks(
        &self,
        projection: &mut Projection,
        work: &mut Work,
    ) -> Result<bool, PipelineError> {
        if work.looks_count_at.is_none() && projection.has_new_looks()? {
            work.looks_count_at = Some(self.log.end()?);
        }
        let position = projection.position()?;
        let is_read = |end: &Position| position.has_reached(end);
        let counts = work.looks_count_at.as_ref().is_some_and(is_read);
        if counts {
            projection.take_looks()?;
            work.looks_count_at = None;
        }
        Ok(counts)
    }

    /// How long nothing can fall due: the clock may be set meanwhile, so it is never long.
    fn pause(
        &self,
        projection: &Projection,
        work: &Work,
        is_caught_up: bool,
    ) -> Result<Duration, PipelineError> {
        let due = projection.next_due(&work.parts)?;
        let Some(due) = due.filter(|_| is_caught_up) else {
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

    /// Makes every report that has to be made; false when the log does not take them now.
    async fn settle(
        &self,
        projection: &mut Projection,
        work: &mut Work,
        shutdown: &CancellationToken,
    ) -> Result<bool, PipelineError> {
        loop {
            let now = self.clock.now();
            let stale = projection.stale(&work.parts, MOST_CHANGES, now)?;
            let rejects = projection.rejects(&work.parts)?;
            metrics::gauge!(names::STALE_CHANGES)
                .set(u32::try_from(stale.len()).unwrap_or(u32::MAX));
            let is_last = stale.len() < MOST_CHANGES;
            if is_last {
                work.settled = projection.position()?.within(&CAUSES);
            }
            let refused: Vec<Record> = rejects.iter().map(Quarantined::to_record).collect();
            let judged = stale.iter().map(|one| self.judge(one, now));
            let (said, done): (Vec<Option<Said>>, Vec<Waits>) = judged.unzip();
            let said: Vec<Said> = said.into_iter().flatten().collect();
            let news = said
                .iter()
                .flat_map(|one| one.due.iter().chain(&one.records));
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

    /// One change's news, nothing when everything was said, and what it waits for.
    fn judge(&self, stale: &Stale, now: Timestamp) -> (Option<Said>, Waits) {
        let (change, key) = (&stale.change, &stale.partition_key);
        let mut due = Vec::new();
        let (mut report, mut awaited) = self.foresee(stale, &stale.history);
        if let Some(&at) = awaited.moments.range(..=now).next_back() {
            let change_id = change.id;
            due.push(Passed { change_id, at }.to_record(key, now));
            let mut history = PersonHistory::clone(&stale.history);
            history.passed.insert(change_id, at);
            (report, awaited) = self.foresee(stale, &history);
        }
        let heard_at = stale.history.heard.get(&change.id).copied();
        let occasion = Occasion {
            change,
            heard_at: heard_at.unwrap_or(now),
            given: &stale.reminded,
            now,
        };
        let (reminders, next) = remind(&report, &occasion, &self.policy.reminders);
        due.extend(reminders.iter().map(|one| one.to_record(key, now)));
        let first = awaited.moments.first().copied();
        let waits = Waits {
            part: stale.part,
            change: change.id,
            due: first.into_iter().chain(next).min(),
            awaited,
        };
        let news = revise(report, said_before(stale));
        let is_silent = news.is_none() && due.is_empty();
        let said = (!is_silent).then(|| said(news, due, key, now));
        (said, waits)
    }

    fn foresee(&self, stale: &Stale, history: &PersonHistory) -> (Report, Awaited) {
        foresee(&Inputs {
            change: &stale.change,
            history,
            catalogue: &self.catalogue,
            policy: &self.policy,
        })
    }
}

/// What is put out of one change's `news` and of what fell `due`.
fn said(news: Option<Report>, due: Vec<Record>, key: &str, now: Timestamp) -> Said {
    let records = news.as_ref().map(|report| {
        let change = report.outcome.change_id;
        tracing::info_span!("correlate", change.id = %change).in_scope(|| note(report));
        let impacts = report.impacts.iter();
        let impacts = impacts.map(|impact| impact.to_record(key, now));
        impacts
            .chain([report.outcome.to_record(key, now)])
            .collect()
    });
    Said {
        report: news,
        records: records.unwrap_or_default(),
        due,
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
    /// What has to be read before looks at providers that were read count.
    looks_count_at: Option<Position>,
}

impl Work {
    fn new(member: Box<dyn Member>) -> Self {
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
