//! The pure function at the heart: one change in, one report out.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use jiff::Timestamp;

use super::{
    common::Common,
    compose::compose,
    digest::digest,
    foretold::{foretold, who_told},
    groups::{had_before, spared},
    inputs::Inputs,
    judge::situations,
    ownership::PersonHistory,
    previewed::previewed,
    returned::Touched,
    roles::is_raised,
    ties::judge_as_tied,
    verified::{Verified, verified},
    whose::{ambiguous, is_concerned, none_hit, some_hit},
};
use crate::domain::{
    ChangeKind, Impact, Key, MembershipChange, Outcome, OutcomeResult, Report, Scope, Shared,
    Status, impact::Person,
};

/// Says what the change does to every key of the person.
///
/// The answer does not depend on the order in which things became known. Revisions are 0 here;
/// [`super::revise()`] compares with what was published.
#[must_use]
pub fn correlate(inputs: &Inputs<'_>) -> Report {
    foresee(inputs).0
}

/// What can change a report although nothing happens to the person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Awaited {
    /// The moments that make it another one when they have passed.
    pub moments: BTreeSet<Timestamp>,
    /// The providers whose next complete look can.
    pub looks: BTreeSet<String>,
}

/// The report of [`correlate`], and what it waits for.
#[must_use]
pub fn foresee(inputs: &Inputs<'_>) -> (Report, Awaited) {
    let person = person(inputs.change, inputs.history);
    let Judged {
        result,
        reason,
        mut impacts,
        checks,
    } = judge_all(inputs, &person);
    // A preview tells what would happen, and not what was seen of it.
    let previewed = previewed(inputs.change, (inputs.history, inputs.policy), &impacts);
    let mut awaited = Awaited::default();
    for (impact, check) in impacts.iter_mut().zip(checks) {
        check.tell(impact, &mut awaited);
    }
    // They come by place. Of what is equally bad, what makes us blind is said first.
    impacts.sort_by_cached_key(|impact| (Reverse(impact.severity.level), !impact.key.ours));
    let digest = digest(result, &reason, &impacts);
    for impact in &mut impacts {
        impact.report_digest.clone_from(&digest);
    }
    let outcome = Outcome {
        candidates: inputs.history.candidates.clone(),
        previewed,
        ..header(inputs.change, &person, result, reason, (&impacts, digest))
    };
    (Report { outcome, impacts }, awaited)
}

/// What came of a change, and why.
pub(super) struct Judged {
    pub(super) result: OutcomeResult,
    pub(super) reason: String,
    /// By provider, project and key.
    pub(super) impacts: Vec<Impact>,
    /// How each of the impacts is checked.
    pub(super) checks: Vec<Verified>,
}

impl Judged {
    /// No key is hit.
    pub(super) fn nothing(result: OutcomeResult, reason: impl Into<String>) -> Self {
        Self {
            result,
            reason: reason.into(),
            impacts: Vec::new(),
            checks: Vec::new(),
        }
    }
}

fn judge_all(inputs: &Inputs<'_>, person: &Shared<Person>) -> Judged {
    let Inputs {
        change,
        history,
        policy,
        ..
    } = *inputs;
    if situations(change).is_empty() {
        return Judged::nothing(
            OutcomeResult::NoEffect,
            "a change of this kind takes no key away",
        );
    }
    let ambiguous = ambiguous(history);
    if history.accounts.is_empty() && history.behind.is_empty() && ambiguous.is_none() {
        let reason = "no provider's inventory knows an account of this person";
        return Judged::nothing(OutcomeResult::UnknownPerson, reason);
    }
    let mut covered: Vec<_> = history
        .keys
        .iter()
        .filter(|key| policy.covers(change, &key.provider, &key.project))
        .filter_map(|key| Touched::by(inputs, key))
        .filter(|touched| is_concerned(inputs, touched))
        .collect();
    if covered.is_empty() {
        return none_hit(ambiguous, why_none(inputs));
    }
    covered.sort_by_key(|touched| place(touched.key));
    let common = Common::new(inputs, person.clone());
    let (impacts, checks, told) = judge_each((inputs, &common), &covered);
    let spared = spared(inputs, &covered, &impacts);
    let who_told = who_told(&told);
    if impacts.is_empty() {
        if let Some(who) = who_told {
            return Judged::nothing(OutcomeResult::NoEffect, who);
        }
        let unharmed = || why_unharmed(inputs, &covered).to_owned();
        let groups = |(_, why)| format!("the person's keys stay as they are: {why}");
        let why = spared.map_or_else(unharmed, groups);
        return Judged::nothing(OutcomeResult::NoEffect, why);
    }
    let (result, mut reason) = some_hit(ambiguous, history, &impacts);
    reason.extend(spared.map(|(count, why)| format!("; {count} stay as they are: {why}")));
    reason.extend(who_told.map(|who| format!("; {who}")));
    Judged {
        result,
        reason,
        impacts,
        checks,
    }
}

