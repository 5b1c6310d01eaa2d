//! Keys of providers without a connector, out of a CSV file.
//!
//! The file is read twice: once to find every row that cannot be used, and only when there is none
//! a second time to publish what is news, in batches, as the poller does. A file tells of keys and
//! of who made them, and of no membership: nobody is taken for gone.

mod check;
mod columns;
mod publish;
mod row;
#[cfg(test)]
mod tests;
mod watched;

use std::path::PathBuf;

use jiff::Timestamp;

pub use self::{
    check::{Checked, check},
    columns::{OPTIONAL, REQUIRED},
    publish::{Done, publish},
    row::{Row, moment},
};
use crate::{catalogue::Catalogue, log::LogError, projection::ProjectionError};

/// What is imported, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    /// The file.
    pub file: &'a std::path::Path,
    /// The configured name of the provider.
    pub provider: &'a str,
    /// The kind, as the catalogue names it.
    pub kind: &'a str,
    /// Which classes there are.
    pub catalogue: &'a Catalogue,
    /// When the file was so.
    pub now: Timestamp,
    /// Whether a key that the file lacks is gone.
    pub is_complete: bool,
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BadRow {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

impl std::fmt::Display for BadRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Why nothing, or not everything, was taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not there, or cannot be read.
    #[error("{file} cannot be read: {why}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The first line does not name the columns that it must.
    #[error("{file}: {why}")]
    Header {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is not the file any more that was checked.
    #[error("{0} changed while it was read; import it again")]
    Changed(PathBuf),
    /// The log says no. What was published is repeated by the next import.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What is known cannot be read.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}
