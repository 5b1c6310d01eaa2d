//! Copies one log into another, so that a company can move house.
//!
//! Records keep their topic, their key and the order within a key. How far it came is noted beside
//! the data, so that a copy that was interrupted goes on where it stopped.

mod cursors;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Entry, Log, LogError, Position};
use crate::domain::{Record, Topic};

/// The most records of one append.
const MOST: usize = 1000;

/// What identifies a record with all that is in it.
type Print = [u8; 32];

/// Why a copy did not come to its end. Running it again goes on where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the logs.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The note of how far it came.
    #[error("the note of how far the copy came, {path}: {reason}")]
    Note {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// How far a copy came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Positions of the source that are copied.
    pub done: u64,
    /// All of them.
    pub all: u64,
}

/// The records of a topic: how many, and a digest that does not depend on their order.
///
/// Of a topic that keeps the newest record of a key only, those are the ones that count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How many.
    pub records: u64,
    /// The sum of their hashes, in hexadecimal.
    pub digest: String,
}

/// What became of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Which.
    pub topic: Topic,
    /// What the source holds.
    pub source: Sum,
    /// What the target holds from where the copy began.
    pub target: Sum,
}

impl Copied {
    /// Whether the target holds what the source does, and nothing else.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.source == self.target
    }
}

/// Whoever goes on in the target where they were in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follow {
    /// The name of the group.
    pub group: String,
    /// What it reads.
    pub topics: Vec<Topic>,
}

/// What became of a group's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carried {
    /// It goes on where it was; of several partitions that became one, with the first record that
    /// was not done in any of them.
    Over,
    /// It had not begun, and begins at the beginning.
    Nowhere,
    /// The target held records of its topics, or its position, before the copy; it is as it was.
    Kept,
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Every topic.
    pub topics: Vec<Copied>,
    /// Every group, where all topics are whole.
    pub groups: Vec<(String, Carried)>,
}

/// How far a copy came, as it is noted.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    from: String,
    to: String,
    /// Everything before is copied.
    copied: Position,
    /// Where the target ended before the copy.
    began: Position,
    /// Where it ended behind what is copied.
    reached: Position,
}

