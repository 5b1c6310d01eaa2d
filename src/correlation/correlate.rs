//! The pure function at the heart: one change in, one report out.

use std::collections::BTreeMap;

use super::{
    compose::compose,
    digest::digest,
    inputs::Inputs,
    judge::{judge, situations},
    ownership::{Moment, PersonHistory, held},
    previewed::previewed,
};
use crate::domain::{
    Impact, MembershipChange, Outcome, OutcomeResult, Report, Scope, Status, impact::Person,
};

/// Says what the change does to every key of the person.
///
/// The answer does not depend on the order in which things became known. Revisions are 0 here;
/// [`super::revise()`] compares with what was published.
#[must_use]
pub fn correlate(inputs: &Inputs<'_>) -> Report {
    let person = person(inputs.change, inputs.history);
    let (result, reason, mut impacts) = judge_all(inputs, &person);
    impacts.sort_by(|a, b| {
        let by_place = (&a.key.provider, &a.key.project, &a.key.id).cmp(&(
            &b.key.provider,
            &b.key.project,
            &b.key.id,
        ));
        let by_severity = b.severity.level.cmp(&a.severity.level);
        by_severity.then(by_place)
    });
    let digest = digest(result, &reason, &impacts);
    for impact in &mut impacts {
        impact.report_digest.clone_from(&digest);
    }
    let outcome = Outcome {
        previewed: previewed(inputs.change, inputs.history, &impacts),
        ..header(inputs.change, person, result, reason, (&impacts, digest))
    };
    Report { outcome, impacts }
}

fn judge_all(inputs: &Inputs<'_>, person: &Person) -> (OutcomeResult, String, Vec<Impact>) {
    let Inputs {
        change,
        history,
        catalogue,
        policy,
        ..
    } = *inputs;
    let nothing = |result, reason: &str| (result, reason.to_owned(), Vec::new());
    if situations(change).is_empty() {
        return nothing(
            OutcomeResult::NoEffect,
            "a change of this kind takes no key away",
        );
    }
    if history.accounts.is_empty() {
        let reason = "no provider's inventory knows an account of this person";
        return nothing(OutcomeResult::UnknownPerson, reason);
    }
    let moment = Moment::of(change);
    let covered: Vec<_> = history
        .keys
        .iter()
        .filter(|key| change.scope.covers(&key.provider, &key.project))
        .filter_map(|key| Some((key, held(history, key, moment)?)))
        .collect();
    if covered.is_empty() {
        let reason = if matches!(change.scope, Scope::Group { .. }) {
            "no configuration says which projects this group opens"
        } else {
            "the person had no key within the scope at that time"
        };
        return nothing(OutcomeResult::NoKeys, reason);
    }
    let impacts: Vec<_> = covered
        .into_iter()
        .filter_map(|(key, interval)| {
            // A provider that is no longer configured says nothing any more.
            let facts = policy.providers.get(&key.provider)?;
            let judgement = judge(change, (key, interval), facts, catalogue)?;
            Some(compose(inputs, (key, interval), &judgement, facts, person))
        })
        .collect();
    if impacts.is_empty() {
        return nothing(
            OutcomeResult::NoEffect,
            "the person's keys stay as they are",
        );
    }
    let reason = format!("{} of the person's keys are hit", impacts.len());
    (OutcomeResult::Report, reason, impacts)
}

fn person(change: &MembershipChange, history: &PersonHistory) -> Person {
    Person {
        id: history.person.clone(),
        email: history
            .person
            .parse()
            .ok()
            .or_else(|| change.person.email.clone()),
        name: history.name.clone().or_else(|| change.person.name.clone()),
    }
}

fn header(
    change: &MembershipChange,
    person: Person,
    result: OutcomeResult,
    reason: String,
    (impacts, digest): (&[Impact], String),
) -> Outcome {
    let (mut fates, mut severities) = (BTreeMap::new(), BTreeMap::new());
    for impact in impacts
        .iter()
        .filter(|impact| impact.status == Status::Open)
    {
        *fates.entry(impact.fate).or_default() += 1;
        *severities.entry(impact.severity.level).or_default() += 1;
    }
    Outcome {
        change_id: change.id,
        revision: 0,
        result,
        change: change.change,
        scope: change.scope.clone(),
        effective_at: change.effective_at,
        person,
        fates,
        severities,
        digest,
        reason,
        previewed: None,
    }
}
