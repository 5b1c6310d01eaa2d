//! The first reading: which rows cannot be used.

use std::{collections::HashMap, fs::File, io, path::Path};

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::{BadRow, Import, ImportError, Row, columns::Columns, watched::Watched};
use crate::domain::{Account, id::content_id};

/// What the first reading found.
#[derive(Debug)]
pub struct Checked {
    /// How many rows there are.
    pub rows: u64,
    /// The first of those that cannot be used.
    pub bad: Vec<BadRow>,
    /// How many of those there are.
    pub bad_rows: u64,
    /// What tells this file from another.
    pub(super) digest: [u8; 32],
}

/// How many bad rows are named; a file that is wrong throughout would name all.
const MOST_NAMED: usize = 1000;

/// Reads the whole file and says what of it cannot be used.
///
/// # Errors
/// [`ImportError`] when it cannot be read, or its first line names the wrong columns.
pub fn check(import: &Import<'_>) -> Result<Checked, ImportError> {
    let mut seen = Seen::default();
    let mut bad = Vec::new();
    let mut bad_rows = 0;
    let (rows, digest) = each(import, |line, row| {
        let fault = row.and_then(|row| seen.add(line, &row));
        if let Err(why) = fault {
            bad_rows += 1;
            if bad.len() < MOST_NAMED {
                bad.push(BadRow { line, why });
            }
        }
        Ok(())
    })?;
    Ok(Checked {
        rows,
        bad,
        bad_rows,
        digest,
    })
}

/// Gives `take` every row, with the line it begins on; how many there were, and what tells the
/// file from another.
pub(super) fn each(
    import: &Import<'_>,
    mut take: impl FnMut(u64, Result<Row, String>) -> Result<(), ImportError>,
) -> Result<(u64, [u8; 32]), ImportError> {
    let unreadable = |error: io::Error| unreadable(import.file, &error);
    let file = File::open(import.file).map_err(unreadable)?;
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .from_reader(Watched::new(file));
    let columns = header(&mut reader, import.file)?;
    let (mut row, mut rows) = (ByteRecord::new(), 0);
    while reader
        .read_byte_record(&mut row)
        .map_err(|error| unreadable(error.into()))?
    {
        rows += 1;
        let begin = row.position().map_or(0, csv::Position::byte);
        let line = reader.get_mut().line_from(begin);
        take(line, Row::read(&row, &columns, import))?;
    }
    Ok((rows, reader.into_inner().digest()))
}

fn header(reader: &mut Reader<Watched>, file: &Path) -> Result<Columns, ImportError> {
    let first = reader
        .byte_headers()
        .map_err(|error| unreadable(file, &error.into()))?;
    let columns = if first.is_empty() {
        Err("it is empty".to_owned())
    } else {
        Columns::of(first)
    };
    columns.map_err(|why| ImportError::Header {
        file: file.to_owned(),
        why,
    })
}

fn unreadable(file: &Path, error: &io::Error) -> ImportError {
    ImportError::Unreadable {
        file: file.to_owned(),
        why: error.to_string(),
    }
}

/// What the rows until now said, so that none contradicts them.
#[derive(Default)]
struct Seen {
    /// The line of each key, by a digest: a million of them are some 40 MB.
    keys: HashMap<u128, u64>,
    accounts: HashMap<String, (Account, u64)>,
    projects: HashMap<String, (String, u64)>,
}

impl Seen {
    fn add(&mut self, line: u64, row: &Row) -> Result<(), String> {
        let key = &row.key;
        if let Some(before) = self.keys.insert(key_digest(&row.project, &key.id), line) {
            return Err(format!(
                "the key {:?} of this project stands in line {before} already",
                key.id
            ));
        }
        let creator = &key.creator;
        match self.accounts.get(&creator.id) {
            None => {
                self.accounts
                    .insert(creator.id.clone(), (creator.clone(), line));
            }
            Some((known, before)) if known != creator => {
                return Err(format!(
                    "the creator {:?} has another address or name in line {before}",
                    creator.id
                ));
            }
            Some(_) => {}
        }
        let Some(name) = &row.project_name else {
            return Ok(());
        };
        match self.projects.get(&row.project) {
            None => {
                self.projects
                    .insert(row.project.clone(), (name.clone(), line));
                Ok(())
            }
            Some((known, before)) if known != name => Err(format!(
                "the project {:?} has another name in line {before}",
                row.project
            )),
            Some(_) => Ok(()),
        }
    }
}

/// Tells one key of a provider from the others.
pub(super) fn key_digest(project: &str, key: &str) -> u128 {
    content_id(&[project.as_bytes(), key.as_bytes()]).as_u128()
}
