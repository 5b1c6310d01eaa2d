//! Who was in which group when.

use jiff::Timestamp;

use super::place::Gift;
use crate::{
    correlation::ownership::{PersonHistory, includes, spoken},
    domain::{ChangeId, ChangeKind, MembershipChange, Scope},
};

/// Whether somebody is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    In,
    /// They left everything and came back, and nobody said whether to this group.
    Perhaps,
    Out,
}

/// Whether the person was in the group of `gift` when `change` happened.
///
/// Who is put into one group and taken out of another at the same moment is in the first by then.
pub(super) fn presence(
    history: &PersonHistory,
    change: &MembershipChange,
    gift: Gift<'_>,
) -> Presence {
    let mut before: Vec<&MembershipChange> = history
        .changes
        .iter()
        .filter(|other| {
            let comes_in = is_of(other, gift) && other.change == ChangeKind::Joined;
            let is_at_once = comes_in && other.effective_at == change.effective_at;
            other.id != change.id && (is_at_once || order(other) < order(change))
        })
        .filter(|other| !is_called_off(history, other))
        .collect();
    before.sort_by_key(|other| order(other));
    let (mut now, mut was_in) = (Presence::Out, false);
    for other in before {
        use ChangeKind::{Joined, LeaveScheduled, Reinstated, Removed, Suspended};
        let is_everywhere = other.scope == Scope::Organisation {};
        match other.change {
            Joined | Reinstated if is_of(other, gift) => (now, was_in) = (Presence::In, false),
            Removed | LeaveScheduled | Suspended if is_of(other, gift) => {
                (now, was_in) = (Presence::Out, false);
            }
            Removed | LeaveScheduled if is_everywhere => {
                was_in |= now != Presence::Out;
                now = Presence::Out;
            }
            Reinstated if is_everywhere && was_in => (now, was_in) = (Presence::Perhaps, false),
            _ => {}
        }
    }
    now
}

/// Whether the person was taken out of the group of `gift` before `change`, and was in it at some
/// time from `since` on.
pub(super) fn was_in_since(
    history: &PersonHistory,
    change: &MembershipChange,
    gift: Gift<'_>,
    since: Option<Timestamp>,
) -> bool {
    history.changes.iter().any(|other| {
        let leaves = matches!(
            other.change,
            ChangeKind::Removed | ChangeKind::LeaveScheduled | ChangeKind::Suspended
        );
        leaves
            && is_of(other, gift)
            && order(other) < order(change)
            && since.is_none_or(|since| since <= other.effective_at)
            && !is_called_off(history, other)
    })
}

fn is_of(change: &MembershipChange, gift: Gift<'_>) -> bool {
    let is_group = matches!(&change.scope, Scope::Group { group } if group == gift.group);
    is_group && change.source == gift.source
}

fn order(change: &MembershipChange) -> (Timestamp, Timestamp, ChangeId) {
    (change.effective_at, change.published_at, change.id)
}

/// Whether a leave was announced that does not come, or comes on another day.
fn is_called_off(history: &PersonHistory, change: &MembershipChange) -> bool {
    let calls_off = |other: &MembershipChange| {
        let speaks_of_it = other.change.speaks_ahead() && includes(other, change);
        speaks_of_it && other.change.undoes(change.change) && spoken(other) > spoken(change)
    };
    change.change == ChangeKind::LeaveScheduled && history.changes.iter().any(calls_off)
}
