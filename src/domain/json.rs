//! JSON as bytes.

use std::{cell::Cell, io};

use bytes::Bytes;
use serde::Serialize;

/// The most bytes that a thread keeps for what it writes next.
const MOST_KEPT: usize = 64 * 1024;

thread_local! {
    /// Where a thread writes before it is known how much it becomes.
    static DRAFT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Text that JSON is written to.
///
/// The writer of JSON hands over one quotation mark, colon or comma after the other; a vector takes
/// them as slices of any length, and that costs more than what they are about.
#[derive(Debug, Default)]
pub struct Text(pub Vec<u8>);

impl io::Write for Text {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match bytes {
            [byte] => self.0.push(*byte),
            several => self.0.extend_from_slice(several),
        }
        Ok(())
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `value` as JSON. Thousands of records wait at a time, so none keeps room that it does not need.
///
/// # Errors
/// The value has no form in JSON.
pub fn to_bytes<T: Serialize>(value: &T) -> serde_json::Result<Bytes> {
    let mut draft = Text(DRAFT.take());
    draft.0.clear();
    let written = serde_json::to_writer(&mut draft, value);
    let bytes = written.map(|()| Bytes::copy_from_slice(&draft.0));
    if draft.0.capacity() <= MOST_KEPT {
        DRAFT.set(draft.0);
    }
    bytes
}
