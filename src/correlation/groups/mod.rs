//! What a group that is left takes from a person in a project which other groups open as well.
//!
//! Of groups that is known which sources told: who came into one and has not left it. Pure, and of
//! history alone: whatever became known first, the answer is the same.

mod place;
mod presence;

use std::collections::BTreeSet;

use self::{
    place::{Gift, Place},
    presence::{Presence, presence, was_in_since},
};
use super::{
    inputs::Inputs,
    ownership::{Moment, held},
    returned::Touched,
};
use crate::domain::{ChangeKind, Impact, Key, MembershipChange, Scope};

/// What a change does to whoever made a key in the key's project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect<'a> {
    /// What it says of itself.
    AsTold,
    /// Nothing, and why.
    Nothing(String),
    /// They have another role, and why; absent: nobody can tell which before and after.
    Role(Option<(&'a str, &'a str)>, String),
    /// They are out of the project or not, and why nobody can tell.
    Perhaps(String),
}

/// What the change of `inputs` does to whoever made a key in the key's project.
pub(super) fn effect<'a>(inputs: &Inputs<'a>, touched: &Touched<'_>) -> Effect<'a> {
    let Some((place, left)) = left(inputs, touched.key) else {
        return Effect::AsTold;
    };
    let others = others(inputs, &place, left);
    let of = |presence| {
        let such = others.iter().filter(move |(_, other)| *other == presence);
        such.map(|(gift, _)| *gift)
    };
    let enough = of(Presence::In).find(|other| place.is_enough(*other, left));
    if let Some(enough) = enough {
        return Effect::Nothing(enough.stays());
    }
    let best = of(Presence::In).min_by_key(|other| place.rank(*other));
    let unsure = of(Presence::Perhaps)
        .find(|other| best.is_none_or(|best| !place.is_enough(best, *other)))
        .map(Gift::is_unsure);
    let doubt = by_other_means(inputs, touched, (&place, left), &others).or(unsure);
    let Some(best) = best else {
        return doubt.map_or(Effect::AsTold, Effect::Perhaps);
    };
    let mut all = [left].into_iter().chain(of(Presence::In));
    let doubt = doubt.or_else(|| all.find(|one| one.role.is_none()).map(Gift::says_no_role));
    match (doubt, left.role, best.role) {
        (None, Some(from), Some(to)) => Effect::Role(Some((from, to)), best.stays()),
        (doubt, ..) => {
            let doubt = doubt.map_or_else(String::new, |doubt| format!("; {doubt}"));
            Effect::Role(None, best.stays() + &doubt)
        }
    }
}

/// Whether a change that takes a person out of a group leaves them in the key's project, because
/// another group has them there.
pub(super) fn stays(inputs: &Inputs<'_>, change: &MembershipChange, key: &Key) -> bool {
    let inputs = Inputs { change, ..*inputs };
    left(&inputs, key).is_some_and(|(place, left)| {
        let others = others(&inputs, &place, left);
        others.iter().any(|(_, other)| *other == Presence::In)
    })
}

