//! What people said: previews that they recorded, which reports they want made again, and who is
//! who.

use rusqlite::{Transaction, params};

use super::{
    Lens, ProjectionError,
    people::{Seed, decide, person_of_preview},
    robots,
    touch::{Touched, touch_range},
};
use crate::domain::{Record, decision::PeopleDecision, preview::Preview, replay::Replay};

/// Takes one record in.
pub(super) fn take(
    db: &Transaction<'_>,
    record: &Record,
    lens: Lens<'_>,
    touched: &mut Touched,
) -> Result<(), ProjectionError> {
    match record.kind.as_str() {
        Preview::TYPE => {
            let preview: Preview = record.read()?;
            let email = lens.policy.identities.rules.spell(&preview.person);
            let body = String::from_utf8_lossy(&record.data);
            let news = db
                .prepare_cached("INSERT OR IGNORE INTO previews VALUES (?1, '', ?2, ?3)")?
                .execute(params![record.id, email.as_str(), body])?;
            if news > 0 {
                let person = person_of_preview(db, (&record.id, &preview), lens, touched)?;
                touched.insert(person);
            }
            Ok(())
        }
        Replay::TYPE => {
            let wish: Replay = record.read()?;
            touch_range(db, touched.cause, (wish.from, wish.to))
        }
        PeopleDecision::TYPE => decision(db, record, lens, touched),
        // A newer version may publish more.
        _ => Ok(()),
    }
}

/// Takes a decision in; of two about the same the later one counts, whichever came first.
fn decision(
    db: &Transaction<'_>,
    record: &Record,
    lens: Lens<'_>,
    touched: &mut Touched,
) -> Result<(), ProjectionError> {
    let decision: PeopleDecision = record.read()?;
    let key = decision.what.key();
    let news = db
        .prepare_cached(
            "INSERT INTO decisions VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (key) DO UPDATE SET decided_at = excluded.decided_at,
                 record = excluded.record, undone = excluded.undone, body = excluded.body
             WHERE (excluded.decided_at, excluded.record) > (decided_at, record)",
        )?
        .execute(params![
            key,
            decision.what.id(),
            decision.decided_at.as_microsecond(),
            record.id,
            decision.undone,
            String::from_utf8_lossy(&record.data),
        ])?;
    if news == 0 {
        return Ok(());
    }
    robots::decided(db, &decision, lens, touched)?;
    let mut seeds = Vec::new();
    for anchor in decision.what.anchors() {
        db.prepare_cached("INSERT OR IGNORE INTO decision_anchors VALUES (?1, ?2)")?
            .execute([&anchor.to_string(), &key])?;
        seeds.push(Seed::of(anchor, &lens.policy.identities));
    }
    decide(db, seeds, lens, touched)?;
    // A decision that moves nobody says something new all the same.
    for anchor in decision.what.anchors() {
        for person in robots::named(db, anchor, &lens.policy.identities)? {
            touched.insert(person);
        }
    }
    Ok(())
}
