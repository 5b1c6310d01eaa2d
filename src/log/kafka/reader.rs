//! Reads named partitions from named offsets, on a thread of its own.

use std::{collections::VecDeque, sync::Arc, thread, time::Duration};

use async_trait::async_trait;

use super::{
    Shared,
    bounds::{check_bounds, check_marks},
    client::Client,
    events::Events,
    handover::{Giver, Taker, pair},
    session::Session,
    threads::spawn,
};
use crate::{
    domain::Topic,
    log::{Batch, Entry, Follower, LogError, Partition, Position},
    telemetry::metrics as names,
};

/// How long to wait before a client is made anew.
const REBUILD_PAUSE: Duration = Duration::from_secs(1);

/// Gives out what a thread reads.
pub(super) struct Reader {
    steps: Taker,
    /// Read and not given out.
    waiting: VecDeque<Entry>,
    /// Behind the last of them.
    through: Position,
    given: Position,
}

impl Reader {
    /// Starts reading; ends when dropped.
    pub(super) fn start(
        shared: Arc<Shared>,
        scope: Scope,
        from: &Position,
    ) -> Result<Self, LogError> {
        let (out, steps) = pair();
        let (position, given) = (from.clone(), from.clone());
        spawn("read", move || {
            Work::new(shared, scope, position, out).run();
        })?;
        Ok(Self {
            steps,
            waiting: VecDeque::new(),
            through: given.clone(),
            given,
        })
    }

    pub(super) async fn next(&mut self, most: usize) -> Result<Batch, LogError> {
        if self.waiting.is_empty() {
            let step = self.steps.take().await?;
            self.waiting = step.entries.into();
            self.through = step.through;
        }
        let count = most.min(self.waiting.len());
        let entries: Vec<Entry> = self.waiting.drain(..count).collect();
        if self.waiting.is_empty() {
            self.given.clone_from(&self.through);
        } else {
            for entry in &entries {
                self.given.advance(entry.partition, entry.offset + 1);
            }
        }
        Ok(Batch {
            entries,
            through: self.given.clone(),
        })
    }
}

#[async_trait]
impl Follower for Reader {
    async fn next(&mut self, most: usize) -> Result<Batch, LogError> {
        Self::next(self, most).await
    }
}

/// What a reader reads.
pub(super) enum Scope {
    /// Every partition of the topics, those that are added later included.
    Topics(Vec<Topic>),
    /// These.
    Partitions(Vec<Partition>),
}

/// Why a client cannot go on.
pub(super) enum Fault {
    /// Nobody wants to know any more.
    Unwanted,
    /// A new client may fare better.
    Client(LogError),
    /// No client can.
    Lasting(LogError),
}

impl Fault {
    /// What a client cannot mend is that the log is another one.
    fn of(error: LogError) -> Self {
        match error {
            LogError::Replaced(_) => Self::Lasting(error),
            other => Self::Client(other),
        }
    }
}

pub(super) struct Work {
    pub(super) shared: Arc<Shared>,
    pub(super) scope: Scope,
    pub(super) position: Position,
    /// What was read before the client that reads now.
    begun: Position,
    pub(super) out: Giver,
}

impl Work {
    fn new(shared: Arc<Shared>, scope: Scope, position: Position, out: Giver) -> Self {
        Self {
            shared,
            scope,
            begun: position.clone(),
            position,
            out,
        }
    }

    fn run(mut self) {
        while !self.out.is_unwanted() {
            match self.read() {
                Fault::Unwanted => return,
                Fault::Client(error) => {
                    tracing::warn!(%error, "a reader of the log is made anew");
                    metrics::counter!(names::KAFKA_REBUILDS, "what" => "reader").increment(1);
                    thread::sleep(REBUILD_PAUSE);
                }
                Fault::Lasting(error) => {
                    self.out.end(error);
                    return;
                }
            }
        }
    }

    /// Reads with one client for as long as it works.
    fn read(&mut self) -> Fault {
        match self.open().and_then(|session| session.run(self)) {
            Ok(never) => match never {},
            Err(fault) => fault,
        }
    }

    /// A client at the position.
    fn open(&mut self) -> Result<Session, Fault> {
        self.begun.clone_from(&self.position);
        let partitions = match &self.scope {
            Scope::Topics(topics) => self.shared.cluster.partitions(topics),
            Scope::Partitions(partitions) => Ok(partitions.clone()),
        };
        let partitions = partitions.map_err(Fault::Client)?;
        let shared = &self.shared;
        check_bounds(shared, &partitions, &mut self.position).map_err(Fault::of)?;
        if matches!(self.scope, Scope::Topics(_)) {
            shared.marks.begin(&partitions, &self.begun);
            check_marks(shared, &partitions).map_err(Fault::of)?;
        }
        let settings = &self.shared.settings;
        let events = Events::new("reader", settings.tokens.clone());
        let client = Client::new(&settings.reader(), events).map_err(Fault::Client)?;
        let session = Session::new(client, partitions);
        session.assign(self)?;
        Ok(session)
    }

    pub(super) fn tell(&mut self, entries: Vec<Entry>, position: Position) -> Result<(), Fault> {
        self.position = position;
        let step = Batch {
            entries,
            through: self.position.clone(),
        };
        if self.out.give(step) {
            Ok(())
        } else {
            Err(Fault::Unwanted)
        }
    }
}
