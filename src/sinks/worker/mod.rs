//! The worker of one sink: takes impacts from the log, brings them there, and says what became of
//! each.

mod job;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use metrics::{counter, gauge, histogram};
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::job::Job;
use super::{
    Delivery, Sink,
    metrics::{DELIVERIES_TOTAL, DELIVERY_SECONDS, SINK_IN_FLIGHT, SINK_PARKED},
    retry::Schedule,
    window::{Ticket, Window},
};
use crate::{
    clock::Clock,
    domain::{
        Record, Topic,
        delivery::{DeadLetterCause, DeliveryStatus},
    },
    log::{Batch, Log, LogError, Member, Position},
};

/// How long a shutdown waits for attempts.
const DRAIN: Duration = Duration::from_secs(5);
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
    running: HashMap<Id, Ticket>,
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

type Attempt = Result<(Id, (Delivery, Duration)), JoinError>;

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

    /// Works until `shutdown`; then finishes what is being tried, for 5 s at most, and commits.
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
                Event::Stop => return self.drain(member.as_mut()).await,
                Event::Taken(Ok(batch)) => self.take(batch),
                Event::Taken(Err(error)) => self.wait_for_log(error, &shutdown).await?,
                Event::Tried(attempt) => self.settle(attempt),
                Event::Due => {}
            }
            while let Some(attempt) = self.attempts.try_join_next_with_id() {
                self.settle(attempt);
            }
            if let Err(error) = self.commit(member.as_mut(), MOST_SKIPPED).await {
                self.wait_for_log(error, &shutdown).await?;
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

    /// The tickets that wait for nothing but their time.
    fn waiting(&self) -> impl Iterator<Item = (Ticket, Instant)> {
        self.window.ready().into_iter().filter_map(|ticket| {
            let job = self.jobs.get(&ticket).filter(|job| !job.is_running)?;
            Some((ticket, job.due))
        })
    }

    fn next_due(&self) -> Option<Instant> {
        if self.parked_until.is_some() {
            // The first ready record is the probe; while one runs nothing else is due.
            return self
                .parked_until
                .filter(|_| self.running.is_empty() && !self.jobs.is_empty());
        }
        let has_room = self.running.len() < self.options.concurrency;
        self.waiting()
            .map(|(_, due)| due)
            .min()
            .filter(|_| has_room)
    }

    fn start_ready(&mut self) {
        let now = Instant::now();
        let startable: Vec<Ticket> = match self.parked_until {
            Some(probe_at) if probe_at > now || !self.running.is_empty() => Vec::new(),
            Some(_) => self.waiting().map(|(ticket, _)| ticket).take(1).collect(),
            None => self
                .waiting()
                .filter(|(_, due)| *due <= now)
                .map(|(ticket, _)| ticket)
                .take(self.options.concurrency.saturating_sub(self.running.len()))
                .collect(),
        };
        for ticket in startable {
            self.probe = self.parked_until.map(|_| ticket);
            self.start(ticket, now);
        }
        let in_flight = self.window.unfinished();
        gauge!(SINK_IN_FLIGHT, "sink" => self.name.clone())
            .set(u32::try_from(in_flight).unwrap_or(u32::MAX));
    }

    fn start(&mut self, ticket: Ticket, now: Instant) {
        let Some(job) = self.jobs.get_mut(&ticket) else {
            return;
        };
        job.start(self.clock.now(), now);
        let (sink, record) = (Arc::clone(&self.sink), job.record.clone());
        let handle = self.attempts.spawn(async move {
            let delivery = sink.deliver(&record).await;
            (delivery, now.elapsed())
        });
        self.running.insert(handle.id(), ticket);
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

    fn settle(&mut self, attempt: Attempt) {
        let (id, delivery) = match attempt {
            Ok((id, (delivery, took))) => {
                histogram!(DELIVERY_SECONDS, "sink" => self.name.clone()).record(took);
                (id, delivery)
            }
            Err(stopped) => {
                let why = format!("the attempt broke off: {stopped}");
                (stopped.id(), Delivery::Retry { why, after: None })
            }
        };
        let labels = [
            ("sink", self.name.clone()),
            ("outcome", delivery.label().to_owned()),
        ];
        counter!(DELIVERIES_TOTAL, &labels).increment(1);
        let Some(ticket) = self.running.remove(&id) else {
            return;
        };
        let Some(mut job) = self.jobs.remove(&ticket) else {
            return;
        };
        job.is_running = false;
        let is_probe = self.probe.take_if(|probe| *probe == ticket).is_some();
        if is_probe && matches!(delivery, Delivery::Done | Delivery::Refused { .. }) {
            self.resume(&job);
        }
        match delivery {
            Delivery::Done => {
                let at = self.clock.now();
                let output = job.status(&self.name, DeliveryStatus::Delivered, at, None);
                self.window.finish(ticket, vec![output]);
            }
            Delivery::Refused { why } => self.bury(ticket, &job, DeadLetterCause::Refused, &why),
            Delivery::Retry { why, after } => self.retry(ticket, job, &why, after),
            Delivery::Park { why } => self.park(ticket, job, &why),
        }
    }

    fn retry(&mut self, ticket: Ticket, mut job: Job, why: &str, after: Option<Duration>) {
        let now = Instant::now();
        if self.parked_until.is_some() {
            self.parked_until = Some(now + self.options.probe_every.max(after.unwrap_or_default()));
            self.jobs.insert(ticket, job);
            return;
        }
        let schedule = &self.options.schedule;
        match schedule.delay(job.attempts, job.elapsed(now), rand::random(), after) {
            Some(delay) => {
                let (id, attempts) = (&job.record.id, job.attempts);
                tracing::info!(
                    sink.name = self.name,
                    event.id = id,
                    attempts,
                    why,
                    "tried again later"
                );
                job.due = now + delay;
                self.jobs.insert(ticket, job);
            }
            None => self.bury(ticket, &job, DeadLetterCause::GaveUp, why),
        }
    }

    fn bury(&mut self, ticket: Ticket, job: &Job, cause: DeadLetterCause, why: &str) {
        let id = &job.record.id;
        tracing::error!(
            sink.name = self.name,
            event.id = id,
            why,
            "became a dead letter"
        );
        let outputs = job.dead_letter(&self.name, cause, self.clock.now(), why);
        self.window.finish(ticket, outputs);
    }

    fn park(&mut self, ticket: Ticket, mut job: Job, why: &str) {
        let now = Instant::now();
        if self.parked_until.is_none() {
            tracing::error!(
                sink.name = self.name,
                why,
                "the sink is parked until it is mended"
            );
            gauge!(SINK_PARKED, "sink" => self.name.clone()).set(1.0);
            let status = DeliveryStatus::Parked;
            let notice = job.status(&self.name, status, self.clock.now(), Some(why));
            self.notices.push(notice);
        }
        self.parked_until = Some(now + self.options.probe_every);
        job.due = now;
        self.jobs.insert(ticket, job);
    }

    /// The receiver has judged a record: whatever it was parked for is mended.
    fn resume(&mut self, job: &Job) {
        self.parked_until = None;
        tracing::info!(sink.name = self.name, "the sink is resumed");
        gauge!(SINK_PARKED, "sink" => self.name.clone()).set(0.0);
        let notice = job.status(&self.name, DeliveryStatus::Resumed, self.clock.now(), None);
        self.notices.push(notice);
        let now = Instant::now();
        for job in self.jobs.values_mut() {
            job.start_anew(now);
        }
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
