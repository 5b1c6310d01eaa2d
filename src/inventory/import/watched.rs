//! A file that remembers what was read of it, and on which line what begins.

use std::{collections::VecDeque, fs::File, io, io::Read};

use sha2::{Digest, Sha256};

/// A file that is read.
pub(super) struct Watched {
    file: File,
    hash: Sha256,
    lines: Lines,
}

impl Watched {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            hash: Sha256::new(),
            lines: Lines::default(),
        }
    }

    /// The number of the first line with anything on it that begins at `byte` or behind; never
    /// asked for an earlier one.
    pub(super) fn line_from(&mut self, byte: u64) -> u64 {
        self.lines.from(byte)
    }

    /// What tells what was read from anything else.
    pub(super) fn digest(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        self.hash.update(bytes);
        self.lines.take(bytes);
        Ok(count)
    }
}

/// Where lines begin. The CSV reader counts them too, but takes the end of a Windows line and
/// empty lines for a part of the row behind.
#[derive(Default)]
struct Lines {
    /// First byte and number of lines with anything on them, from the last one asked for on.
    begun: VecDeque<(u64, u64)>,
    /// How many bytes there were.
    bytes: u64,
    /// How many lines have ended.
    ended: u64,
    /// Where the line at hand begins.
    start: u64,
    /// Whether there is anything on it.
    has_begun: bool,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes += 1;
            match byte {
                b'\n' => {
                    self.ended += 1;
                    self.start = self.bytes;
                    self.has_begun = false;
                }
                b'\r' => {}
                _ if self.has_begun => {}
                _ => {
                    self.has_begun = true;
                    self.begun.push_back((self.start, self.ended + 1));
                }
            }
        }
    }

    fn from(&mut self, byte: u64) -> u64 {
        while self.begun.front().is_some_and(|(start, _)| *start < byte) {
            self.begun.pop_front();
        }
        self.begun.front().map_or(self.ended + 1, |(_, line)| *line)
    }
}
