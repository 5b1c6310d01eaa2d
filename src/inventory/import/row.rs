//! One row: one key.

use csv::ByteRecord;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

use super::{Import, columns::Columns};
use crate::{
    domain::{Account, Email, KeyUse},
    inventory::SeenKey,
};

/// The longest name or id, in bytes.
const LONGEST: usize = 512;
/// Words that part a record's key into its fields, and must not be one of them.
const TAKEN: [&str; 3] = ["key", "member", "project"];

/// One row: one key, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The project's id.
    pub project: String,
    /// The project's name, where the row says one.
    pub project_name: Option<String>,
    /// The key.
    pub key: SeenKey,
}

impl Row {
    /// Reads one row.
    pub(super) fn read(
        row: &ByteRecord,
        columns: &Columns,
        import: &Import<'_>,
    ) -> Result<Self, String> {
        if row.len() != columns.count() {
            return Err(format!(
                "{} fields, where the first line has {}",
                row.len(),
                columns.count()
            ));
        }
        let field = |name| columns.field(row, name);
        let needed = |name| field(name)?.ok_or_else(|| format!("{name} is empty"));
        let moment = |name| field(name)?.map(|text| moment(name, text)).transpose();
        let class = needed("class")?;
        let classes = import.catalogue.provider(import.kind);
        if classes.and_then(|known| known.class(class)).is_none() {
            let kind = import.kind;
            return Err(format!(
                "{kind} has no class {class:?}; `offkey catalogue show {kind}` lists them"
            ));
        }
        let email = field("creator_email")?.map(Email::parse).transpose();
        Ok(Self {
            project: id("project", needed("project")?)?,
            project_name: field("project_name")?.map(short).transpose()?,
            key: SeenKey {
                id: id("key", needed("key")?)?,
                label: field("label")?.map(short).transpose()?.unwrap_or_default(),
                class: class.to_owned(),
                creator: Account {
                    id: short(needed("creator")?)?,
                    email: email.map_err(|error| format!("creator_email: {error}"))?,
                    name: field("creator_name")?.map(short).transpose()?,
                },
                scopes: words(field("scopes")?),
                tags: words(field("tags")?),
                created_at: moment("created_at")?,
                expires_at: moment("expires_at")?,
                usage: usage(field("requests_7d")?, moment("last_used_at")?, import.now)?,
            },
        })
    }
}

/// An id is a part of a record's key, so that it must be told from what stands around it.
fn id(name: &str, text: &str) -> Result<String, String> {
    let mut parts = text.split('/');
    if name == "project" && parts.any(|part| part.is_empty() || TAKEN.contains(&part)) {
        return Err(format!(
            "{text:?} cannot be a project: no part of it may be empty or one of {}",
            TAKEN.join(", ")
        ));
    }
    short(text)
}

fn short(text: &str) -> Result<String, String> {
    if text.len() > LONGEST {
        let begin: String = text.chars().take(20).collect();
        return Err(format!("{begin:?}... is longer than {LONGEST} bytes"));
    }
    Ok(text.to_owned())
}

/// Words between blanks, commas or semicolons, sorted.
fn words(text: Option<&str>) -> Vec<String> {
    let parts = text.unwrap_or_default().split([' ', ',', ';']);
    let mut words: Vec<String> = parts
        .filter(|word| !word.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// A moment (RFC 3339), or a day, which is its first moment in UTC.
///
/// # Errors
/// How to write it, when `text` in the column `name` is neither.
pub fn moment(name: &str, text: &str) -> Result<Timestamp, String> {
    let day = || {
        TimeZone::UTC
            .to_timestamp(text.parse::<Date>().ok()?.at(0, 0, 0, 0))
            .ok()
    };
    let moment = text.parse::<Timestamp>().ok();
    moment
        .or_else(day)
        .ok_or_else(|| format!("{name} is {text:?}; write 2030-01-31 or 2030-01-31T09:00:00Z"))
}

/// Of a key that was used in the last 7 days, nobody says how often: at least once.
fn usage(
    requests: Option<&str>,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<KeyUse>, String> {
    let counted = requests.map(|text| {
        let wrong = |_| format!("requests_7d is {text:?}; write a whole number");
        text.parse::<u64>().map_err(wrong)
    });
    let week = SignedDuration::from_hours(7 * 24);
    let once = last.map(|last| u64::from(now.duration_since(last) < week));
    let requests_7d = counted.transpose()?.or(once);
    Ok(requests_7d.map(|requests_7d| KeyUse {
        as_of: now,
        requests_7d,
        last_used_at: last,
    }))
}
