//! People out of a file: one address a line, or CSV.
//!
//! The file is read three times: once to find every line that cannot be used, once to know who
//! leaves together, and once to report. Nothing of it is kept in memory.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use csv::{ReaderBuilder, StringRecord, Trim};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Context, Imagined, is_known};
use crate::{
    cli::output,
    correlation::Policy,
    domain::{ChangeKind, Email, Scope},
    inventory::import::{BadRow, moment},
};

/// How a file is written, for the help.
pub(super) const FORMAT: &str = "A file holds one address a line, or is CSV whose first line names its \
columns: email, and where there is something to say change, scope and at (2030-01-31 or \
2030-01-31T09:00:00Z). An empty field means what the flag says. Lines that begin with # and empty \
lines do not count. One line that cannot be used, and nothing is reported.";

const COLUMNS: [&str; 4] = ["email", "change", "scope", "at"];
/// The longest line, in bytes.
const LONGEST: u64 = 16 * 1024;
/// How many bad lines are named.
const MOST_NAMED: usize = 1000;

/// What a line means that does not say it.
#[derive(Debug)]
pub(super) struct Defaults<'a> {
    pub(super) change: ChangeKind,
    pub(super) scope: Scope,
    pub(super) at: Timestamp,
    /// Which providers there are.
    pub(super) policy: &'a Policy,
}

impl Defaults<'_> {
    pub(super) fn of(&self, email: &Email) -> Imagined {
        Imagined {
            email: email.clone(),
            change: self.change,
            scope: self.scope.clone(),
            at: self.at,
        }
    }
}

/// A file of which every line can be used.
#[derive(Debug)]
pub(super) struct People {
    path: PathBuf,
    digest: [u8; 32],
}

impl People {
    /// Reads the whole file and says of every bad line what is wrong.
    pub(super) fn check(
        path: &Path,
        defaults: &Defaults<'_>,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let (mut lines, mut bad) = (0_u64, 0_u64);
        let digest = each(path, |line, text, form| {
            let fault = match form {
                Ok(form) => form.read(text, defaults).err(),
                Err(why) => Some(why),
            };
            lines += 1;
            let Some(why) = fault else { return Ok(()) };
            bad += 1;
            if bad <= MOST_NAMED as u64 {
                complain_of(context, &BadRow { line, why })?;
            }
            Ok(())
        })?;
        let file = path.display();
        if bad > 0 {
            anyhow::bail!("{bad} of {lines} lines of {file} cannot be used; nothing is reported");
        }
        if lines == 0 {
            anyhow::bail!("{file} names nobody");
        }
        Ok(Self {
            path: path.to_owned(),
            digest,
        })
    }

    /// Gives `take` every line.
    pub(super) fn each(
        &self,
        defaults: &Defaults<'_>,
        mut take: impl FnMut(Imagined) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let changed = || format!("{} changed while it was read", self.path.display());
        let digest = each(&self.path, |_, text, form| {
            let form = form.map_err(anyhow::Error::msg).with_context(changed)?;
            let read = form.read(text, defaults).map_err(anyhow::Error::msg);
            take(read.with_context(changed)?)
        })?;
        anyhow::ensure!(digest == self.digest, changed());
        Ok(())
    }

