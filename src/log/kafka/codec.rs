//! Records as Kafka carries them: CloudEvents in binary mode (the Kafka protocol binding of
//! CloudEvents 1.0, section 3.2).

use std::{borrow::Cow, str};

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::{
    Message,
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
};

use crate::{
    domain::{ChangeId, Record, Topic, id::content_id},
    log::{Entry, Partition},
};

/// What attributes' names begin with in headers.
const PREFIX: &str = "ce_";

/// The attributes as headers.
pub(super) fn headers(record: &Record) -> OwnedHeaders {
    let attributes = record.attributes();
    let mut headers = OwnedHeaders::new_with_capacity(attributes.len());
    for (name, value) in &attributes {
        let name = match *name {
            "datacontenttype" => Cow::Borrowed("content-type"),
            name => Cow::Owned(format!("{PREFIX}{name}")),
        };
        headers = headers.insert(Header {
            key: &name,
            value: Some(value.as_str()),
        });
    }
    headers
}

/// The bytes that a record takes, about.
pub(super) fn size(record: &Record) -> usize {
    let attributes = record.attributes();
    let names: usize = attributes
        .iter()
        .map(|(name, value)| name.len() + value.len() + 8)
        .sum();
    record.data.len() + record.key.len() + names + 64
}

/// The record of a message; nothing: it says that a key is gone, which no record of ours does.
///
/// What somebody else put into a topic becomes a record of no type, which nobody can read and which
/// goes to quarantine with its bytes.
pub(super) fn entry(topic: Topic, message: &BorrowedMessage<'_>) -> Option<Entry> {
    let data = message.payload()?;
    let key = message.key().map(String::from_utf8_lossy);
    let data = Bytes::copy_from_slice(data);
    let mut record = Record::bytes(topic, key.unwrap_or_default().into_owned(), data);
    let headers = message.headers();
    for header in headers.iter().flat_map(|headers| headers.iter()) {
        let value = header.value.and_then(|value| str::from_utf8(value).ok());
        if let (Some(name), Some(value)) = (header.key.strip_prefix(PREFIX), value) {
            record = set(record, name, value);
        }
    }
    let partition = Partition {
        topic: Some(topic),
        number: message.partition().unsigned_abs(),
    };
    let offset = message.offset().unsigned_abs();
    if record.id.is_empty() {
        let place = format!("{partition}:{offset}");
        record = record.id(content_id(&[b"foreign", place.as_bytes()]).to_string());
    }
    Some(Entry {
        partition,
        offset,
        record,
    })
}

fn set(record: Record, name: &str, value: &str) -> Record {
    let time = || value.parse::<Timestamp>().unwrap_or_default();
    match name {
        "id" => record.id(value.to_owned()),
        "type" => record.kind(value),
        "source" => record.source(value.to_owned()),
        "subject" => record.subject(value.to_owned()),
        "time" => record.time(time()),
        "recordedtime" => record.recorded_at(time()),
        "correlationid" => match value.parse::<ChangeId>() {
            Ok(change) => record.correlation(change),
            Err(_) => record,
        },
        _ => record,
    }
}
