//! Impacts, in little room.
//!
//! What the impacts of one change say is nearly the same. So the file keeps the first that was seen,
//! and of each no more than how it differs from that one (LZ4 with a dictionary): some 100 bytes where
//! there were 2,600, in the file and on the way into it.

use std::{borrow::Cow, collections::BTreeSet};

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_with_dict, uncompressed_size};
use rusqlite::{
    Connection, Transaction,
    functions::{Context, FunctionFlags},
    params,
};

use super::ProjectionError;
use crate::domain::Impact;

/// How many times its own length a block of LZ4 can become: a byte says that at most 255 follow.
const MOST_TIMES: usize = 256;

#[derive(Debug, thiserror::Error)]
#[error("the body of an impact is damaged; delete the file, it comes back")]
struct Damaged;

/// Takes impacts of one change in, each with its body; false when none is news.
pub(super) fn take<'a>(
    db: &Transaction<'_>,
    change: &str,
    impacts: impl Iterator<Item = (&'a Impact, Cow<'a, str>)>,
) -> Result<bool, ProjectionError> {
    let mut impacts = impacts.peekable();
    if let Some((_, first)) = impacts.peek() {
        db.prepare_cached("INSERT OR IGNORE INTO first_impacts (change, body) VALUES (?1, ?2)")?
            .execute([change, first])?;
    }
    let mut put = db.prepare_cached(
        "INSERT INTO impacts (change, id, revision, packed)
         SELECT ?1, ?2, ?3, packed(?4, body) FROM first_impacts WHERE change = ?1
         ON CONFLICT (change, id) DO UPDATE
         SET revision = excluded.revision, packed = excluded.packed
         WHERE excluded.revision > revision",
    )?;
    let mut places = BTreeSet::new();
    for (impact, body) in impacts {
        let id = impact.impact_id.to_string();
        if put.execute(params![change, id, impact.revision, body])? > 0 {
            places.insert((&impact.key.provider, &impact.key.project));
        }
    }
    for (provider, project) in &places {
        db.prepare_cached(
            "INSERT OR IGNORE INTO places (provider, project, change) VALUES (?1, ?2, ?3)",
        )?
        .execute([provider.as_str(), project.as_str(), change])?;
    }
    Ok(!places.is_empty())
}

/// Teaches a connection `packed(body, like)` and `unpacked(packed, like)`.
pub(super) fn teach(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    db.create_scalar_function("packed", 2, flags, |context| {
        let (body, like) = both(context)?;
        Ok(compress_prepend_size_with_dict(body, like))
    })?;
    db.create_scalar_function("unpacked", 2, flags, |context| {
        let (packed, like) = both(context)?;
        unpack(packed, like).ok_or_else(|| user(Damaged))
    })
}

fn unpack(packed: &[u8], like: &[u8]) -> Option<String> {
    let (size, block) = uncompressed_size(packed).ok()?;
    // Room is made for so much, whatever follows.
    if size > MOST_TIMES * block.len() {
        return None;
    }
    let body = decompress_with_dict(block, size, like).ok()?;
    String::from_utf8(body)
        .ok()
        .filter(|body| body.len() == size)
}

fn both<'a>(context: &'a Context<'_>) -> rusqlite::Result<(&'a [u8], &'a [u8])> {
    let bytes = |argument| context.get_raw(argument).as_bytes().map_err(user);
    Ok((bytes(0)?, bytes(1)?))
}

fn user(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(Box::new(error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::teach;

    fn taught() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        teach(&db).unwrap();
        db
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(body in ".{0,3000}", like in ".{0,3000}") {
            let back: String = taught()
                .query_row("SELECT unpacked(packed(?1, ?2), ?2)", [&body, &like], |row| row.get(0))
                .unwrap();
            prop_assert_eq!(back, body);
        }
    }

    #[test]
    fn what_is_like_another_takes_little_room() {
        let like = serde_json::to_string(&(0..500).collect::<Vec<_>>()).unwrap();
        let body = like.replacen("123", "one two three", 1);
        let length: i64 = taught()
            .query_row("SELECT length(packed(?1, ?2))", [&body, &like], |row| {
                row.get(0)
            })
            .unwrap();
        assert!(length < 64, "{length} of {}", body.len());
    }

    #[test]
    fn what_was_not_packed_is_refused() {
        let db = taught();
        let unpack = |what: &str| {
            let sql = format!("SELECT unpacked({what}, 'like')");
            db.query_row(&sql, [], |row| row.get::<_, String>(0))
        };
        assert_eq!(unpack("packed('alike', 'like')").unwrap(), "alike");
        // No bytes, too few, longer and shorter than it says, of a length that nobody has.
        let shorter = "x'090000001061'";
        let longer = "x'0100000050616c696b65'";
        for what in ["7", "x'0100'", longer, shorter, "x'ff0000ff00'"] {
            assert!(unpack(what).is_err(), "{what}");
        }
    }
}