/// The impacts on the keys that are `covered`, how each is checked, and who had told of the rest.
fn judge_each<'a>(
    (inputs, common): (&Inputs<'a>, &Common<'a>),
    covered: &[Touched<'a>],
) -> (Vec<Impact>, Vec<Verified>, Vec<&'a MembershipChange>) {
    let mut told = Vec::new();
    let mut impacts = Vec::with_capacity(covered.len());
    let mut checks = Vec::with_capacity(covered.len());
    for touched in covered {
        // A provider that is no longer configured says nothing any more.
        let Some(facts) = inputs.policy.providers.get(&touched.key.provider) else {
            continue;
        };
        let Some(judgement) = judge_as_tied(inputs, touched, facts) else {
            continue;
        };
        if let Some(before) = foretold(inputs, touched, &judgement, facts) {
            told.push(before);
            continue;
        }
        let impact = compose((inputs, common), touched, &judgement, facts);
        checks.push(verified((inputs, common), touched, &judgement, &impact));
        impacts.push(impact);
    }
    (impacts, checks, told)
}

/// Why a change leaves the keys that it reaches as they are.
fn why_unharmed(inputs: &Inputs<'_>, covered: &[Touched<'_>]) -> &'static str {
    let Inputs { change, policy, .. } = *inputs;
    let mut kinds = covered
        .iter()
        .filter_map(|touched| policy.providers.get(&touched.key.provider));
    let is_raised = kinds.all(|facts| is_raised(change, &facts.kind, inputs.catalogue));
    if change.change == ChangeKind::RoleChanged && is_raised {
        "the new role may do everything that the old one may: no key loses anything"
    } else {
        "the person's keys stay as they are"
    }
}

/// Why a change of somebody known hits none of their keys.
fn why_none(inputs: &Inputs<'_>) -> Judged {
    let Inputs { change, policy, .. } = *inputs;
    if change.change == ChangeKind::Joined {
        let mut reason =
            "nothing that this could bring back was taken from the person before".to_owned();
        reason.extend(had_before(inputs).map(|had| format!("; {had}")));
        return Judged::nothing(OutcomeResult::NoEffect, reason);
    }
    let reason = match &change.scope {
        Scope::Group { group } if policy.mappings(&change.source, group).next().is_none() => {
            "no configuration says which projects this group opens".to_owned()
        }
        Scope::Provider { provider } | Scope::Project { provider, .. }
            if !policy.providers.contains_key(provider) =>
        {
            format!("no provider is configured under the name {provider:?}")
        }
        Scope::Organisation {}
        | Scope::Provider { .. }
        | Scope::Project { .. }
        | Scope::Group { .. } => "the person had no key within the scope at that time".to_owned(),
    };
    Judged::nothing(OutcomeResult::NoKeys, reason)
}

/// What tells a key from others.
fn place(key: &Key) -> (&str, &str, &str) {
    (&key.provider, &key.project, &key.id)
}

fn person(change: &MembershipChange, history: &PersonHistory) -> Shared<Person> {
    let person = Person {
        id: history.person.clone(),
        email: history
            .person
            .parse()
            .ok()
            .or_else(|| change.person.email.clone()),
        name: history.name.clone().or_else(|| change.person.name.clone()),
    };
    person.into()
}

fn header(
    change: &MembershipChange,
    person: &Person,
    result: OutcomeResult,
    reason: String,
    (impacts, digest): (&[Impact], String),
) -> Outcome {
    let (mut fates, mut severities) = (BTreeMap::new(), BTreeMap::new());
    let mut statuses = BTreeMap::new();
    for impact in impacts {
        if impact.status != Status::Open {
            *statuses.entry(impact.status).or_default() += 1;
        }
        if impact.status.stands() {
            *fates.entry(impact.fate).or_default() += 1;
            *severities.entry(impact.severity.level).or_default() += 1;
        }
    }
    Outcome {
        change_id: change.id,
        revision: 0,
        result,
        change: change.change,
        scope: change.scope.clone(),
        effective_at: change.effective_at,
        reconciled: change.was_observed() && !impacts.is_empty(),
        person: person.clone(),
        fates,
        severities,
        statuses,
        digest,
        reason,
        candidates: Vec::new(),
        previewed: None,
    }
}
