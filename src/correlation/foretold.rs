//! What a look at a provider shows and somebody had told before: it is reported once.

use super::{
    inputs::Inputs,
    judge::Judgement,
    ownership::{spoken, undoes_within},
    policy::ProviderFacts,
    returned::Touched,
    ties::judge_as_tied,
    whose::is_concerned,
};
use crate::domain::{ChangeKind, Fate, MembershipChange};

/// The change by which a source told of the same before a look showed it: its report says the same
/// of the key, and holds that against what is seen. The earliest, where there are several.
pub(super) fn foretold<'a>(
    inputs: &Inputs<'a>,
    touched: &Touched<'a>,
    judgement: &Judgement<'a>,
    facts: &ProviderFacts,
) -> Option<&'a MembershipChange> {
    let (change, history, key) = (inputs.change, inputs.history, touched.key);
    // Where two can be meant, the report of the other change may be about somebody else.
    if !change.was_observed() || !history.candidates.is_empty() {
        return None;
    }
    let reaches =
        |other: &&MembershipChange| inputs.policy.covers(other, &key.provider, &key.project);
    let is_over = |told: &MembershipChange| {
        let mut others = history.changes.iter().filter(reaches);
        others.any(|other| undoes_within(other, told, change.effective_at))
    };
    // What nobody documents is not the same for being unknown: only of the same sort of change.
    let is_comparable = |told: &MembershipChange| {
        judgement.fate != Fate::Unknown || sort(told.change) == sort(change.change)
    };
    let says_the_same = |told: &&MembershipChange| {
        let inputs = Inputs {
            change: told,
            ..*inputs
        };
        let before = Touched::by(&inputs, key).filter(|before| {
            let loss = |touched: &Touched<'_>| touched.loss.map(|loss| loss.id);
            loss(before) == loss(touched)
                && before.interval.creator.id == touched.interval.creator.id
                && is_concerned(&inputs, before)
        });
        let before = before.and_then(|before| judge_as_tied(&inputs, &before, facts));
        before.is_some_and(|before| {
            (before.fate, &before.lost_scopes, before.returns)
                == (judgement.fate, &judgement.lost_scopes, judgement.returns)
        })
    };
    let told = history.changes.iter().filter(reaches).filter(|told| {
        !told.was_observed()
            && told.effective_at <= change.effective_at
            && is_comparable(told)
            && !is_over(told)
    });
    told.filter(says_the_same)
        .min_by_key(|told| (told.effective_at, spoken(told)))
}

/// The kind of a change, an announced leave being a removal.
fn sort(change: ChangeKind) -> ChangeKind {
    match change {
        ChangeKind::LeaveScheduled => ChangeKind::Removed,
        other => other,
    }
}

/// Who had told of how many keys, in words.
pub(super) fn who_told(told: &[&MembershipChange]) -> Option<String> {
    let first = told
        .iter()
        .min_by_key(|told| (told.effective_at, told.id))?;
    Some(format!(
        "{} reported {} before ({}), and that report tells of {} of the keys",
        first.source,
        first.change,
        first.effective_at,
        told.len()
    ))
}
