//! Writes down who is who.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::{
    super::{
        Lens, ProjectionError,
        touch::{Touched, touch_led_by},
    },
    closure::{Closure, Seed},
};
use crate::correlation::people::{Fold, Holder, Subject, Whose, fold};

type Done = Result<(), ProjectionError>;

/// Folds everything that `seeds` touch, and notes whose reports that changes.
pub(super) fn settle(
    db: &Transaction<'_>,
    seeds: Vec<Seed>,
    lens: Lens<'_>,
    touched: &mut Touched,
) -> Done {
    let closure = Closure::of(db, seeds, &lens.policy.identities)?;
    let mut forget = db.prepare_cached("DELETE FROM addresses WHERE email = ?1")?;
    for email in closure.emails() {
        forget.execute([email.as_str()])?;
    }
    let fold = fold(&closure.facts());
    let mut news = News::default();
    news.accounts(db, &fold)?;
    news.subjects(db, &fold)?;
    holders(db, &fold)?;
    for person in &news.moved {
        touch_led_by(db, touched.cause, person, i64::MIN)?;
    }
    news.people
        .into_iter()
        .for_each(|person| touched.insert(person));
    Ok(())
}

/// Everybody of whom something is theirs now that was not, or the other way round.
#[derive(Default)]
struct News {
    people: BTreeSet<String>,
    /// Those of them between whom something went over, which they may have taken over from others.
    moved: BTreeSet<String>,
}

impl News {
    fn accounts(&mut self, db: &Transaction<'_>, fold: &Fold) -> Done {
        let mut write = db.prepare_cached(
            "UPDATE accounts SET person = ?3, plain = ?4 WHERE system = ?1 AND account = ?2",
        )?;
        let sql = "SELECT person FROM accounts WHERE system = ?1 AND account = ?2";
        for ((system, account), whose) in &fold.accounts {
            let name = named(db, whose)?;
            self.moved(db, sql, &[system, account], &name)?;
            write.execute(params![system, account, name, fold.is_plain])?;
        }
        Ok(())
    }

    fn subjects(&mut self, db: &Transaction<'_>, fold: &Fold) -> Done {
        for (subject, whose) in &fold.subjects {
            let name = named(db, whose)?;
            let (id, read, write) = match subject {
                Subject::Change(id) => (
                    id,
                    "SELECT person FROM changes WHERE id = ?1",
                    "UPDATE changes SET person = ?2 WHERE id = ?1",
                ),
                Subject::Preview(id) => (
                    id,
                    "SELECT person FROM previews WHERE id = ?1",
                    "UPDATE previews SET person = ?2 WHERE id = ?1",
                ),
                Subject::Inventory => continue,
            };
            if self.moved(db, read, &[id], &name)? {
                db.prepare_cached(write)?.execute([id, &name])?;
            }
        }
        Ok(())
    }

    /// Whether what `sql` finds is somebody else's than `name`'s; remembers both then.
    fn moved(
        &mut self,
        db: &Transaction<'_>,
        sql: &str,
        of: &[&String],
        name: &str,
    ) -> Result<bool, ProjectionError> {
        let mut rows = db.prepare_cached(sql)?;
        let mut rows = rows.query(rusqlite::params_from_iter(of))?;
        let Some(row) = rows.next()? else {
            return Ok(false);
        };
        let before: String = row.get(0)?;
        if before == name {
            return Ok(false);
        }
        if !before.is_empty() {
            self.moved.extend([before.clone(), name.to_owned()]);
            self.people.insert(before);
        }
        self.people.insert(name.to_owned());
        Ok(true)
    }
}

/// The name; notes who is meant where two can be.
fn named(db: &Transaction<'_>, whose: &Whose) -> Result<String, ProjectionError> {
    let name = whose.name();
    if let Whose::Perhaps(candidates) = whose {
        let mut note = db.prepare_cached("INSERT OR IGNORE INTO ambiguous VALUES (?1, ?2)")?;
        for candidate in candidates {
            note.execute([&name, candidate])?;
        }
    }
    Ok(name)
}

fn holders(db: &Transaction<'_>, fold: &Fold) -> Done {
    let mut write =
        db.prepare_cached("INSERT OR REPLACE INTO addresses VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for holder in &fold.holders {
        write.execute(params![
            holder.email.as_str(),
            holder.since.map_or(i64::MIN, Timestamp::as_microsecond),
            holder.until.map(Timestamp::as_microsecond),
            holder.person,
            fold.is_plain
        ])?;
        for at in [holder.since, holder.until] {
            let alive = fold.holders.iter().filter(|other| has(other, holder, at));
            let whose = Whose::of(alive.map(|one| one.person.clone()).collect());
            named(db, &whose)?;
        }
    }
    Ok(())
}

/// Whether `other` has the address of `holder` at `at`.
fn has(other: &Holder, holder: &Holder, at: Option<Timestamp>) -> bool {
    let ended = other
        .until
        .is_some_and(|until| at.is_some_and(|at| until <= at));
    other.email == holder.email && other.since <= at && !ended
}
