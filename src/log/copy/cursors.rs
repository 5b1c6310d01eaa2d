//! Carries the positions of groups over.

use std::collections::HashSet;

use super::{Carried, Follow, Print, each, print};
use crate::log::{Log, LogError, Member, Position};

/// Has a group go on in `to`, which ended at `began` before the copy, where it is in `from`.
pub(super) async fn carry(
    from: &dyn Log,
    to: &dyn Log,
    follow: &Follow,
    began: &Position,
) -> Result<Carried, LogError> {
    let cursor = from.cursor(&follow.group, &follow.topics)?;
    if is_nothing(&cursor) {
        return Ok(Carried::Nowhere);
    }
    let known = to.cursor(&follow.group, &follow.topics)?;
    // What was in the target before is not passed over, and nobody is put back.
    if !is_nothing(&known) || holds_anything(to, follow, began).await? {
        return Ok(Carried::Kept);
    }
    let left = left_of(from, follow, &cursor).await?;
    let goal = first_of(to, follow, began, &left).await?;
    let mut member = to.join(&follow.group, &follow.topics)?;
    commit(member.as_mut(), &goal).await?;
    Ok(Carried::Over)
}

fn is_nothing(position: &Position) -> bool {
    position.parts().all(|(_, next)| next == 0)
}

/// Whether `log` has records that the group would read before `end`.
async fn holds_anything(log: &dyn Log, follow: &Follow, end: &Position) -> Result<bool, LogError> {
    let mut found = false;
    let start = Position::default();
    let end = end.clone();
    if !is_nothing(&end.within(&follow.topics)) {
        each(log, &follow.topics, &start, &end, |entry| {
            found |= entry.offset < end.next_in(entry.partition);
        })
        .await?;
    }
    Ok(found)
}

/// What the group has not done.
async fn left_of(
    log: &dyn Log,
    follow: &Follow,
    cursor: &Position,
) -> Result<HashSet<Print>, LogError> {
    let mut left = HashSet::new();
    let end = log.end()?;
    each(log, &follow.topics, cursor, &end, |entry| {
        if entry.offset >= cursor.next_in(entry.partition) {
            left.insert(print(&entry.record));
        }
    })
    .await?;
    Ok(left)
}

/// Per partition the first of `left`; where there is none, the end.
async fn first_of(
    log: &dyn Log,
    follow: &Follow,
    began: &Position,
    left: &HashSet<Print>,
) -> Result<Position, LogError> {
    let end = log.end()?.within(&follow.topics);
    let mut first = Position::default();
    each(log, &follow.topics, began, &end, |entry| {
        if first.next_in(entry.partition) == 0 && left.contains(&print(&entry.record)) {
            // One more, so that the first offset counts as found.
            first.advance(entry.partition, entry.offset + 1);
        }
    })
    .await?;
    let goal = end.parts().map(|(partition, end)| {
        let found = first.next_in(partition).checked_sub(1);
        (partition, found.unwrap_or(end))
    });
    Ok(goal.collect::<Vec<_>>().into())
}

/// Commits as the only member, when it holds everything.
async fn commit(member: &mut dyn Member, goal: &Position) -> Result<(), LogError> {
    loop {
        while member.share().held.len() < goal.parts().count() {
            member.moved().await;
        }
        match member.commit(goal, Vec::new()).await {
            Err(LogError::Moved) => {}
            done => return done,
        }
    }
}
