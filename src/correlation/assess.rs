//! How bad one impact is, and every reason for it.

use jiff::{SignedDuration, Timestamp};

use super::{
    inputs::Inputs,
    judge::Judgement,
    severity::{Case, Proof, TimeLeft, Use, decide},
    ties::Tie,
};
use crate::domain::{
    Fate, Replacement, Returns, Severity,
    impact::{AffectedKey, Assessment, Environment},
};

/// What there is to know beside the judgement.
pub(super) struct About<'a> {
    pub(super) key: &'a AffectedKey,
    pub(super) act_by: Timestamp,
    pub(super) successor: bool,
    pub(super) replaced_by: Option<&'a Replacement>,
}

/// How bad it is.
pub(super) fn assess(
    inputs: &Inputs<'_>,
    judgement: &Judgement<'_>,
    about: &About<'_>,
) -> Assessment {
    if judgement.expired {
        return Assessment {
            level: Severity::Info,
            reasons: vec!["it stops on its own date, with or without this change".to_owned()],
            decided_by: "the key's own date, before any row".to_owned(),
        };
    }
    let (usage, used) = usage(inputs, about.key);
    let case = Case {
        fate: judgement.fate,
        environment: about.key.environment,
        usage,
        proof: proof(judgement),
        time_left: time_left(inputs, about.act_by),
        successor: about.successor,
        ours: about.key.ours,
        returns: judgement.returns,
        replaced: about.replaced_by.is_some(),
    };
    let table = &inputs.policy.severity;
    let worst = fates(judgement)
        .map(|fate| decide(table, &Case { fate, ..case }))
        .fold(decide(table, &case), |worst, other| {
            if other.level > worst.level {
                other
            } else {
                worst
            }
        });
    let mut reasons = Vec::new();
    if about.key.ours {
        let provider = &about.key.provider;
        reasons.push(format!("Offkey reads {provider} with it"));
    }
    reasons.extend([environment(inputs, about.key), used]);
    reasons.push(outcome(judgement));
    reasons.extend(further(judgement, about, case));
    Assessment {
        level: worst.level,
        reasons,
        decided_by: worst.said(table),
    }
}

/// The fates that count beside the one that is told: what holds until then, and what comes after.
fn fates(judgement: &Judgement<'_>) -> impl Iterator<Item = Fate> {
    let lives =
        judgement.returns.is_none() && judgement.fate != Fate::Survives && judgement.stays_alive();
    let lives = lives.then_some(Fate::Survives);
    lives.into_iter().chain(judgement.afterwards)
}

/// What becomes of the key, in words.
fn outcome(judgement: &Judgement<'_>) -> String {
    match (judgement.returns, judgement.fate) {
        (Some(Returns::ComesBack), _) => "comes back with the person".to_owned(),
        (Some(Returns::NeverStopped), _) => "works all the time".to_owned(),
        (Some(Returns::GoneForGood), _) => "does not come back with the person".to_owned(),
        (Some(Returns::Unknown), _) => {
            "nobody documents whether it comes back with the person".to_owned()
        }
        (None, Fate::Dies) => "callers lose it for good".to_owned(),
        (None, Fate::Dormant) => "callers lose it, it may come back".to_owned(),
        (None, Fate::Shrinks) if judgement.lost_scopes.is_empty() => {
            "loses what the person may no longer reach".to_owned()
        }
        (None, Fate::Shrinks) => format!("loses {}", judgement.lost_scopes.join(", ")),
        (None, Fate::Survives) if matches!(judgement.tie, Tie::Behind(_)) => {
            "stays alive, and loses its human".to_owned()
        }
        (None, Fate::Survives) => "stays alive in the person's hands".to_owned(),
        (None, Fate::Blocks) => "the removal is refused".to_owned(),
        (None, Fate::Unknown) if matches!(judgement.tie, Tie::Perhaps(_)) => {
            "nobody knows whose it is".to_owned()
        }
        (None, Fate::Unknown)
            if judgement
                .rule
                .is_some_and(|rule| rule.fate != Fate::Unknown) =>
        {
            "nobody can tell what becomes of it".to_owned()
        }
        (None, Fate::Unknown) => "nobody documents what becomes of it".to_owned(),
    }
}

