//! The local read model: a fold over the log in a SQLite file that may be deleted at any time.
//!
//! The position in the log is stored in the same transaction as the rows it stands for.

mod apply;
mod awaited;
mod care;
mod curation;
mod file;
mod history;
mod impacts;
mod people;
pub mod read;
mod robots;
mod touch;
mod unread;
mod unsynced;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rusqlite::{Connection, params};

pub use self::awaited::Waits;
pub use self::file::open_reader;
pub(crate) use self::unread::parts_read_back;
use self::{
    care::Care,
    file::{connect, meta, put_meta, stamp, usable},
};
use crate::{
    catalogue::Catalogue,
    correlation::{PersonHistory, Policy, Published},
    domain::{
        ChangeId, MembershipChange, Record, Report, Topic, quarantine::Quarantined,
        record::UnreadableRecord,
    },
    log::{Batch, Position},
};

/// The most of our own records whose reading back is waited for. A process that lost its share of
/// the work may never read some.
const MOST_OWN: usize = 1 << 17;
/// Under which name it is noted which parts are judged here.
const HELD: &str = "held";
const SCHEMA: &str = include_str!("schema.sql");

/// The operator's words by which the log is read: whose account is whose, who leads.
#[derive(Debug, Clone, Copy)]
pub struct Lens<'a> {
    /// Links and providers.
    pub policy: &'a Policy,
    /// Roles.
    pub catalogue: &'a Catalogue,
}

