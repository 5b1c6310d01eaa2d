//! JSON as bytes.

use std::io;

use serde::Serialize;

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

/// `value` as JSON.
///
/// # Errors
/// The value has no form in JSON.
pub fn to_bytes<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut text = Text(Vec::with_capacity(256));
    serde_json::to_writer(&mut text, value)?;
    Ok(text.0)
}
