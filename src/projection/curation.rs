//! What people said: previews that they recorded, and which reports they want made again.

use rusqlite::{Transaction, params};

use super::{
    Lens, ProjectionError,
    touch::{Touched, touch_range},
};
use crate::{
    correlation::identity::person_of,
    domain::{Record, preview::Preview, replay::Replay},
};

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
            let identities = &lens.policy.identities;
            let person = person_of(identities, "preview", None, Some(&preview.person));
            let body = String::from_utf8_lossy(&record.data);
            let news = db
                .prepare_cached("INSERT OR IGNORE INTO previews VALUES (?1, ?2, ?3)")?
                .execute(params![record.id, person, body])?;
            if news > 0 {
                touched.insert(person);
            }
            Ok(())
        }
        Replay::TYPE => {
            let wish: Replay = record.read()?;
            touch_range(db, touched.cause, (wish.from, wish.to))
        }
        // A newer version may publish more.
        _ => Ok(()),
    }
}
