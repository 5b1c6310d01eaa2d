//! Writes one impact out of one judgement.

use jiff::{SignedDuration, Timestamp};

use super::{
    assess::{About, assess_alike},
    common::{Common, Heir},
    inputs::Inputs,
    judge::Judgement,
    policy::ProviderFacts,
    returned::{Touched, replacement},
    ties::Tie,
};
use crate::domain::{
    ChangeKind, Fate, Impact, ImpactId, Key, KeyInterval, Propagation, Replacement, Shared, Status,
    impact::{AffectedKey, Evidence, Successor},
    whole_microseconds,
};

/// The impact of the change on a key that it reaches. Revision and digest come later.
pub(super) fn compose<'a>(
    (inputs, common): (&Inputs<'a>, &Common<'a>),
    touched: &Touched<'a>,
    judgement: &Judgement<'a>,
    facts: &ProviderFacts,
) -> Impact {
    let Inputs {
        change,
        history,
        catalogue,
        ..
    } = *inputs;
    let (key, interval) = (touched.key, touched.interval);
    let Heir {
        successor,
        responsible,
    } = common.heir(inputs, key, facts);
    let (affected, environment) = affected(inputs, key, interval);
    let replaced_by = judgement
        .returns
        .and_then(|_| replacement(history, change, touched));
    let action = action(&affected, judgement, replaced_by.as_ref());
    let act_by = deadline(inputs, judgement);
    let about = About {
        key: &affected,
        act_by,
        environment,
        successor: matches!(*successor, Successor::Found(_)),
        replaced_by: replaced_by.as_ref(),
    };
    let severity = assess_alike((inputs, common), judgement, &about);
    Impact {
        impact_id: ImpactId::derive(change.id, &key.provider, &key.project, &key.id),
        revision: 0,
        change_id: change.id,
        report_digest: String::new(),
        status: status(inputs, common, judgement),
        change: change.change,
        source: change.source.clone(),
        event_id: change.event_id.clone(),
        scope: change.scope.clone(),
        change_effective_at: change.effective_at,
        reconciled: change.was_observed(),
        person: common.person.clone(),
        key: affected,
        fate: judgement.fate,
        lost_scopes: judgement.lost_scopes.clone(),
        returns: judgement.returns,
        replaced_by,
        takes_along: judgement.takes_along().to_vec(),
        propagation: judgement.propagation,
        effective_at: judgement.effective_at,
        until_then: judgement.until_then.clone(),
        severity,
        act_by,
        responsible,
        symptom: judgement.symptom(),
        successor,
        recommended_action: action,
        rule: judgement.citation(catalogue, &facts.kind),
        evidence: evidence(inputs, common, touched),
        observed: None,
    }
}

/// When it must be dealt with.
fn deadline(inputs: &Inputs<'_>, judgement: &Judgement<'_>) -> Timestamp {
    let manual = SignedDuration::try_from(inputs.policy.manual_deadline);
    let manual = manual.unwrap_or(SignedDuration::MAX);
    match judgement.effective_at {
        Some(at) if !judgement.stays_alive() => at,
        Some(_) | None => {
            let by = inputs.change.effective_at.saturating_add(manual);
            // The end of time has nanoseconds, and records tell none.
            let end = Timestamp::from_second(Timestamp::MAX.as_second());
            let by = by.unwrap_or(Timestamp::MAX);
            whole_microseconds(by.min(end.unwrap_or(Timestamp::MAX)))
        }
    }
}

/// Whether a later change undid the one that is judged before it came to the provider.
fn status(inputs: &Inputs<'_>, common: &Common<'_>, judgement: &Judgement<'_>) -> Status {
    let is_over = common.undone_by.is_some()
        && (judgement.propagation != (Propagation::Direct {}) || judgement.returns.is_some());
    if is_over {
        Status::Superseded
    } else if is_ahead(inputs) {
        Status::Scheduled
    } else {
        Status::Open
    }
}