/// Copies everything in `from` to the end of `to`, compares, and has `follow` go on there. `note` is a file that is there
/// while the copy is not complete; `tell` hears how far it came.
///
/// Nobody else may write into either log meanwhile.
///
/// # Errors
/// [`CopyError`]; the same call goes on where it stopped.
pub async fn copy(
    from: &dyn Log,
    to: &dyn Log,
    note: &Path,
    follow: &[Follow],
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<Done, CopyError> {
    let end = from.end()?;
    let mut at = match Note::read(note)? {
        Some(known) => known.of(from, to, note)?,
        None => Note::begin(from, to)?,
    };
    // An append that was cut off may have left its records.
    let mut there = prints(to, &at.reached).await?;
    at.write(note)?;
    let mut follower = from.follow(&Topic::ALL, &at.copied)?;
    while !at.copied.has_reached(&end) {
        let batch = follower.next(MOST).await?;
        let records = batch.entries.into_iter().map(|entry| entry.record);
        let absent: Vec<_> = records.filter(|one| !take(&mut there, one)).collect();
        if !absent.is_empty() {
            to.append(absent).await?;
        }
        for (partition, next) in batch.through.parts() {
            at.copied.advance(partition, next);
        }
        at.reached = to.end()?;
        at.write(note)?;
        tell(Progress {
            done: distance(&at.copied),
            all: distance(&end),
        });
    }
    let source = sums(from, &Position::default(), &end).await?;
    let target = sums(to, &at.began, &to.end()?).await?;
    let topics = compare(source, target);
    let mut groups = Vec::new();
    if topics.iter().all(Copied::is_whole) {
        for one in follow {
            let carried = cursors::carry(from, to, one, &at.began).await?;
            groups.push((one.group.clone(), carried));
        }
    }
    fs::remove_file(note).map_err(|error| unusable(note, &error))?;
    Ok(Done { topics, groups })
}

fn compare(mut source: BTreeMap<Topic, Sum>, mut target: BTreeMap<Topic, Sum>) -> Vec<Copied> {
    let copied = Topic::ALL.map(|topic| Copied {
        topic,
        source: source.remove(&topic).unwrap_or_default(),
        target: target.remove(&topic).unwrap_or_default(),
    });
    copied.into()
}

/// Whether a record is among those that are there already; it is then one less.
fn take(there: &mut HashMap<Print, u32>, record: &Record) -> bool {
    if there.is_empty() {
        return false;
    }
    let print = print(record);
    let Some(count) = there.get_mut(&print) else {
        return false;
    };
    *count -= 1;
    if *count == 0 {
        there.remove(&print);
    }
    true
}

/// What `log` holds behind `position`, and how often.
async fn prints(log: &dyn Log, position: &Position) -> Result<HashMap<Print, u32>, LogError> {
    let mut found = HashMap::new();
    let end = log.end()?;
    each(log, &Topic::ALL, position, &end, |entry| {
        *found.entry(print(&entry.record)).or_default() += 1;
    })
    .await?;
    Ok(found)
}

/// What `log` holds of each topic between two positions.
async fn sums(
    log: &dyn Log,
    position: &Position,
    end: &Position,
) -> Result<BTreeMap<Topic, Sum>, LogError> {
    let mut newest: BTreeMap<Topic, HashMap<String, Print>> = BTreeMap::new();
    let mut totals: BTreeMap<Topic, (u64, Print)> = BTreeMap::new();
    each(
        log,
        &Topic::ALL,
        position,
        end,
        |Entry { record, .. }| {
            let (topic, print) = (record.topic, print(&record));
            if topic.is_compacted() {
                let newest = newest.entry(topic).or_default();
                newest.insert(record.key, print);
            } else {
                let (count, total) = totals.entry(topic).or_default();
                *count += 1;
                add(total, &print);
            }
        },
    )
    .await?;
    for (topic, newest) in newest {
        let (count, total) = totals.entry(topic).or_default();
        for print in newest.into_values() {
            *count += 1;
            add(total, &print);
        }
    }
    let sums = totals.into_iter().map(|(topic, (records, total))| {
        let digest = hex::encode(total);
        (topic, Sum { records, digest })
    });
    Ok(sums.collect())
}

/// Reads `topics` from `position` until `end`.
async fn each(
    log: &dyn Log,
    topics: &[Topic],
    position: &Position,
    end: &Position,
    mut take: impl FnMut(Entry) + Send,
) -> Result<(), LogError> {
    let (mut position, end) = (position.clone(), &end.within(topics));
    if position.has_reached(end) {
        return Ok(());
    }
    let mut follower = log.follow(topics, &position)?;
    while !position.has_reached(end) {
        let batch = follower.next(MOST).await?;
        for (partition, next) in batch.through.parts() {
            position.advance(partition, next);
        }
        batch.entries.into_iter().for_each(&mut take);
    }
    Ok(())
}

/// The hash of all there is in a record.
fn print(record: &Record) -> Print {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(bytes.len().to_be_bytes());
        hash.update(bytes);
    };
    part(record.topic.name().as_bytes());
    for (name, value) in record.attributes() {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    part(&record.data);
    hash.finalize().into()
}

/// Adds two large numbers, without what flows over.
fn add(total: &mut Print, other: &Print) {
    let mut carry = false;
    for (left, right) in total.iter_mut().zip(other).rev() {
        let (sum, first) = left.overflowing_add(*right);
        let (sum, second) = sum.overflowing_add(u8::from(carry));
        *left = sum;
        carry = first || second;
    }
}

fn distance(position: &Position) -> u64 {
    position.parts().map(|(_, next)| next).sum()
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> CopyError {
    CopyError::Note {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

impl Note {
    fn begin(from: &dyn Log, to: &dyn Log) -> Result<Self, LogError> {
        let end = to.end()?;
        Ok(Self {
            from: from.identity(),
            to: to.identity(),
            copied: Position::default(),
            began: end.clone(),
            reached: end,
        })
    }

    fn read(path: &Path) -> Result<Option<Self>, CopyError> {
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| unusable(path, &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(path, &error)),
        }
    }

    /// The note, when it is about these logs.
    fn of(self, from: &dyn Log, to: &dyn Log, path: &Path) -> Result<Self, CopyError> {
        if (&*self.from, &*self.to) == (&*from.identity(), &*to.identity()) {
            return Ok(self);
        }
        let why = "it is of a copy between other logs that did not come to its end; finish that \
                   one, or delete the note";
        Err(unusable(path, &why))
    }

    /// Replaces the file as one step.
    fn write(&self, path: &Path) -> Result<(), CopyError> {
        let text = serde_json::to_vec(self).map_err(|error| unusable(path, &error))?;
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let new = PathBuf::from(name);
        let written = fs::File::create(&new).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_data()?;
            fs::rename(&new, path)
        });
        written.map_err(|error| unusable(path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::{Print, add};

    #[test]
    fn adding_carries_and_does_not_depend_on_the_order() {
        let number = |low: u8, high: u8| {
            let mut print: Print = [0; 32];
            (print[30], print[31]) = (high, low);
            print
        };
        let mut total = number(255, 0);
        add(&mut total, &number(1, 0));
        assert_eq!(total, number(0, 1));
        let mut full: Print = [255; 32];
        add(&mut full, &number(1, 0));
        assert_eq!(full, [0; 32]);
    }
}