fn further(judgement: &Judgement<'_>, about: &About<'_>, case: Case) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(judgement.note.clone());
    if let Some(Replacement { id, label, creator }) = about.replaced_by {
        all.push(format!("{creator} replaced it by {label} ({id}) meanwhile"));
    }
    let waits = judgement.returns.is_none() && judgement.stays_alive();
    if waits && !matches!(judgement.fate, Fate::Survives | Fate::Unknown) {
        all.push("until then it stays alive in the person's hands".to_owned());
    }
    if let Some(fate) = judgement.afterwards {
        all.push(format!("once the removal goes through it {fate}"));
    }
    let goes = |fate| matches!(fate, Fate::Dies | Fate::Dormant | Fate::Shrinks);
    let along = judgement.takes_along();
    let along = along.iter().filter(|one| goes(one.fate));
    all.extend(along.map(|one| format!("takes along: {} ({})", one.what, one.fate)));
    if case.proof == Proof::Inferred {
        all.push("no page says it outright".to_owned());
    }
    if case.time_left == TimeLeft::Ample {
        all.push("there is time to move its callers".to_owned());
    }
    if !case.successor && judgement.returns.is_none() {
        all.push("nobody is ready to take it over".to_owned());
    }
    all
}

fn proof(judgement: &Judgement<'_>) -> Proof {
    match judgement.rule {
        None if matches!(judgement.tie, Tie::Behind(_)) => Proof::Inferred,
        None => Proof::Undocumented,
        Some(_) if judgement.fate == Fate::Unknown => Proof::Undocumented,
        Some(rule) if rule.inferred.is_some() => Proof::Inferred,
        Some(_) => Proof::Documented,
    }
}

/// What was left when the source said it: the clock of whoever asks must not change the report.
fn time_left(inputs: &Inputs<'_>, act_by: Timestamp) -> TimeLeft {
    let left = act_by.duration_since(inputs.change.published_at);
    let ample = SignedDuration::try_from(inputs.policy.ample_notice);
    if left <= SignedDuration::ZERO {
        TimeLeft::None
    } else if left < ample.unwrap_or(SignedDuration::MAX) {
        TimeLeft::Short
    } else {
        TimeLeft::Ample
    }
}

/// How much the key was used, and how to say it.
fn usage(inputs: &Inputs<'_>, key: &AffectedKey) -> (Use, String) {
    let change = inputs.change;
    let used_within = |window| {
        let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
        let since = change.effective_at.saturating_sub(window);
        let since = since.unwrap_or(Timestamp::MIN);
        key.last_used_at.is_some_and(|at| at >= since)
    };
    let lately = used_within(inputs.policy.traffic_window);
    match key.requests_7d {
        None => (Use::Unknown, "its use is not known".to_owned()),
        Some(0) if lately => (Use::Active, "used lately".to_owned()),
        Some(0) => match key.last_used_at {
            Some(at) if used_within(inputs.policy.seasonal_window) => (
                Use::Seasonal,
                format!(
                    "no request in 7 days, the last one on {}, as if it were used monthly",
                    day(at)
                ),
            ),
            Some(at) => (
                Use::Idle,
                format!("no request in 7 days, the last one on {}", day(at)),
            ),
            None => (Use::Idle, "no request known".to_owned()),
        },
        Some(count) => (Use::Active, format!("{count} requests in 7 days")),
    }
}

fn environment(inputs: &Inputs<'_>, key: &AffectedKey) -> String {
    let name = key.project_name.as_deref().unwrap_or_default();
    let (environment, why) = inputs.policy.environment(&key.tags, &key.label, name);
    let what = match environment {
        Environment::Production => "production",
        Environment::NonProduction => "not production",
        Environment::Unknown => "nothing says whether it is production",
    };
    why.map_or_else(|| what.to_owned(), |why| format!("{what}: {why}"))
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}
