//! Where partitions begin and end, and whether they are the ones that were read before.

use std::time::Instant;

use rdkafka::{
    Message as _, Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaError,
};

use super::{
    Shared,
    client::Client,
    cluster::{PATIENCE, away},
    events::Events,
    marks::Found,
    session::WAIT,
};
use crate::log::{LogError, Partition, Position};

/// Moves `position` past what retention took, and sees when the log is another one.
///
/// # Errors
/// [`LogError::Replaced`] when it is, and what asking meets.
pub(super) fn check_bounds(
    shared: &Shared,
    partitions: &[Partition],
    position: &mut Position,
) -> Result<(), LogError> {
    let ends = shared.cluster.ends(partitions)?;
    let begins = shared.cluster.beginnings(partitions)?;
    for &partition in partitions {
        let at = position.next_in(partition);
        if at > ends.next_in(partition) {
            return Err(LogError::Replaced(format!(
                "{partition} ends at {} and was read up to {at}",
                ends.next_in(partition)
            )));
        }
        if at < begins.next_in(partition) {
            if at > 0 {
                tracing::warn!(%partition, at, "records were deleted before they were read");
            }
            position.advance(partition, begins.next_in(partition));
        }
    }
    Ok(())
}

/// Sees when partitions were made anew since they were read, whatever their offsets say.
///
/// # Errors
/// [`LogError::Replaced`] when one was, and what asking meets.
pub(super) fn check_marks(shared: &Shared, partitions: &[Partition]) -> Result<(), LogError> {
    let (sure, latest) = shared.marks.to_check(partitions);
    let newer = newer_than(shared, &sure)?;
    for (partition, mark) in sure {
        let at = newer.next_in(partition);
        if at >= mark.before {
            continue;
        }
        // It may be the end of a transaction, which says nothing.
        let found = first_record(shared, partition, at)?;
        if found.is_some_and(|(offset, time)| offset < mark.before && time > mark.newest) {
            return Err(LogError::Replaced(format!(
                "{partition} was made anew: before offset {}, up to which it was read, it has \
                 records that came later",
                mark.before
            )));
        }
    }
    // What was read before that was asked is of the same topics.
    shared.marks.keep(latest);
    Ok(())
}

/// Per partition the first offset of what is newer than its mark; where nothing is, the last there is.
fn newer_than(shared: &Shared, marks: &Found) -> Result<Position, LogError> {
    let mut newer = Position::default();
    if marks.is_empty() {
        return Ok(newer);
    }
    let mut wanted = TopicPartitionList::with_capacity(marks.len());
    for (&partition, mark) in marks {
        let (topic, number) = shared.names.place(partition);
        let after = Offset::Offset(mark.newest.saturating_add(1));
        wanted
            .add_partition_offset(&topic, number, after)
            .map_err(|error| away(&error))?;
    }
    let found = shared.cluster.offsets_for_times(wanted)?;
    for element in found.elements() {
        element.error().map_err(|error| away(&error))?;
        let partition = shared.names.partition(element.topic(), element.partition());
        let at = match element.offset() {
            Offset::Offset(offset) => offset.unsigned_abs(),
            _ => u64::MAX,
        };
        if let Some(partition) = partition {
            newer.advance(partition, at);
        }
    }
    Ok(newer)
}

/// Whether there is nothing to read from `at` on: compaction can leave an end without a record,
/// which no position reaches by reading.
pub(super) fn is_gap(shared: &Shared, partition: Partition, at: u64) -> Result<bool, LogError> {
    let end = look(shared, partition, at)?;
    Ok(matches!(end, Seen::Nothing))
}

/// Offset and time of the first record from `at` on; nothing also when none came in time.
fn first_record(
    shared: &Shared,
    partition: Partition,
    at: u64,
) -> Result<Option<(u64, i64)>, LogError> {
    Ok(match look(shared, partition, at)? {
        Seen::Record(offset, time) => Some((offset, time)),
        Seen::Nothing | Seen::NoAnswer => None,
    })
}

/// What a client of its own reads first.
enum Seen {
    /// A record, at this offset and of this time.
    Record(u64, i64),
    /// The end.
    Nothing,
    /// Neither in time.
    NoAnswer,
}

fn look(shared: &Shared, partition: Partition, at: u64) -> Result<Seen, LogError> {
    let settings = &shared.settings;
    let mut config = settings.reader();
    config.set("enable.partition.eof", "true");
    let failed = |error: KafkaError| away(&error);
    let events = Events::new("gap", settings.tokens.clone());
    let client = Client::new(&config, events)?;
    let mut list = TopicPartitionList::new();
    let (topic, number) = shared.names.place(partition);
    list.add_partition_offset(&topic, number, Offset::Offset(at.cast_signed()))
        .map_err(failed)?;
    client.assign(&list).map_err(failed)?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match client.poll(WAIT) {
            Some(Ok(message)) => {
                let time = message.timestamp().to_millis().unwrap_or_default();
                return Ok(Seen::Record(message.offset().unsigned_abs(), time));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Seen::Nothing),
            Some(Err(_)) | None => {}
        }
    }
    Ok(Seen::NoAnswer)
}
