//! When a change came to the provider, as far as anybody saw.

use jiff::{SignedDuration, Timestamp};

use super::{inputs::Inputs, judge::Judgement, ownership::Moment, returned::Touched};
use crate::domain::{ChangeKind, Member, Propagation};

/// The end of something: the last moment it was seen, and the first look without it.
pub(super) type End = (Timestamp, Timestamp);

/// When the change came to the provider, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) earliest: Timestamp,
    /// Absent: it has not come there as far as anybody saw.
    pub(super) latest: Option<Timestamp>,
    /// Whether the provider would show it.
    pub(super) is_visible: bool,
}

/// When the change came to the provider of the key.
pub(super) fn arrival(
    inputs: &Inputs<'_>,
    touched: &Touched<'_>,
    judgement: &Judgement<'_>,
) -> Arrival {
    let change = inputs.change;
    let end = || member_end(inputs, touched, judgement.is_of_role());
    let said = Arrival {
        earliest: change.effective_at,
        latest: Some(change.effective_at),
        is_visible: true,
    };
    match judgement.propagation {
        Propagation::None {} => said,
        Propagation::Direct {} => Arrival {
            earliest: Moment::of(change).from,
            ..said
        },
        // A suspension leaves the membership as it is.
        Propagation::Manual {} if change.change == ChangeKind::Suspended => said,
        Propagation::Automatic { within } => {
            let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
            let by = change.effective_at.saturating_add(within);
            let by = by.unwrap_or(Timestamp::MAX);
            let seen = end().flatten();
            Arrival {
                latest: Some(seen.map_or(by, |(_, gone_at)| gone_at.min(by))),
                ..said
            }
        }
        Propagation::Manual {} => match end() {
            Some(Some((last_seen, gone_at))) => Arrival {
                earliest: last_seen.max(change.effective_at),
                latest: Some(gone_at.max(change.effective_at)),
                ..said
            },
            other => Arrival {
                latest: None,
                is_visible: other.is_some(),
                ..said
            },
        },
    }
}

/// Until when whoever made the key was in its project as the change found them, and in the same role
/// if `in_role`; inner nothing: they still are; nothing: no list of members says.
fn member_end(inputs: &Inputs<'_>, touched: &Touched<'_>, in_role: bool) -> Option<Option<End>> {
    let (change, key) = (inputs.change, touched.key);
    let is_maker = |member: &&Member| {
        member.provider == key.provider
            && member.project == key.project
            && member.account.id == touched.interval.creator.id
    };
    let member = inputs.history.members.iter().find(is_maker)?;
    let relevant = |end: Option<Timestamp>| end.is_none_or(|end| end > change.effective_at);
    let history = member.history.as_slice();
    let first = history.iter().position(|one| relevant(one.valid_to));
    // They had gone before the change: it found nothing left to do.
    let Some(first) = first else {
        return Some(Some((change.effective_at, change.effective_at)));
    };
    let mut rest = history.iter().skip(first).peekable();
    while let Some(one) = rest.next() {
        let Some(gone_at) = one.valid_to else {
            return Some(None);
        };
        let goes_on = rest
            .peek()
            .is_some_and(|next| next.valid_from == Some(gone_at));
        if in_role || !goes_on {
            let last_seen = one.last_seen.unwrap_or(one.observed_at);
            return Some(Some((last_seen, gone_at)));
        }
    }
    Some(None)
}
