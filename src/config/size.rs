//! Sizes in a configuration: `"64MiB"`, or a number of bytes.

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, de::Error as _};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Bytes(u64),
    Text(String),
}

/// Reads a size, and says how to write one when it is none.
pub(super) fn read_size<'de, D: Deserializer<'de>>(from: D) -> Result<ByteSize, D::Error> {
    match Written::deserialize(from)? {
        Written::Bytes(bytes) => Ok(ByteSize::b(bytes)),
        Written::Text(text) => text
            .parse()
            .map_err(|_| D::Error::custom(format!("{text:?} is no size: write it like 64MiB"))),
    }
}
