//! The worker of one sink: takes impacts from the log, brings them there, and says what became of
//! each.

mod attempts;
mod job;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use metrics::gauge;
use tokio::{
    task::{Id, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::{attempts::Attempt, job::Job};
use super::{
    Delivery, Sink,
    metrics::SINK_PARKED,
    retry::Schedule,
    window::{Ticket, Window},
};
use crate::{
    clock::Clock,
    domain::{Record, Topic},
    log::{Batch, Log, LogError, Member, Position},
    shutdown::with_grace,
};

/// How long a shutdown waits for attempts.
const DRAIN: Duration = Duration::from_secs(3);
/// How long a log that cannot take records is left alone.
const LOG_PAUSE: Duration = Duration::from_secs(1);
/// After how many skipped records the cursor moves although nothing was put out.
const MOST_SKIPPED: usize = 1024;

/// How a worker works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOptions {
    /// The most records taken and not committed.
    pub window: usize,
    /// The most attempts at once.
    pub concurrency: usize,
    /// When failed attempts are repeated.
    pub schedule: Schedule,
    /// How often a parked sink tries whether it was mended.
    pub probe_every: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            window: 64,
            concurrency: 8,
            schedule: Schedule::default(),
            probe_every: Duration::from_mins(5),
        }
    }
}

/// Brings every impact to one sink.
pub struct SinkWorker {
    sink: Arc<dyn Sink>,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    options: WorkerOptions,
    name: String,
    window: Window,
    jobs: BTreeMap<Ticket, Job>,
    attempts: JoinSet<(Delivery, Duration)>,
    running: HashMap<Id, Vec<Ticket>>,
    /// When the next probe is due, while the sink is parked.
    parked_until: Option<Instant>,
    /// The attempt that shows whether a parked sink was mended: older ones prove nothing.
    probe: Option<Ticket>,
    /// Put out with the next commit, wherever the cursor stands.
    notices: Vec<Record>,
    /// What records that are read again put out, by event id: they are not delivered again.
    known: BTreeMap<String, Vec<Record>>,
    skipped: usize,
}

enum Event {
    Stop,
    Taken(Result<Batch, LogError>),
    Tried(Attempt),
    Due,
}

impl SinkWorker {
    /// A worker that has not started.
    #[must_use]
    pub fn new(
        sink: Arc<dyn Sink>,
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        options: WorkerOptions,
    ) -> Self {
        Self {
            name: sink.name().to_owned(),
            window: Window::new(options.window),
            sink,
            log,
            clock,
            options,
            jobs: BTreeMap::new(),
            attempts: JoinSet::new(),
            running: HashMap::new(),
            parked_until: None,
            probe: None,
            notices: Vec::new(),
            known: BTreeMap::new(),
            skipped: 0,
        }
    }

