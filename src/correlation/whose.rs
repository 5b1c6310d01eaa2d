//! Whom a change is about, in words.

use super::{
    correlate::Judged,
    inputs::Inputs,
    ownership::PersonHistory,
    returned::Touched,
    ties::{Tie, leaves_robots},
};
use crate::domain::{Impact, Key, OutcomeResult};

/// Who can be meant; nothing: that is known.
pub(super) fn ambiguous(history: &PersonHistory) -> Option<String> {
    let names = &history.candidates;
    (!names.is_empty()).then(|| format!("it can be about {}", names.join(" or ")))
}

/// Whether the change concerns whoever the key's account belongs to.
pub(super) fn is_concerned(inputs: &Inputs<'_>, touched: &Touched<'_>) -> bool {
    let tie = Tie::of(inputs.history, &touched.key.provider, touched.interval);
    !matches!(tie, Tie::Behind(_)) || leaves_robots(inputs.change)
}

/// How many of whose keys are hit.
fn what_is_hit(history: &PersonHistory, impacts: &[Impact]) -> String {
    if history.doubtful.is_empty() && history.behind.is_empty() {
        return format!("{} of the person's keys are hit", impacts.len());
    }
    let keys = impacts.iter().filter_map(|impact| {
        let mut keys = history.keys.iter();
        let is_it = |key: &&Key| {
            (&key.provider, &key.project, &key.id)
                == (&impact.key.provider, &impact.key.project, &impact.key.id)
        };
        keys.find(is_it)
    });
    let (mut own, mut perhaps, mut robots) = (0_usize, 0_usize, 0_usize);
    for key in keys {
        let mut ties = key.history.iter();
        let mut ties = ties
            .by_ref()
            .map(|one| Tie::of(history, &key.provider, one));
        match ties.find(|tie| *tie != Tie::Own) {
            Some(Tie::Perhaps(_)) => perhaps += 1,
            Some(Tie::Behind(_)) => robots += 1,
            Some(Tie::Own) | None => own += 1,
        }
    }
    let mut reason = format!("{own} of the person's keys are hit");
    if perhaps > 0 {
        reason += &format!(", and {perhaps} that can be somebody else's");
    }
    if robots > 0 {
        reason += &format!(", and {robots} of service accounts behind which they stand");
    }
    reason
}

/// What came of a change by which no key is hit.
pub(super) fn none_hit(ambiguous: Option<String>, judged: Judged) -> Judged {
    let Some(who) = ambiguous else {
        return judged;
    };
    let why = judged.reason;
    let reason = format!("{who}; no key of any of them is known to be hit: {why}");
    Judged::nothing(OutcomeResult::Ambiguous, reason)
}

/// What came of a change by which `impacts` are hit, and why.
pub(super) fn some_hit(
    ambiguous: Option<String>,
    history: &PersonHistory,
    impacts: &[Impact],
) -> (OutcomeResult, String) {
    match ambiguous {
        Some(who) => (
            OutcomeResult::Ambiguous,
            format!("{who}; {} keys of theirs can be hit", impacts.len()),
        ),
        None => (OutcomeResult::Report, what_is_hit(history, impacts)),
    }
}
