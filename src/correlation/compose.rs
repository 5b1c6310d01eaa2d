//! Writes one impact out of one judgement.

use jiff::{SignedDuration, Timestamp};

use super::{
    inputs::Inputs,
    judge::Judgement,
    ownership::{Moment, PersonHistory, undone_by},
    policy::{ProviderFacts, Use},
    successor::successor,
};
use crate::domain::{
    Fate, Impact, ImpactId, Key, KeyInterval, MembershipChange, Propagation, Severity, Status,
    impact::{AffectedKey, Assessment, Environment, Evidence, Person, Successor},
};

/// The impact of `change` on `key`, held as `interval`. Revision and digest come later.
pub(super) fn compose(
    inputs: &Inputs<'_>,
    (key, interval): (&Key, &KeyInterval),
    judgement: &Judgement<'_>,
    facts: &ProviderFacts,
    person: &Person,
) -> Impact {
    let Inputs {
        change,
        history,
        catalogue,
        policy,
        ..
    } = *inputs;
    let moment = Moment::of(change);
    let successor = successor(history, key, moment, facts, catalogue);
    let citation = judgement.citation(catalogue, &facts.kind);
    let affected = affected(inputs, key, interval);
    let severity = assess(inputs, &affected, judgement);
    let manual = SignedDuration::try_from(policy.manual_deadline).unwrap_or(SignedDuration::MAX);
    let act_by = match judgement.effective_at {
        Some(at) if !judgement.stays_alive() => at,
        Some(_) | None => change
            .effective_at
            .saturating_add(manual)
            .unwrap_or(Timestamp::MAX),
    };
    let status = match undone_by(&history.changes, change) {
        Some(_) if judgement.propagation != (Propagation::Direct {}) => Status::Superseded,
        Some(_) | None => Status::Open,
    };
    Impact {
        impact_id: ImpactId::derive(change.id, &key.provider, &key.project, &key.id),
        revision: 0,
        change_id: change.id,
        report_digest: String::new(),
        status,
        change: change.change,
        source: change.source.clone(),
        event_id: change.event_id.clone(),
        scope: change.scope.clone(),
        change_effective_at: change.effective_at,
        person: person.clone(),
        key: affected,
        fate: judgement.fate,
        lost_scopes: judgement.lost_scopes.clone(),
        propagation: judgement.propagation,
        effective_at: judgement.effective_at,
        until_then: judgement.until_then.clone(),
        severity,
        act_by,
        responsible: match &successor {
            Successor::Found(contact) => Some(contact.clone()),
            Successor::None { .. } => None,
        },
        symptom: judgement.rule.and_then(|rule| rule.symptom.clone()),
        successor,
        recommended_action: judgement.rule.map_or_else(
            || "Find out at the provider what becomes of the key, and treat it as both.".to_owned(),
            |rule| rule.action.clone(),
        ),
        rule: citation,
        evidence: evidence(change, history, key, interval),
    }
}

fn affected(inputs: &Inputs<'_>, key: &Key, interval: &KeyInterval) -> AffectedKey {
    let project = inputs
        .history
        .project_of(key)
        .map(|project| project.name.clone());
    let name = project.as_deref().unwrap_or_default();
    let (environment, _) = inputs.policy.environment(&key.tags, &key.label, name);
    let seen = key.use_as_of(inputs.change.effective_at);
    AffectedKey {
        provider: key.provider.clone(),
        project: key.project.clone(),
        project_name: project,
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
    }
}

/// How much the key was used, and how to say it.
fn usage(inputs: &Inputs<'_>, key: &AffectedKey) -> (Use, String) {
    let window = SignedDuration::try_from(inputs.policy.traffic_window).unwrap_or_default();
    let since = inputs
        .change
        .effective_at
        .saturating_sub(window)
        .unwrap_or(Timestamp::MIN);
    let lately = key.last_used_at.is_some_and(|at| at >= since);
    match key.requests_7d {
        None if lately => (Use::Active, "used lately".to_owned()),
        None => (Use::Unknown, "its use is not known".to_owned()),
        Some(0) if lately => (Use::Active, "used lately".to_owned()),
        Some(0) => match key.last_used_at {
            Some(at) => (
                Use::Idle,
                format!("no request in 7 days, the last one on {}", day(at)),
            ),
            None => (Use::Idle, "no request known".to_owned()),
        },
        Some(count) => (Use::Active, format!("{count} requests in 7 days")),
    }
}

fn assess(inputs: &Inputs<'_>, key: &AffectedKey, judgement: &Judgement<'_>) -> Assessment {
    let (usage, used) = usage(inputs, key);
    let environment = environment_reason(inputs, key);
    if judgement.expired {
        let reasons = vec!["it stops on its own date, with or without this change".to_owned()];
        return Assessment {
            level: Severity::Info,
            reasons,
        };
    }
    let mut reasons = vec![environment, used];
    let mut level = inputs
        .policy
        .severity_of(judgement.fate, key.environment, usage);
    reasons.push(match judgement.fate {
        Fate::Dies => "callers lose it for good".to_owned(),
        Fate::Dormant => "callers lose it, it may come back".to_owned(),
        Fate::Shrinks => format!("loses {}", judgement.lost_scopes.join(", ")),
        Fate::Survives => "stays alive in the person's hands".to_owned(),
        Fate::Blocks => "the removal is refused".to_owned(),
        Fate::Unknown => "nobody documents what becomes of it".to_owned(),
    });
    if judgement.stays_alive() && judgement.fate != Fate::Survives {
        level = level.max(
            inputs
                .policy
                .severity_of(Fate::Survives, key.environment, usage),
        );
        if judgement.fate != Fate::Unknown {
            reasons.push("until then it stays alive in the person's hands".to_owned());
        }
    }
    Assessment { level, reasons }
}

fn environment_reason(inputs: &Inputs<'_>, key: &AffectedKey) -> String {
    let name = key.project_name.as_deref().unwrap_or_default();
    let (environment, why) = inputs.policy.environment(&key.tags, &key.label, name);
    let what = match environment {
        Environment::Production => "production",
        Environment::NonProduction => "not production",
        Environment::Unknown => "nothing says whether it is production",
    };
    why.map_or_else(|| what.to_owned(), |why| format!("{what}: {why}"))
}

fn evidence(
    change: &MembershipChange,
    history: &PersonHistory,
    key: &Key,
    interval: &KeyInterval,
) -> Vec<Evidence> {
    let who = interval
        .creator
        .email
        .as_ref()
        .map_or(interval.creator.id.as_str(), |e| e.as_str());
    let mut all = vec![Evidence {
        fact: format!("{} says that {who} created the key", key.provider),
        at: key.created_at.or(interval.valid_from),
    }];
    if let Some(seen) = key.use_as_of(change.effective_at) {
        all.push(Evidence {
            fact: format!("{} requests in the 7 days before", seen.requests_7d),
            at: Some(seen.as_of),
        });
    }
    if let Some(gone) = interval.valid_to {
        let last = interval
            .last_seen
            .map_or_else(String::new, |at| format!(", last seen {at}"));
        all.push(Evidence {
            fact: format!("the key is gone{last}"),
            at: Some(gone),
        });
    }
    all.push(Evidence {
        fact: format!(
            "{} reported {} of {}",
            change.source, change.change, history.person
        ),
        at: Some(change.effective_at),
    });
    if let Some(later) = undone_by(&history.changes, change) {
        all.push(Evidence {
            fact: format!("{} reported {} later", later.source, later.change),
            at: Some(later.effective_at),
        });
    }
    all
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}