/// Why the projection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// SQLite said no.
    #[error("the projection failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file or its folder cannot be used.
    #[error("the projection {path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        reason: std::io::Error,
    },
    /// A record is not what its type promises.
    #[error(transparent)]
    Record(#[from] UnreadableRecord),
    /// A row is not what we wrote; deleting the file mends it.
    #[error("a row of the projection cannot be read ({0}); delete the file, it comes back")]
    Row(#[from] serde_json::Error),
}

impl ProjectionError {
    /// Whether the same call can succeed once there is room on the disk.
    #[must_use]
    pub fn is_out_of_space(&self) -> bool {
        let Self::Sqlite(error) = self else {
            return false;
        };
        error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
    }
}

/// Changes whose reports have to be made.
#[derive(Debug)]
pub struct Waiting {
    /// Those that come first.
    pub stale: Vec<Stale>,
    /// Whether there are no more than these.
    pub is_all: bool,
}

/// A change whose report has to be made.
#[derive(Debug)]
pub struct Stale {
    /// Which.
    pub change: MembershipChange,
    /// The number of the partition it lies in.
    pub part: u32,
    /// The key of the partition its outcome and impacts go to.
    pub partition_key: String,
    /// Everything known of its person.
    pub history: Arc<PersonHistory>,
    /// What was said about it already.
    pub published: Published,
    /// Of each of its deadlines, when the latest reminder that was given was due.
    pub reminded: BTreeMap<Timestamp, Timestamp>,
}

/// What is said about one change, and is in the log.
#[derive(Debug)]
pub struct Said {
    /// The news; absent: nothing but what fell due.
    pub report: Option<Report>,
    /// The records of its impacts, in their order, and of its outcome.
    pub records: Vec<Record>,
    /// The records of what fell due.
    pub due: Vec<Record>,
}

/// The projection, open for writing.
pub struct Projection {
    db: Connection,
    /// The ids of what we put out and took in, and the log will give us to read.
    own: HashSet<String>,
    /// The ids of the outcomes that were said last, by partition, and not read back yet.
    unread: BTreeMap<u32, String>,
    care: Option<Care>,
}

impl Projection {
    /// Opens the projection in `folder`, and begins anew when the one there was built by another
    /// version, from another log or through another lens.
    ///
    /// # Errors
    /// [`ProjectionError`] when the file cannot be used.
    pub fn open(folder: &Path, log: &str, lens: Lens<'_>) -> Result<Self, ProjectionError> {
        let path = Self::file_in(folder);
        let stamp = stamp(log, lens);
        let db = match usable(&path, &stamp) {
            Ok(Some(db)) => db,
            broken_or_other => {
                if let Err(error) = broken_or_other {
                    tracing::warn!(%error, "the projection is broken; building it anew");
                }
                Self::delete(folder)?;
                let db = connect(&path)?;
                db.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;"))?;
                put_meta(&db, "stamp", &stamp)?;
                db
            }
        };
        let synchronous = unsynced::begin(&db)?;
        db.pragma_update(None, "synchronous", synchronous)?;
        let projection = Self {
            unread: unread::all(&db)?,
            db,
            own: HashSet::new(),
            care: Some(Care::start(&path, synchronous)?),
        };
        projection.heed(lens.policy)?;
        Ok(projection)
    }

    /// Deletes the projection in `folder`.
    ///
    /// # Errors
    /// [`ProjectionError::File`] when the file is there and stays.
    pub fn delete(folder: &Path) -> Result<(), ProjectionError> {
        for suffix in ["", "-wal", "-shm"] {
            let mut name = Self::file_in(folder).into_os_string();
            name.push(suffix);
            let path = PathBuf::from(name);
            match fs::remove_file(&path) {
                Err(reason) if reason.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ProjectionError::File { path, reason });
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Where the projection of `folder` lies.
    #[must_use]
    pub fn file_in(folder: &Path) -> PathBuf {
        folder.join("projection.db")
    }

    /// How far the log has been read.
    ///
    /// # Errors
    /// [`ProjectionError`] when the file cannot be read.
    pub fn position(&self) -> Result<Position, ProjectionError> {
        position(&self.db)
    }

    /// Takes in what the log holds next, rows and position in one step.
    ///
    /// # Errors
    /// [`ProjectionError`]; then nothing of the batch was taken in.
    pub fn apply(&mut self, batch: &Batch, lens: Lens<'_>) -> Result<(), ProjectionError> {
        let mut position = self.position()?;
        for (partition, next) in Vec::from(batch.through.clone()) {
            position.advance(partition, next);
        }
        let transaction = self.db.transaction()?;
        let own = &self.own;
        let is_news = |record: &Record| !is_own(own, record);
        let entries = batch.entries.iter().filter(|entry| is_news(&entry.record));
        let entries = entries.map(|entry| {
            let at = (entry.partition, entry.offset + 1);
            (&entry.record, at)
        });
        apply::apply(&transaction, entries, lens)?;
        let read = parts_read_back(&self.unread, &batch.entries);
        unread::forget(&transaction, &read)?;
        put_meta(&transaction, "position", &serde_json::to_string(&position)?)?;
        transaction.commit()?;
        self.unread.retain(|part, _| !read.contains(part));
        for entry in &batch.entries {
            if is_own(&self.own, &entry.record) {
                self.own.remove(&entry.record.id);
            }
        }
        Ok(())
    }

    /// The changes in `parts` whose report has to be made, `besides` some, and some for which
    /// something fell due up to `now`: at most about `most`, and fewer who have very many keys.
    ///
    /// # Errors
    /// [`ProjectionError`] when the file cannot be read.
    pub fn stale(
        &self,
        parts: &[u32],
        besides: &[ChangeId],
        most: usize,
        now: Timestamp,
    ) -> Result<Waiting, ProjectionError> {
        // One transaction: otherwise every question takes the file's lock and lets it go.
        let transaction = self.db.unchecked_transaction()?;
        history::stale(&transaction, parts, besides, most, now)
    }

    /// What was in `parts`, cannot be used, and has to go to quarantine.
    ///
    /// # Errors
    /// [`ProjectionError`] when the file cannot be read.
    pub fn rejects(&self, parts: &[u32]) -> Result<Vec<Quarantined>, ProjectionError> {
        let sql = "SELECT body FROM rejects WHERE part IN (SELECT value FROM json_each(?1))
                   ORDER BY id";
        history::bodies(&self.db, sql, [serde_json::to_string(parts)?])
    }

    /// The ids of the outcomes that were said last, by partition, and not read back yet: brokers can
    /// lose what they acknowledged. When all is read that the log held then, what is left is lost.
    #[must_use]
    pub const fn unread(&self) -> &BTreeMap<u32, String> {
        &self.unread
    }

    /// Notes that somebody made every report of the changes in `part` that was due when the log
    /// had been read up to `settled`; a change without an outcome has none, whatever they say.
    ///
    /// # Errors
    /// [`ProjectionError`]; then nothing was noted.
    pub fn forget_settled(&mut self, part: u32, settled: &Position) -> Result<(), ProjectionError> {
        let transaction = self.db.transaction()?;
        for (cause, next) in settled.parts() {
            transaction
                .prepare_cached(
                    "DELETE FROM stale WHERE part = ?1 AND cause = ?2 AND next <= ?3
                     AND EXISTS (SELECT 1 FROM outcomes WHERE outcomes.change = stale.change)",
                )?
                .execute(params![part, cause.to_string(), next.cast_signed()])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Notes that this process judges the changes in `parts`, and others those elsewhere.
    ///
    /// # Errors
    /// [`ProjectionError`] when the file cannot be written.
    pub fn hold(&self, parts: &[u32]) -> Result<(), ProjectionError> {
        Ok(put_meta(&self.db, HELD, &serde_json::to_string(parts)?)?)
    }

    /// Notes that the reports of `done` are made and what they wait for, and that what is `said` and
    /// what is `refused` is in the log.
    ///
    /// # Errors
    /// [`ProjectionError`]; then nothing was noted.
    pub fn settle(
        &mut self,
        done: &[Waits],
        said: &[Said],
        refused: &[Record],
        lens: Lens<'_>,
    ) -> Result<(), ProjectionError> {
        let transaction = self.db.transaction()?;
        let refused = refused.iter().map(|record| (record, touch::OUR_OUTPUT));
        apply::apply(&transaction, refused, lens)?;
        for one in said {
            apply::say(&transaction, one)?;
        }
        for one in done {
            transaction
                .prepare_cached("DELETE FROM stale WHERE part = ?1 AND change = ?2")?
                .execute(params![one.part, one.change.to_string()])?;
            awaited::note(&transaction, one)?;
        }
        let latest = unread::latest(done, said);
        unread::note(&transaction, &latest)?;
        transaction.commit()?;
        self.unread.extend(latest);
        if self.own.len() > MOST_OWN {
            self.own.clear();
        }
        let records = said
            .iter()
            .flat_map(|one| one.records.iter().chain(&one.due));
        self.own.extend(records.map(|record| record.id.clone()));
        Ok(())
    }

    /// A reader of the projection, for queries while it is written.
    #[must_use]
    pub fn reader(&self) -> read::Reader<'_> {
        read::Reader::new(&self.db)
    }
}

impl Drop for Projection {
    fn drop(&mut self) {
        drop(self.care.take());
        if let Err(error) = unsynced::end(&self.db) {
            tracing::warn!(%error, "the projection could not be synced");
        }
    }
}

/// Whether the record is one that we put out and have taken in.
fn is_own(own: &HashSet<String>, record: &Record) -> bool {
    matches!(record.topic, Topic::Outcomes | Topic::Impacts) && own.contains(&record.id)
}

fn position(db: &Connection) -> Result<Position, ProjectionError> {
    let text = meta(db, "position")?;
    Ok(text
        .map(|text| serde_json::from_str(&text))
        .transpose()?
        .unwrap_or_default())
}