    /// Works until `shutdown`; then finishes what is being tried, for some seconds at most, and commits.
    ///
    /// # Errors
    /// [`LogError`] that no waiting mends.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), LogError> {
        gauge!(SINK_PARKED, "sink" => self.name.clone()).set(0.0);
        let Some(mut member) = self.join(&shutdown).await? else {
            return Ok(());
        };
        loop {
            self.start_ready();
            match self.next_event(member.as_mut(), &shutdown).await {
                Event::Stop => {
                    let drained = with_grace(&shutdown, self.drain(member.as_mut())).await;
                    return drained.unwrap_or(Ok(()));
                }
                Event::Taken(Ok(batch)) => self.take(batch),
                Event::Taken(Err(LogError::Moved)) => self.read_again(),
                Event::Taken(Err(error)) => self.wait_for_log(error, &shutdown).await?,
                Event::Tried(attempt) => self.settle(attempt),
                Event::Due => {}
            }
            while let Some(attempt) = self.attempts.try_join_next_with_id() {
                self.settle(attempt);
            }
            let commit = self.commit(member.as_mut(), MOST_SKIPPED);
            let Some(committed) = with_grace(&shutdown, commit).await else {
                return Ok(());
            };
            if let Err(error) = committed {
                if !matches!(error, LogError::Moved) {
                    self.wait_for_log(error, &shutdown).await?;
                }
                self.read_again();
            }
        }
    }

    async fn join(
        &self,
        shutdown: &CancellationToken,
    ) -> Result<Option<Box<dyn Member>>, LogError> {
        let group = format!("sink.{}", self.name);
        let topics = [Topic::Impacts, Topic::DeadLetters];
        while !shutdown.is_cancelled() {
            match self.log.join(&group, &topics) {
                Ok(member) => return Ok(Some(member)),
                Err(error) => self.wait_for_log(error, shutdown).await?,
            }
        }
        Ok(None)
    }

    async fn wait_for_log(
        &self,
        error: LogError,
        shutdown: &CancellationToken,
    ) -> Result<(), LogError> {
        if !error.is_retriable() {
            return Err(error);
        }
        tracing::warn!(sink.name = self.name, reason = %error, "the sink waits for the log");
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(LOG_PAUSE) => {}
        }
        Ok(())
    }

    async fn next_event(&mut self, member: &mut dyn Member, stop: &CancellationToken) -> Event {
        // A parked sink keeps one record to try: without one it never learns that it was mended.
        let room = match self.parked_until {
            Some(_) => usize::from(self.jobs.is_empty()),
            None => self.window.room(),
        };
        let due = self.next_due();
        tokio::select! {
            biased;
            () = stop.cancelled() => Event::Stop,
            Some(attempt) = self.attempts.join_next_with_id() => Event::Tried(attempt),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Event::Due,
            batch = member.next(room), if room > 0 => Event::Taken(batch),
        }
    }

    fn take(&mut self, batch: Batch) {
        self.skipped += 1;
        for entry in batch.entries {
            if let Some(job) = Job::read(entry.record.clone(), &self.name, Instant::now()) {
                let ticket = self.window.take(&entry, job.record.subject.clone());
                match self.known.remove(&entry.record.id) {
                    Some(outputs) => self.window.finish(ticket, outputs),
                    None => drop(self.jobs.insert(ticket, job)),
                }
            } else {
                self.skipped += 1;
            }
        }
        self.window.see(&batch.through);
    }

    /// Commits what is finished, when there is something to put out or `most_skipped` records were
    /// passed over.
    async fn commit(
        &mut self,
        member: &mut dyn Member,
        most_skipped: usize,
    ) -> Result<(), LogError> {
        let through = self.window.committable();
        let mut outputs = self.window.outputs_before(&through);
        outputs.extend(self.notices.iter().cloned());
        // An empty position says nothing about where the member stands.
        let is_idle = outputs.is_empty() && self.skipped < most_skipped;
        if is_idle || through == Position::default() {
            return Ok(());
        }
        fail::fail_point!("sink.before-commit", |_| std::process::abort());
        member.commit(&through, outputs).await?;
        fail::fail_point!("sink.after-commit", |_| std::process::abort());
        self.window.committed(&through);
        self.notices.clear();
        self.skipped = 0;
        Ok(())
    }

    /// After a commit that failed the member reads again, from what is committed.
    fn read_again(&mut self) {
        self.attempts = JoinSet::new();
        self.running.clear();
        self.probe = None;
        self.jobs.clear();
        if self.known.len() > self.options.window {
            // Left over from parts of the log that somebody else reads now.
            self.known.clear();
        }
        self.known.extend(self.window.clear());
    }

    async fn drain(mut self, member: &mut dyn Member) -> Result<(), LogError> {
        let end = Instant::now() + DRAIN;
        while let Ok(Some(attempt)) = timeout_at(end, self.attempts.join_next_with_id()).await {
            self.settle(attempt);
        }
        match self.commit(member, 1).await {
            // What is not committed is delivered again, under the same id.
            Err(error) if error.is_retriable() => {
                tracing::warn!(sink.name = self.name, reason = %error, "the last commit failed");
                Ok(())
            }
            other => other,
        }
    }
}