/// Whether the change is an announced leave whose day is not recorded as come.
fn is_ahead(inputs: &Inputs<'_>) -> bool {
    let change = inputs.change;
    let passed = inputs.history.passed.get(&change.id).copied();
    change.change == ChangeKind::LeaveScheduled
        && change.published_at < change.effective_at
        && passed < Some(change.effective_at)
}

fn action(
    key: &AffectedKey,
    judgement: &Judgement<'_>,
    replaced_by: Option<&Replacement>,
) -> Shared<String> {
    let of_rule = match (judgement.rule, judgement.tie) {
        (Some(rule), _) => rule.action.clone(),
        (None, Tie::Behind(_)) => "Replace the key if the person saw it.".into(),
        (None, Tie::Own | Tie::Perhaps(_)) => {
            "Find out at the provider what becomes of the key, and treat it as both.".into()
        }
    };
    let of_rule = match judgement.tie.action() {
        Some(first) => format!("{first} {of_rule}").into(),
        None => of_rule,
    };
    match replaced_by {
        Some(Replacement { label, id, .. }) if judgement.fate != Fate::Dies => {
            format!("End this key at the provider: its callers have {label} ({id}).").into()
        }
        _ if judgement.works_as_before() && !judgement.is_of_returns() => {
            "Nothing to do because of the return: the key works as before.".into()
        }
        _ if key.ours && !judgement.works_as_before() => format!(
            "First of all give Offkey a key of somebody who stays: this is the one it reads {} \
             with. {of_rule}",
            key.provider
        )
        .into(),
        _ => of_rule,
    }
}

/// The key, and what says where it is used.
fn affected<'a>(
    inputs: &Inputs<'a>,
    key: &'a Key,
    interval: &KeyInterval,
) -> (AffectedKey, Option<(&'static str, &'a str)>) {
    let project = inputs.history.project_of(key);
    let name = project.map_or("", |project| project.name.as_str());
    let (environment, why) = inputs.policy.environment(&key.tags, &key.label, name);
    let seen = key.use_as_of(inputs.change.effective_at);
    let affected = AffectedKey {
        provider: key.provider.clone(),
        project: key.project.clone(),
        project_name: project.map(|project| project.name.clone()),
        id: key.id.clone(),
        label: key.label.clone(),
        class: key.class.clone(),
        scopes: interval.scopes.clone(),
        tags: key.tags.clone(),
        environment,
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: seen.and_then(|seen| seen.last_used_at),
        requests_7d: seen.map(|seen| seen.requests_7d),
        ours: inputs.history.is_ours(key),
    };
    (affected, why)
}

fn evidence<'a>(
    inputs: &Inputs<'a>,
    common: &Common<'a>,
    touched: &Touched<'a>,
) -> Vec<Shared<Evidence>> {
    let Inputs {
        change, history, ..
    } = *inputs;
    let (key, interval) = (touched.key, touched.interval);
    let who = interval
        .creator
        .email
        .as_ref()
        .map_or(interval.creator.id.as_str(), |e| e.as_str());
    let known = |fact: Shared<String>, at| Shared::from(Evidence { fact, at });
    let mut all = Vec::with_capacity(3 + common.reported.len());
    all.push(known(
        common.created(&key.provider, who),
        key.created_at.or(interval.valid_from),
    ));
    let tie = Tie::of(history, &key.provider, interval);
    all.extend(tie.evidence(&history.person).map(Shared::from));
    if let Some(seen) = key.use_as_of(change.effective_at) {
        let fact = format!("{} requests in the 7 days before", seen.requests_7d);
        all.push(known(fact.into(), Some(seen.as_of)));
    }
    if let Some(gone) = interval.valid_to {
        let last = interval
            .last_seen
            .map_or_else(String::new, |at| format!(", last seen {at}"));
        all.push(known(format!("the key is gone{last}").into(), Some(gone)));
    }
    if let Some(loss) = touched.loss {
        let fact = format!("{} reported {} before", loss.source, loss.change);
        all.push(known(fact.into(), Some(loss.effective_at)));
    }
    all.extend(common.reported.iter().cloned());
    all
}
