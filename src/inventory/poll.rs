//! The polling loop: look, compare, publish what is news.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Provider,
    diff::{Known, News, diff},
};
use crate::{
    clock::Clock,
    domain::Record,
    log::{Log, LogError, Member, Position},
    projection::{self, ProjectionError, read::Reader},
};

/// How long to wait after a look that failed, where looks are further apart.
const SOON: Duration = Duration::from_secs(10);

/// Why polling cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The log says no.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What is known cannot be read.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

/// Polls one provider.
pub struct Poller {
    /// Whom.
    pub provider: Arc<dyn Provider>,
    /// How long to wait between two looks.
    pub every: Duration,
    /// Where news goes.
    pub log: Arc<dyn Log>,
    /// The folder of the projection, where what is known stands.
    pub folder: PathBuf,
    /// How far the projection has come.
    pub progress: watch::Receiver<Position>,
    /// When news was heard.
    pub clock: Arc<dyn Clock>,
}

impl Poller {
    /// Polls until `shutdown`.
    ///
    /// # Errors
    /// [`PollError`] when the log or the projection fails; a provider that fails is tried again.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), PollError> {
        let duty = format!("inventory.{}", self.provider.name());
        let mut member = self.log.take_turns(&duty)?;
        loop {
            if member.share().is_empty() {
                // Another instance looks now.
                if shutdown.run_until_cancelled(member.moved()).await.is_none() {
                    return Ok(());
                }
                continue;
            }
            let look = self.look(member.as_mut());
            let pause = match shutdown.run_until_cancelled(look).await {
                None => return Ok(()),
                Some(Ok(true)) => self.every,
                Some(Ok(false)) => self.every.min(SOON),
                Some(Err(PollError::Log(error))) if error.is_retriable() => {
                    tracing::warn!(%error, "inventory could not be published; trying again");
                    self.every.min(SOON)
                }
                Some(Err(error)) => return Err(error),
            };
            let pause = tokio::time::sleep(pause);
            if shutdown.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
        }
    }

    /// One look; false when the provider could not be read.
    #[tracing::instrument(skip_all, fields(provider.name = self.provider.name()))]
    async fn look(&mut self, member: &mut dyn Member) -> Result<bool, PollError> {
        let snapshot = match self.provider.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(%error, "the provider could not be read; trying again");
                let labels = [("provider", self.provider.name().to_owned())];
                metrics::counter!(crate::telemetry::metrics::POLL_FAILURES, &labels).increment(1);
                return Ok(false);
            }
        };
        let known = self.known().await?;
        let news = diff(self.provider.name(), &known, &snapshot);
        self.note(&snapshot, &news);
        let now = self.clock.now();
        let changes = news.changes.iter().map(|change| change.to_record(now));
        let outputs: Vec<Record> = news.records.iter().cloned().chain(changes).collect();
        member.commit(&Position::default(), outputs).await?;
        Ok(true)
    }

    fn note(&self, snapshot: &super::Snapshot, news: &News) {
        let gaps = snapshot.gaps.len()
            + snapshot
                .projects
                .iter()
                .map(|project| project.gaps.len())
                .sum::<usize>();
        if gaps > 0 {
            tracing::warn!(
                gaps,
                "the provider shows us only a part; nothing is taken for gone"
            );
        }
        tracing::info!(
            records = news.records.len(),
            changes = news.changes.len(),
            "read the provider"
        );
        let labels = [("provider", self.provider.name().to_owned())];
        metrics::gauge!(crate::telemetry::metrics::SNAPSHOT_GAPS, &labels)
            .set(u32::try_from(gaps).unwrap_or(u32::MAX));
        metrics::gauge!(crate::telemetry::metrics::SNAPSHOT_TIME, &labels).set(f64::from(
            i32::try_from(snapshot.finished_at.as_second()).unwrap_or(i32::MAX),
        ));
    }

    /// What is known once the projection has taken in everything that is in the log now.
    async fn known(&mut self) -> Result<Known, PollError> {
        let end = self.log.end()?;
        self.progress
            .wait_for(|position| position.has_reached(&end))
            .await
            .map_err(|_closed| LogError::Closed)?;
        let db = projection::open_reader(&self.folder)?;
        let (reader, name) = (Reader::new(&db), self.provider.name());
        let projects = reader.projects()?;
        Ok(Known {
            projects: projects
                .into_iter()
                .filter(|project| project.provider == name)
                .collect(),
            members: reader.members_of(name)?,
            keys: reader.keys_of(name)?,
            last: reader.snapshot(name)?,
        })
    }
}
