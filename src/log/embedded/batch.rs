//! One row of the log: the records of one topic in one commit, under a checksum.

use rusqlite::Row;

use crate::{
    domain::{Record, Topic},
    log::{Entry, LogError, Partition},
};

/// The layout of a body: this byte, then postcard of `Vec<(u32, Record)>`.
const LAYOUT: u8 = 1;

/// The columns that [`StoredBatch::from_row`] reads, in its order.
pub(super) const COLUMNS: &str = "base, topic, span, prev, at, crc, body";

/// The offset before the first batch of a topic.
pub(super) const NO_BATCH: i64 = -1;

/// A row of `batches`.
#[derive(Debug)]
pub(super) struct StoredBatch {
    pub(super) base: i64,
    pub(super) topic: String,
    pub(super) span: i64,
    pub(super) prev: i64,
    /// Microseconds since the epoch.
    pub(super) at: i64,
    pub(super) crc: i64,
    pub(super) body: Vec<u8>,
}

impl StoredBatch {
    /// Seals `records`, each with its distance from `base`.
    pub(super) fn seal(place: Place, records: &[(u32, &Record)]) -> Result<Self, postcard::Error> {
        let body = postcard::to_extend(records, vec![LAYOUT])?;
        let Place {
            base,
            topic,
            span,
            prev,
            at,
        } = place;
        let mut batch = Self {
            base,
            topic: topic.name().to_owned(),
            span,
            prev,
            at,
            crc: 0,
            body,
        };
        batch.crc = batch.checksum();
        Ok(batch)
    }

    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            base: row.get(0)?,
            topic: row.get(1)?,
            span: row.get(2)?,
            prev: row.get(3)?,
            at: row.get(4)?,
            crc: row.get(5)?,
            body: row.get(6)?,
        })
    }

    /// The records, after the checksum was found right.
    pub(super) fn open(&self) -> Result<Vec<Entry>, LogError> {
        let damaged = |what: &str| {
            LogError::Corrupt(format!(
                "the batch at offset {} of topic {}: {what}; restore the folder from a backup",
                self.base, self.topic
            ))
        };
        if self.checksum() != self.crc {
            return Err(damaged("its checksum is wrong"));
        }
        let records = read_body(&self.body).map_err(|why| damaged(&why))?;
        Ok(records
            .into_iter()
            .map(|(distance, record)| Entry {
                partition: Partition::WHOLE,
                offset: self.base.cast_unsigned() + u64::from(distance),
                record,
            })
            .collect())
    }

    /// The offset behind the batch.
    pub(super) fn end(&self) -> i64 {
        self.base + self.span
    }

    fn checksum(&self) -> i64 {
        let mut crc = crc32c::crc32c(self.topic.as_bytes());
        for number in [self.base, self.span, self.prev, self.at] {
            crc = crc32c::crc32c_append(crc, &number.to_be_bytes());
        }
        i64::from(crc32c::crc32c_append(crc, &self.body))
    }
}

/// The records in a body, each with its distance from the batch's base.
pub(super) fn read_body(body: &[u8]) -> Result<Vec<(u32, Record)>, String> {
    let Some((&LAYOUT, bytes)) = body.split_first() else {
        return Err("it was written by a newer version".to_owned());
    };
    postcard::from_bytes(bytes).map_err(|error| error.to_string())
}

/// Where a batch lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) base: i64,
    pub(super) topic: Topic,
    pub(super) span: i64,
    pub(super) prev: i64,
    pub(super) at: i64,
}

#[cfg(test)]
mod tests {
    use super::{NO_BATCH, Place, StoredBatch};
    use crate::domain::{Record, Topic};

    #[test]
    fn any_flipped_bit_is_noticed() {
        let record = Record::json(Topic::Impacts, "k".to_owned(), &"data").id("1".to_owned());
        let place = Place {
            base: 7,
            topic: Topic::Impacts,
            span: 1,
            prev: NO_BATCH,
            at: 5,
        };
        let mut batch = StoredBatch::seal(place, &[(0, &record)]).unwrap();
        assert_eq!(batch.open().unwrap()[0].record, record);
        for byte in 0..batch.body.len() {
            for bit in 0..8 {
                batch.body[byte] ^= 1 << bit;
                assert!(batch.open().is_err(), "byte {byte} bit {bit}");
                batch.body[byte] ^= 1 << bit;
            }
        }
        batch.base += 1;
        assert!(batch.open().is_err(), "moved");
    }
}
