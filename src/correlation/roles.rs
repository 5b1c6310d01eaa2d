//! Another role: what a key loses with it.

use std::collections::BTreeSet;

use super::{inputs::Inputs, judge::Judgement, policy::ProviderFacts, returned::Touched};
use crate::{
    catalogue::Catalogue,
    domain::{Fate, KeyInterval, MembershipChange},
};

/// The roles before and after that a change tells; nothing where it tells only one, or none.
pub(super) fn told(change: &MembershipChange) -> Option<(&str, &str)> {
    let role = change.role.as_ref()?;
    Some((role.from.as_deref()?, role.to.as_deref()?))
}

/// What another role leaves of the key; nothing: everything. `roles`: the one before and the one
/// after, where they are known.
pub(super) fn judge_role<'a>(
    inputs: &Inputs<'a>,
    touched: &Touched<'a>,
    (facts, roles): (&ProviderFacts, Option<(&str, &str)>),
    judgement: Judgement<'a>,
) -> Option<Judgement<'a>> {
    let lost = roles.and_then(|roles| lost(roles, touched.interval, facts, inputs.catalogue));
    match (judgement.fate, lost) {
        (_, Some(lost)) if lost.is_empty() => None,
        (Fate::Shrinks, Some(lost_scopes)) => Some(Judgement {
            lost_scopes,
            ..judgement
        }),
        // Whatever the roles may do: a key that follows none keeps what it may.
        (Fate::Survives, _) | (_, Some(_)) => Some(judgement),
        (fate, None) => Some(Judgement {
            fate: Fate::Unknown,
            note: (fate == Fate::Shrinks).then(|| UNLISTED.to_owned()),
            ..judgement
        }),
    }
}

const UNLISTED: &str = "it follows its owner's role, and no list says what these roles may do";

/// What the key may no longer do; nothing when the roles say too little to tell.
fn lost(
    (from, to): (&str, &str),
    interval: &KeyInterval,
    facts: &ProviderFacts,
    catalogue: &Catalogue,
) -> Option<Vec<String>> {
    let kind = facts.kind.as_str();
    let before = scopes_of(from, kind, catalogue)?;
    let after = scopes_of(to, kind, catalogue)?;
    let own: BTreeSet<&str> = interval
        .scopes
        .iter()
        .flat_map(|scope| catalogue.expand(kind, scope))
        .collect();
    // A scope outside both roles' lists is no management scope and does not follow the role.
    let lost = own
        .into_iter()
        .filter(|&scope| before.contains(scope) && !after.contains(scope));
    Some(lost.map(str::to_owned).collect())
}

/// What `roles`, one or several between commas, may do; nothing when none of them is known.
fn scopes_of<'a>(
    roles: &'a str,
    kind: &str,
    catalogue: &'a Catalogue,
) -> Option<BTreeSet<&'a str>> {
    let known = roles
        .split(',')
        .any(|role| catalogue.rank(kind, role).is_some());
    known.then(|| {
        roles
            .split(',')
            .flat_map(|role| catalogue.expand(kind, role))
            .collect()
    })
}

/// Whether the new role may do everything that the old one may.
pub(super) fn is_raised(change: &MembershipChange, kind: &str, catalogue: &Catalogue) -> bool {
    let Some((from, to)) = told(change) else {
        return false;
    };
    let scopes = |role| scopes_of(role, kind, catalogue);
    match (scopes(from), scopes(to)) {
        (Some(before), Some(after)) => before.is_subset(&after),
        _ => false,
    }
}
