//! A position as the note beside a committed offset, which has room for 4,096 bytes
//! (`offset.metadata.max.bytes`): `membership=12,0,7;inventory=…`, offsets in the order of the
//! partitions' numbers.

use std::collections::BTreeMap;

use crate::{
    domain::Topic,
    log::{Partition, Position},
};

/// What does not fit is left out: work is done again, and nothing comes of it.
const MOST_BYTES: usize = 4000;

pub(super) fn write(position: &Position) -> String {
    let mut topics: BTreeMap<Topic, Vec<u64>> = BTreeMap::new();
    for (partition, next) in position.parts() {
        let Some(topic) = partition.topic else {
            continue;
        };
        let offsets = topics.entry(topic).or_default();
        let place = usize::try_from(partition.number).unwrap_or_default();
        if offsets.len() <= place {
            offsets.resize(place + 1, 0);
        }
        if let Some(offset) = offsets.get_mut(place) {
            *offset = next;
        }
    }
    let parts: Vec<String> = topics
        .iter()
        .map(|(topic, offsets)| {
            let offsets: Vec<String> = offsets.iter().map(ToString::to_string).collect();
            format!("{topic}={}", offsets.join(","))
        })
        .collect();
    let text = parts.join(";");
    if text.len() > MOST_BYTES {
        return String::new();
    }
    text
}

/// The position; what cannot be read is as if nobody had noted anything.
pub(super) fn read(text: &str) -> Position {
    let mut position = Position::default();
    for part in text.split(';') {
        let Some((topic, offsets)) = part.split_once('=') else {
            continue;
        };
        let Ok(topic) = topic.parse::<Topic>() else {
            continue;
        };
        for (number, offset) in (0_u32..).zip(offsets.split(',')) {
            let partition = Partition {
                topic: Some(topic),
                number,
            };
            match offset.parse() {
                Ok(0) | Err(_) => {}
                Ok(next) => position.advance(partition, next),
            }
        }
    }
    position
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{read, write};
    use crate::{
        domain::Topic,
        log::{Partition, Position},
    };

    proptest! {
        #[test]
        fn what_was_written_is_read(parts in prop::collection::btree_map((0..9_usize, 0..20_u32), 1..u64::MAX, 0..30)) {
            let parts: Vec<_> = parts
                .into_iter()
                .map(|((topic, number), next)| {
                    let partition = Partition { topic: Some(Topic::ALL[topic]), number };
                    (partition, next)
                })
                .collect();
            let position = Position::from(parts);
            let text = write(&position);
            prop_assert!(text.is_empty() && position != Position::default() || read(&text) == position);
        }

        #[test]
        fn anything_can_be_read(text in ".*") {
            read(&text);
        }
    }
}
