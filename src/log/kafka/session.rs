//! One client that reads, and how it fares.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};

use super::{
    bounds::{check_marks, is_gap},
    client::Client,
    cluster::{away, offsets},
    codec,
    marks::{Found, Mark},
    reader::{Fault, Scope, Work},
};
use crate::{
    domain::Topic,
    log::{Entry, LogError, Partition, Position},
};

/// How long to wait for a record.
pub(super) const WAIT: Duration = Duration::from_millis(50);
/// The most records of one step, and the most bytes of their data but for the last one's.
const MOST_RECORDS: usize = 4000;
const MOST_BYTES: usize = 2 << 20;
/// After how much silence the cluster is asked whether there is something after all.
const SILENCE: Duration = Duration::from_secs(1);
/// How often it is asked again.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After so many looks that found records which do not come, the client is made anew.
const MOST_VAIN_LOOKS: u32 = 2;
/// How often it is looked whether the topics are the ones that they were.
const CHECK_EVERY: Duration = Duration::from_secs(20);

pub(super) enum Never {}

/// One client, and how it fares.
pub(super) struct Session {
    client: Client,
    partitions: Vec<Partition>,
    heard_at: Instant,
    /// When the client was asked how far it has come.
    asked_at: Instant,
    looked_at: Option<Instant>,
    vain_looks: u32,
    /// When it was looked whether the topics are the ones that they were.
    checked_at: Option<Instant>,
}

impl Session {
    pub(super) fn new(client: Client, partitions: Vec<Partition>) -> Self {
        Self {
            client,
            partitions,
            heard_at: Instant::now(),
            asked_at: Instant::now(),
            looked_at: None,
            vain_looks: 0,
            checked_at: None,
        }
    }

    pub(super) fn assign(&self, work: &Work) -> Result<(), Fault> {
        let mut list = TopicPartitionList::with_capacity(self.partitions.len());
        for &partition in &self.partitions {
            let (topic, number) = work.shared.names.place(partition);
            let offset = Offset::Offset(work.position.next_in(partition).cast_signed());
            list.add_partition_offset(&topic, number, offset)
                .map_err(|error| Fault::Client(away(&error)))?;
        }
        let assigned = self.client.assign(&list);
        assigned.map_err(|error| Fault::Client(away(&error)))?;
        // As if the client stood still, for the test that shows that somebody notices.
        fail::fail_point!("kafka.reader-stands-still", |_| {
            let paused = self.client.pause(&list);
            paused.map_err(|error| Fault::Client(away(&error)))
        });
        Ok(())
    }

    pub(super) fn run(mut self, work: &mut Work) -> Result<Never, Fault> {
        loop {
            thread::sleep(work.out.pause());
            let entries = self.take(work)?;
            let mut position = work.position.clone();
            for entry in &entries {
                position.advance(entry.partition, entry.offset + 1);
            }
            // While records come, they say enough; to ask for every partition takes longer than to
            // read some.
            let is_idle = entries.is_empty();
            if is_idle || self.asked_at.elapsed() >= WAIT {
                self.asked_at = Instant::now();
                for (partition, next) in self.client_position(work)?.parts() {
                    position.advance(partition, next);
                }
            }
            if position != work.position {
                self.heard_at = Instant::now();
                self.vain_looks = 0;
                work.tell(entries, position)?;
            } else if work.out.is_unwanted() {
                return Err(Fault::Unwanted);
            } else if self.is_time_to_look() {
                self.look(work)?;
            }
            if self.is_time_to_check(work, is_idle) {
                self.checked_at = Some(Instant::now());
                match check_marks(&work.shared, &self.partitions) {
                    Err(error @ LogError::Replaced(_)) => return Err(Fault::Lasting(error)),
                    Err(error) => tracing::debug!(%error, "the topics cannot be looked at now"),
                    Ok(()) => {}
                }
            }
        }
    }

