//! The use of keys. There is no "last used": it comes from the usage by accessor (days) and, for
//! keys with traffic, from the newest request.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

use super::{
    client::CallError,
    project::Reader,
    wire::{Breakdown, Requests},
};
use crate::domain::{KeyUse, whole_microseconds};

/// Why the use of keys is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoUsage {
    /// The usage cannot be read.
    #[error(transparent)]
    Call(#[from] CallError),
    /// That accessors are key ids is implied by the documentation, never said.
    #[error("there was use in these days, and none of it by a key that is listed")]
    ForeignAccessors,
}

/// The requests of one accessor, and the newest day with some.
#[derive(Default)]
struct Counted {
    requests: u64,
    newest: Option<Timestamp>,
}

/// The use of each of `keys` in the last 7 days. Usage is counted by whole days (UTC), so the day
/// that began up to 24 hours before counts in full.
pub(super) async fn read(
    reader: &Reader<'_>,
    project: &str,
    keys: &[&str],
) -> Result<BTreeMap<String, KeyUse>, NoUsage> {
    let now = reader.now;
    let week_ago = now.checked_sub(168.hours()).unwrap_or(now);
    let start = week_ago.to_zoned_datetime(TimeZone::UTC).date().to_string();
    let path = ["v1", "projects", project, "usage", "breakdown"];
    let query = [("grouping", "accessor"), ("start", start.as_str())];
    let breakdown: Breakdown = reader.client.get(reader.secret, &path, &query).await?;
    let counted = count(breakdown);
    if !counted.is_empty() && !keys.iter().any(|key| counted.contains_key(*key)) {
        return Err(NoUsage::ForeignAccessors);
    }
    let uses = keys.iter().map(|key| async {
        let last_used_at = match counted.get(*key) {
            Some(seen) => newest_request(reader, project, key).await.max(seen.newest),
            None => None,
        };
        let seen = KeyUse {
            as_of: now,
            requests_7d: counted.get(*key).map_or(0, |seen| seen.requests),
            last_used_at,
        };
        ((*key).to_owned(), seen)
    });
    Ok(join_all(uses).await.into_iter().collect())
}

fn count(breakdown: Breakdown) -> BTreeMap<String, Counted> {
    let mut all: BTreeMap<String, Counted> = BTreeMap::new();
    for used in breakdown.results {
        let requests = whole(used.requests);
        if let (Some(accessor), 1..) = (used.grouping.accessor, requests) {
            let counted = all.entry(accessor).or_default();
            counted.requests = counted.requests.saturating_add(requests);
            counted.newest = counted.newest.max(day(used.grouping.start.as_deref()));
        }
    }
    all
}

/// A count, which JSON may write as `12.0`; the conversion saturates.
fn whole(requests: f64) -> u64 {
    requests as u64
}

/// The first moment of a day.
fn day(text: Option<&str>) -> Option<Timestamp> {
    let date: Date = text?.get(..10)?.parse().ok()?;
    Some(date.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp())
}

/// When the newest request was made; absent: nothing says.
async fn newest_request(reader: &Reader<'_>, project: &str, key: &str) -> Option<Timestamp> {
    let path = ["v1", "projects", project, "requests"];
    let query = [("accessor", key), ("limit", "1")];
    let asked = reader.client.get::<Requests>(reader.secret, &path, &query);
    let found = asked
        .await
        .inspect_err(|why| tracing::debug!(project, key, %why, "the newest request is not known"));
    let times = found.ok()?.requests.into_iter();
    times
        .filter_map(|one| one.created?.parse().ok().map(whole_microseconds))
        .max()
}
