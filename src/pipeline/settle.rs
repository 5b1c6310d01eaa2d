//! Makes every report that has to be made, step by step.
//!
//! The log takes its time for a step. Meanwhile the one before is noted and the next is judged: it is
//! about other changes, and what is said about one change makes no other report another one.

use futures_util::future::join;
use tokio_util::sync::CancellationToken;

use super::{CAUSES, Pipeline, PipelineError, with_room, work::Work};
use crate::{
    domain::{ChangeId, Record, quarantine::Quarantined},
    log::Position,
    projection::{Projection, Said, Waits},
    shutdown::with_grace,
    telemetry::metrics as names,
};

/// The most changes of one step.
pub(super) const MOST_CHANGES: usize = 500;

/// What is judged, and put out together.
struct Step {
    said: Vec<Said>,
    done: Vec<Waits>,
    refused: Vec<Record>,
    /// Up to where nothing more is to say once this is said; absent: there is more.
    settled: Option<Position>,
}

impl Step {
    fn outputs(&self) -> Vec<Record> {
        let news = self.said.iter();
        let news = news.flat_map(|one| one.due.iter().chain(&one.records));
        self.refused.iter().chain(news).cloned().collect()
    }

    fn is_empty(&self) -> bool {
        self.done.is_empty() && self.refused.is_empty()
    }

    fn changes(&self) -> Vec<ChangeId> {
        self.done.iter().map(|one| one.change).collect()
    }
}

impl Pipeline {
    /// Makes every report that has to be made; false when the log does not take them now, or on
    /// `shutdown`.
    pub(super) async fn settle(
        &self,
        projection: &mut Projection,
        work: &mut Work,
        shutdown: &CancellationToken,
    ) -> Result<bool, PipelineError> {
        // What is in the log, and not noted yet.
        let mut said = None;
        let mut next = self.step(projection, &work.parts, None, shutdown)?;
        while let Some(step) = next {
            let is_last = step.settled.is_some();
            if let Some(settled) = &step.settled {
                work.settled = settled.clone();
            }
            let outputs = step.outputs();
            let mut ahead = None;
            fail::fail_point!("pipeline.before-commit", |_| std::process::abort());
            if !outputs.is_empty() || work.is_time_to_tell() {
                let parts = work.parts.clone();
                let commit = with_grace(shutdown, work.commit(outputs));
                let meanwhile = async {
                    self.note(projection, said.take(), shutdown).await?;
                    if is_last {
                        return Ok(None);
                    }
                    self.step(projection, &parts, Some(&step), shutdown)
                };
                let (committed, judged) = join(commit, meanwhile).await;
                match committed {
                    None => return Ok(false),
                    Some(Err(error)) if error.is_retriable() => return Ok(false),
                    Some(result) => result?,
                }
                ahead = judged?;
            }
            fail::fail_point!("pipeline.after-commit", |_| std::process::abort());
            self.note(projection, said.take(), shutdown).await?;
            if ahead.is_some() {
                (said, next) = (Some(step), ahead);
                continue;
            }
            self.note(projection, Some(step), shutdown).await?;
            if is_last {
                work.note_settled(projection.unread());
                return Ok(true);
            }
            next = self.step(projection, &work.parts, None, shutdown)?;
        }
        Ok(false)
    }

    /// Notes that a step is in the log.
    async fn note(
        &self,
        projection: &mut Projection,
        step: Option<Step>,
        shutdown: &CancellationToken,
    ) -> Result<(), PipelineError> {
        let Some(step) = step.filter(|step| !step.is_empty()) else {
            return Ok(());
        };
        with_room(shutdown, || {
            projection.settle(&step.done, &step.said, &step.refused, self.lens())
        })
        .await?;
        fail::fail_point!("pipeline.after-settle", |_| std::process::abort());
        Ok(())
    }

    /// Judges what is to be said next, behind a step that is `under_way`; nothing on `shutdown`: what
    /// is judged is said after the next start.
    fn step(
        &self,
        projection: &Projection,
        parts: &[u32],
        under_way: Option<&Step>,
        shutdown: &CancellationToken,
    ) -> Result<Option<Step>, PipelineError> {
        let now = self.clock.now();
        let besides = under_way.map(Step::changes).unwrap_or_default();
        let waiting = projection.stale(parts, &besides, MOST_CHANGES, now)?;
        let refused = match under_way {
            None => projection.rejects(parts)?,
            // All that there were are on their way.
            Some(_) => Vec::new(),
        };
        let stale = &waiting.stale;
        metrics::gauge!(names::STALE_CHANGES).set(u32::try_from(stale.len()).unwrap_or(u32::MAX));
        let judged = stale
            .iter()
            .take_while(|_| !shutdown.is_cancelled())
            .map(|one| self.judge(one, now));
        let (said, done): (Vec<Option<Said>>, Vec<Waits>) = judged.unzip();
        if done.len() < stale.len() {
            return Ok(None);
        }
        let settled = if waiting.is_all {
            Some(projection.position()?.within(&CAUSES))
        } else {
            None
        };
        Ok(Some(Step {
            said: said.into_iter().flatten().collect(),
            done,
            refused: refused.iter().map(Quarantined::to_record).collect(),
            settled,
        }))
    }
}
