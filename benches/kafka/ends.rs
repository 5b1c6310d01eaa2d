//! Looks at topics from outside: where what is committed ends, and what it is.

use std::{
    thread,
    time::{Duration, Instant},
};

use offkey::domain::Topic;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
    metadata::MetadataTopic,
};

use crate::cluster::Place;

const ASK: Duration = Duration::from_secs(10);
/// How long new partitions may take to have leaders, on a machine that is busy.
const LEADERS: Duration = Duration::from_mins(2);
/// How often to look where a topic ends.
const GLANCE: Duration = Duration::from_millis(5);
/// After how long without a change everything has probably come.
const QUIET: Duration = Duration::from_millis(500);
/// How long to wait for what does not come.
const PATIENCE: Duration = Duration::from_secs(600);

/// A reader that sees what is committed; it joins no group.
pub(crate) fn reader(brokers: &str) -> anyhow::Result<BaseConsumer> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .create()?)
}

/// Every partition of a topic, each at `offset`.
pub(crate) fn partitions(
    client: &BaseConsumer,
    topic: &str,
    offset: Offset,
) -> anyhow::Result<TopicPartitionList> {
    let metadata = client.fetch_metadata(Some(topic), ASK)?;
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
        list.add_partition_offset(topic, partition.id(), offset)?;
    }
    Ok(list)
}

/// The offsets at which what is committed ends. New partitions have no leader for a moment, and busy
/// brokers are late.
pub(crate) fn committed(
    client: &BaseConsumer,
    list: &TopicPartitionList,
) -> anyhow::Result<TopicPartitionList> {
    let until = Instant::now() + LEADERS;
    loop {
        match client.offsets_for_times(list.clone(), ASK) {
            Err(_) if Instant::now() < until => thread::sleep(GLANCE),
            found => return Ok(found?),
        }
    }
}

/// What lies in a topic.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Contents {
    pub(crate) records: usize,
    /// All of keys, headers and data.
    pub(crate) bytes: usize,
}

/// Watches one topic.
pub(crate) struct Ends {
    client: BaseConsumer,
    topic: String,
    list: TopicPartitionList,
}

impl Ends {
    pub(crate) fn new(place: &Place, topic: Topic) -> anyhow::Result<Self> {
        let (client, topic) = (reader(&place.brokers)?, place.topic(topic));
        let list = partitions(&client, &topic, Offset::End)?;
        Ok(Self {
            client,
            topic,
            list,
        })
    }

    /// The sum of the offsets at which what is committed ends.
    pub(crate) fn sum(&self) -> anyhow::Result<i64> {
        let found = committed(&self.client, &self.list)?;
        let ends = found.elements().into_iter().map(|one| one.offset());
        Ok(ends.filter_map(Offset::to_raw).sum())
    }

    /// Waits until `most` records are committed, and says when the last of them was.
    pub(crate) fn await_records(&self, most: usize) -> anyhow::Result<Instant> {
        let begin = Instant::now();
        let (mut known, mut changed_at) = (self.sum()?, begin);
        loop {
            thread::sleep(GLANCE);
            let now = self.sum()?;
            if now != known {
                (known, changed_at) = (now, Instant::now());
            }
            let is_enough = usize::try_from(known)? >= most;
            if is_enough && changed_at.elapsed() > QUIET {
                let found = self.contents()?.records;
                if found >= most {
                    anyhow::ensure!(found == most, "{found} records instead of {most}");
                    return Ok(changed_at);
                }
            }
            anyhow::ensure!(
                begin.elapsed() < PATIENCE,
                "{} has only {} of {most} records",
                self.topic,
                self.contents()?.records
            );
        }
    }

    /// Reads it from the beginning to the end.
    pub(crate) fn contents(&self) -> anyhow::Result<Contents> {
        let list = partitions(&self.client, &self.topic, Offset::Beginning)?;
        let mut left = list.count();
        self.client.assign(&list)?;
        let mut found = Contents::default();
        while left > 0 {
            match self.client.poll(ASK) {
                Some(Ok(message)) => {
                    found.records += 1;
                    found.bytes += size(&message);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
                Some(Err(error)) => return Err(error.into()),
                None => anyhow::bail!("{} cannot be read", self.topic),
            }
        }
        self.client.unassign()?;
        Ok(found)
    }
}

fn size(message: &BorrowedMessage<'_>) -> usize {
    let headers = message.headers().map_or(0, |headers| {
        let sizes = headers
            .iter()
            .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len));
        sizes.sum()
    });
    headers + message.key_len() + message.payload_len()
}