    /// Gives `take` all lines, so many at a time.
    pub(super) fn chunks(
        &self,
        defaults: &Defaults<'_>,
        size: usize,
        mut take: impl FnMut(&[Imagined]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut some = Vec::with_capacity(size);
        self.each(defaults, |one| {
            some.push(one);
            if some.len() == size {
                take(&some)?;
                some.clear();
            }
            Ok(())
        })?;
        take(&some)
    }
}

fn complain_of(context: &Context, bad: &BadRow) -> anyhow::Result<()> {
    if context.output.json {
        return context.output.json(bad);
    }
    output::complain(&bad.to_string());
    Ok(())
}

/// What the lines of a file are.
#[derive(Debug, Clone)]
enum Form {
    /// One address each.
    Addresses,
    /// Fields, in the order of these columns.
    Table(Vec<&'static str>),
}

/// Gives `take` every line that counts, with its number, and what its form is or why there is
/// none; what tells the file from another.
fn each(
    path: &Path,
    mut take: impl FnMut(u64, &str, Result<&Form, String>) -> anyhow::Result<()>,
) -> anyhow::Result<[u8; 32]> {
    let unreadable = || format!("{} cannot be read", path.display());
    let mut file = BufReader::new(File::open(path).with_context(unreadable)?);
    let (mut bytes, mut number, mut form) = (Vec::new(), 0, None);
    let mut hash = Sha256::new();
    while next_line(&mut file, &mut bytes).with_context(unreadable)? {
        number += 1;
        hash.update(&bytes);
        let begin = if number == 1 { "\u{feff}" } else { "" };
        let text = match std::str::from_utf8(&bytes) {
            _ if bytes.len() as u64 >= LONGEST => Err(format!("it is longer than {LONGEST} bytes")),
            Ok(text) => Ok(text.strip_prefix(begin).unwrap_or(text).trim()),
            Err(_) => Err("it is not UTF-8".to_owned()),
        };
        let text = match text {
            Ok(text) if text.is_empty() || text.starts_with('#') => continue,
            Ok(text) => text,
            Err(why) => {
                take(number, "", Err(why))?;
                continue;
            }
        };
        match &form {
            Some(form) => take(number, text, Ok(form))?,
            None => match Form::of(text) {
                Ok(Some(table)) => form = Some(table),
                Ok(None) => take(number, text, Ok(form.insert(Form::Addresses)))?,
                Err(why) => {
                    take(number, text, Err(why))?;
                    // Without columns no line behind means anything.
                    break;
                }
            },
        }
    }
    Ok(hash.finalize().into())
}

/// Reads one line, and of one that is too long only the beginning is kept; false at the end.
fn next_line(file: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = file.by_ref().take(LONGEST).read_until(b'\n', line)?;
    if read as u64 == LONGEST && line.last() != Some(&b'\n') {
        file.skip_until(b'\n')?;
    }
    Ok(read > 0)
}

impl Form {
    /// What the first line that counts says of those behind; nothing: it is an address itself.
    fn of(first: &str) -> Result<Option<Self>, String> {
        let fields = fields(first)?;
        let names: Vec<String> = fields.iter().map(str::to_lowercase).collect();
        if !names.iter().any(|name| name == "email") {
            return Ok(None);
        }
        let mut columns: Vec<&'static str> = Vec::new();
        for name in names {
            match COLUMNS.into_iter().find(|known| *known == name) {
                None => {
                    let known = COLUMNS.join(", ");
                    return Err(format!(
                        "nobody knows the column {name:?}; known are {known}"
                    ));
                }
                Some(known) if columns.contains(&known) => {
                    return Err(format!("there are two columns {known:?}"));
                }
                Some(known) => columns.push(known),
            }
        }
        Ok(Some(Self::Table(columns)))
    }

    fn read(&self, text: &str, defaults: &Defaults<'_>) -> Result<Imagined, String> {
        let address = |text| Email::parse(text).map_err(|error| error.to_string());
        let columns = match self {
            Self::Table(columns) => columns,
            Self::Addresses if text.contains([',', ';', '\t']) => {
                let begin = COLUMNS.join(",");
                return Err(format!(
                    "it is more than an address; CSV has the line {begin} before it"
                ));
            }
            Self::Addresses => return Ok(defaults.of(&address(text)?)),
        };
        let fields = fields(text)?;
        if fields.len() != columns.len() {
            return Err(format!(
                "{} fields, where the first line has {}",
                fields.len(),
                columns.len()
            ));
        }
        let field = |name: &str| {
            let place = columns.iter().position(|known| *known == name)?;
            fields.get(place).filter(|text| !text.is_empty())
        };
        let mut one = defaults.of(&address(field("email").ok_or("email is empty")?)?);
        if let Some(change) = field("change") {
            one.change = change.parse()?;
        }
        if let Some(scope) = field("scope") {
            one.scope = scope
                .parse()
                .map_err(|error: crate::domain::scope::NotAScope| error.to_string())?;
            is_known(&one.scope, defaults.policy)?;
        }
        if let Some(at) = field("at") {
            one.at = moment("at", at)?;
        }
        Ok(one)
    }
}

/// The fields of one line.
fn fields(line: &str) -> Result<StringRecord, String> {
    if line.matches('"').count() % 2 == 1 {
        return Err("a quote is not closed".to_owned());
    }
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .trim(Trim::All)
        .buffer_capacity(line.len().max(1))
        .from_reader(line.as_bytes());
    let mut fields = StringRecord::new();
    reader
        .read_record(&mut fields)
        .map_err(|error| error.to_string())?;
    Ok(fields)
}
