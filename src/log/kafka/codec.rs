//! Records as Kafka carries them: CloudEvents in binary mode (the Kafka protocol binding of
//! CloudEvents 1.0, section 3.2).

use std::str;

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

/// The most bytes that attributes take beside the texts of a record: their names, times and ids of
/// one length, and what frames them.
const FRAME: usize = 512;

/// The attributes as headers.
pub(super) fn headers(record: &Record) -> OwnedHeaders {
    let attributes = record.attributes();
    let mut headers = OwnedHeaders::new_with_capacity(attributes.len());
    let mut prefixed = String::with_capacity(32);
    for (name, value) in &attributes {
        let key = if *name == "datacontenttype" {
            "content-type"
        } else {
            prefixed.clear();
            prefixed.push_str(PREFIX);
            prefixed.push_str(name);
            &prefixed
        };
        headers = headers.insert(Header {
            key,
            value: Some(value.as_str()),
        });
    }
    headers
}

/// The most bytes that a record takes. It is asked of every record, so nothing is written out for
/// it.
pub(super) fn size(record: &Record) -> usize {
    // The key is an attribute as well.
    let texts = [&record.id, &record.kind, &record.source, &record.key];
    let texts: usize = texts.iter().map(|text| text.len()).sum();
    let subject = record.subject.as_ref().map_or(0, String::len);
    record.data.len() + record.key.len() + texts + subject + FRAME
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rdkafka::message::Headers as _;

    use super::{headers, size};
    use crate::domain::{ChangeId, Record, Topic};

    proptest! {
        #[test]
        fn a_size_covers_everything_and_little_more(text in ".{0,40}", data in ".{0,200}", is_about in any::<bool>()) {
            let mut record = Record::bytes(Topic::Impacts, text.clone(), data.into_bytes().into())
                .id(text.clone())
                .kind(&text)
                .source(text.clone())
                .subject(text.clone())
                .time("9999-01-01T00:00:00.123456Z".parse().unwrap());
            if is_about {
                record = record.correlation(ChangeId::derive("hr", &text));
            }
            let sent: usize = headers(&record)
                .iter()
                .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len) + 8)
                .sum();
            let sent = sent + record.key.len() + record.data.len() + 64;
            prop_assert!((sent..sent + 400).contains(&size(&record)), "{sent} {}", size(&record));
        }
    }
}