/// How many of the keys that the change reaches stay as they are because of groups, so that no
/// impact tells of them, and why.
pub(super) fn spared(
    inputs: &Inputs<'_>,
    reached: &[Touched<'_>],
    told: &[Impact],
) -> Option<(usize, String)> {
    left_group(inputs.change)?;
    let told = told.iter().map(|impact| &impact.key);
    let told: BTreeSet<_> = told
        .map(|key| (&key.provider, &key.project, &key.id))
        .collect();
    let is_told = |key: &Key| told.contains(&(&key.provider, &key.project, &key.id));
    let others = reached.iter().filter(|touched| !is_told(touched.key));
    let why = others.filter_map(|touched| match effect(inputs, touched) {
        Effect::Nothing(why) | Effect::Role(_, why) => Some(why),
        Effect::AsTold | Effect::Perhaps(_) => None,
    });
    let why: Vec<String> = why.collect();
    Some((why.len(), in_words(why.into_iter())?))
}

/// What whoever comes into a group had in the projects that it opens: none of it is taken away.
pub(super) fn had_before(inputs: &Inputs<'_>) -> Option<String> {
    let (change, history) = (inputs.change, inputs.history);
    let Scope::Group { group } = &change.scope else {
        return None;
    };
    let of = |key: &Key| {
        let interval = held(history, key, Moment::of(change))?;
        let place = Place::of(inputs, key)?;
        let new = place.gift(&change.source, group)?;
        let to = new.role?;
        let others = others(inputs, &place, new);
        let sure = others.iter().filter(|(_, other)| *other == Presence::In);
        let given = sure.filter_map(|(gift, _)| gift.role);
        let shown = place.shown(inputs, key, &interval.creator.id);
        let from = given
            .chain(shown.map(|shown| shown.role))
            .min_by_key(|role| place.rank_of(role).unwrap_or(usize::MAX))?;
        Some(format!(
            "the group gives {to} where they had {from}: no key loses anything"
        ))
    };
    in_words(history.keys.iter().filter_map(of))
}

fn in_words(all: impl Iterator<Item = String>) -> Option<String> {
    let all: BTreeSet<String> = all.collect();
    (!all.is_empty()).then(|| Vec::from_iter(all).join("; "))
}

/// The group that a change takes a person out of, or will.
fn left_group(change: &MembershipChange) -> Option<&str> {
    let leaves = matches!(
        change.change,
        ChangeKind::Removed | ChangeKind::LeaveScheduled
    );
    // An account that is deleted is in no group any more.
    let is_deleted = change.reason.as_deref() == Some("account_deleted");
    match &change.scope {
        Scope::Group { group } if leaves && !is_deleted => Some(group),
        _ => None,
    }
}

/// What the group that the change of `inputs` takes the person out of gave in the project of `key`.
fn left<'a>(inputs: &Inputs<'a>, key: &Key) -> Option<(Place<'a>, Gift<'a>)> {
    let group = left_group(inputs.change)?;
    let place = Place::of(inputs, key)?;
    let gift = place.gift(&inputs.change.source, group)?;
    Some((place, gift))
}

/// The groups beside `this` that open the project and in which the person was at the change, or
/// perhaps.
fn others<'a>(inputs: &Inputs<'_>, place: &Place<'a>, this: Gift<'_>) -> Vec<(Gift<'a>, Presence)> {
    let others = place.gifts().filter(|gift| !gift.is_of(this));
    let others = others.map(|gift| (gift, presence(inputs.history, inputs.change, gift)));
    let there = others.filter(|(_, presence)| *presence != Presence::Out);
    there.collect()
}

/// That the provider shows more than any group gives which the person is in, or was in since then.
fn by_other_means(
    inputs: &Inputs<'_>,
    touched: &Touched<'_>,
    (place, left): (&Place<'_>, Gift<'_>),
    others: &[(Gift<'_>, Presence)],
) -> Option<String> {
    let (change, history) = (inputs.change, inputs.history);
    let shown = place.shown(inputs, touched.key, &touched.interval.creator.id)?;
    let is_now = |gift: Gift<'_>| gift.is_of(left) || others.iter().any(|(one, _)| one.is_of(gift));
    let gives_it = |gift: Gift<'_>| match gift.role {
        // It may be that one.
        None => true,
        Some(role) => place.rank_of(role).is_none_or(|rank| rank <= shown.rank),
    };
    let mut gifts = place.gifts();
    let is_explained = gifts.any(|gift| {
        gives_it(gift) && (is_now(gift) || was_in_since(history, change, gift, shown.since))
    });
    (!is_explained).then(|| {
        format!(
            "{} shows the person as {}, which none of these groups gives: they may have it by other \
             means",
            touched.key.provider, shown.role
        )
    })
}