    /// What has come, waiting a little for it.
    fn take(&self, work: &Work) -> Result<Vec<Entry>, Fault> {
        let (mut entries, mut marks) = (Vec::new(), Found::new());
        let (mut wait, mut bytes) = (WAIT, 0);
        while entries.len() < MOST_RECORDS && bytes < MOST_BYTES {
            match self.client.poll(wait) {
                Some(Ok(message)) => {
                    bytes += message.payload_len();
                    let topic = work.shared.names.parse(message.topic());
                    if let Some(topic) = topic {
                        entries.extend(codec::entry(topic, &message));
                        mark(&mut marks, topic, &message);
                    }
                    wait = Duration::ZERO;
                }
                Some(Err(error)) => judge(&error)?,
                None => break,
            }
        }
        if matches!(work.scope, Scope::Topics(_)) {
            work.shared.marks.note(&marks);
        }
        Ok(entries)
    }

    /// How far the client has come, records included that say nothing to us (the ends of
    /// transactions, what was aborted).
    fn client_position(&self, work: &Work) -> Result<Position, Fault> {
        let found = self
            .client
            .position()
            .map_err(|error| Fault::Client(away(&error)))?;
        let mut position = BTreeMap::new();
        for element in found.elements() {
            let partition = work
                .shared
                .names
                .partition(element.topic(), element.partition());
            if let (Some(partition), Offset::Offset(next)) = (partition, element.offset()) {
                position.insert(partition, next.unsigned_abs());
            }
        }
        Ok(position.into_iter().collect::<Vec<_>>().into())
    }

    /// First when everything was read that there is, then from time to time.
    fn is_time_to_check(&self, work: &Work, is_idle: bool) -> bool {
        let is_due = self
            .checked_at
            .map_or(is_idle, |at| at.elapsed() >= CHECK_EVERY);
        is_due && matches!(work.scope, Scope::Topics(_))
    }

    fn is_time_to_look(&self) -> bool {
        self.heard_at.elapsed() >= SILENCE
            && self
                .looked_at
                .is_none_or(|at| at.elapsed() >= LOOK_EVERY || at < self.heard_at)
    }

    /// Asks whether the silence is the log's or the client's.
    fn look(&mut self, work: &mut Work) -> Result<(), Fault> {
        self.looked_at = Some(Instant::now());
        if let Scope::Topics(topics) = &work.scope {
            let now = work
                .shared
                .cluster
                .partitions(topics)
                .map_err(Fault::Client)?;
            if now != self.partitions {
                tracing::info!(partitions = now.len(), "the log has other partitions now");
                return Err(Fault::Client(LogError::Moved));
            }
        }
        let decided = offsets(
            &self.client,
            &work.shared.names,
            &self.partitions,
            Offset::End,
        );
        let decided = decided.map_err(Fault::Client)?;
        let mut position = work.position.clone();
        for (partition, end) in decided.parts() {
            let at = position.next_in(partition);
            if at > end {
                // The topic was deleted and made anew under our hands.
                return Err(Fault::Client(LogError::Moved));
            }
            if at < end && is_gap(&work.shared, partition, at).map_err(Fault::Client)? {
                position.advance(partition, end);
            }
        }
        if !position.has_reached(&decided) {
            self.vain_looks += 1;
            if self.vain_looks > MOST_VAIN_LOOKS {
                let why = "records are there and do not come".to_owned();
                return Err(Fault::Client(LogError::Unavailable(why)));
            }
        }
        if position != work.position {
            work.tell(Vec::new(), position)?;
        }
        Ok(())
    }
}

/// Adds what the message says to the mark of its partition.
fn mark(marks: &mut Found, topic: Topic, message: &BorrowedMessage<'_>) {
    let partition = Partition {
        topic: Some(topic),
        number: message.partition().unsigned_abs(),
    };
    let offset = message.offset().unsigned_abs();
    let time = message.timestamp().to_millis().unwrap_or_default();
    let first = Mark {
        before: offset + 1,
        newest: time,
    };
    marks.entry(partition).or_insert(first).add(offset, time);
}

/// Whether the client can go on after `error`.
fn judge(error: &KafkaError) -> Result<(), Fault> {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    match (error, code) {
        (KafkaError::MessageConsumptionFatal(_), _)
        | (
            _,
            Some(
                Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::UnknownTopicId,
            ),
        ) => Err(Fault::Client(away(error))),
        _ => {
            tracing::debug!(%error, "the client says so and goes on");
            Ok(())
        }
    }
}
