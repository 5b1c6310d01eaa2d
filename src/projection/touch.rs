//! Which reports have to be made again because of what became known about others.

use rusqlite::{Transaction, params};

use super::ProjectionError;
use crate::domain::{ChangeKind, MembershipChange};

type Done = Result<(), ProjectionError>;

/// Marks the reports in which `person` takes keys over, or would if they did not leave.
pub(super) fn touch_taken_over(
    db: &Transaction<'_>,
    change: &MembershipChange,
    person: &str,
) -> Done {
    let since = match change.change {
        ChangeKind::Removed | ChangeKind::Suspended => change.effective_at,
        ChangeKind::LeaveScheduled => change.published_at.min(change.effective_at),
        // What it undoes may be older than everything known.
        ChangeKind::Joined | ChangeKind::Reinstated | ChangeKind::LeaveCancelled => {
            jiff::Timestamp::MIN
        }
        ChangeKind::RoleChanged | ChangeKind::Renamed => return Ok(()),
    };
    let mut places = db.prepare_cached(
        "SELECT members.provider, members.project FROM accounts
         JOIN members ON members.provider = accounts.system AND members.account = accounts.account
         WHERE accounts.person = ?1 AND members.leads",
    )?;
    let mut rows = places.query([person])?;
    while let Some(row) = rows.next()? {
        let (provider, project): (String, String) = (row.get(0)?, row.get(1)?);
        touch_project(db, &provider, &project, since.as_microsecond())?;
    }
    Ok(())
}

/// Marks the reports about keys of a project whose changes took effect at `since` (microseconds) or
/// later.
pub(super) fn touch_project(
    db: &Transaction<'_>,
    provider: &str,
    project: &str,
    since: i64,
) -> Done {
    db.prepare_cached(
        "INSERT OR IGNORE INTO stale
         SELECT DISTINCT changes.id FROM impacts JOIN changes ON changes.id = impacts.change
         WHERE impacts.provider = ?1 AND impacts.project = ?2 AND changes.effective_at >= ?3",
    )?
    .execute(params![provider, project, since])?;
    Ok(())
}
