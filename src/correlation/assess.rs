//! How bad one impact is, and every reason for it.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::{
    common::Common,
    inputs::Inputs,
    judge::Judgement,
    severity::{Case, Proof, TimeLeft, Use, decide},
    ties::Tie,
};
use crate::domain::{
    Fate, Replacement, Returns, Severity, Shared,
    impact::{AffectedKey, Assessment, Environment},
};

/// One sentence that says why.
type Reason = Cow<'static, str>;

/// What there is to know beside the judgement.
pub(super) struct About<'k, 'a> {
    pub(super) key: &'k AffectedKey,
    /// What says where it is used.
    pub(super) environment: Option<(&'static str, &'a str)>,
    pub(super) act_by: Timestamp,
    pub(super) successor: bool,
    pub(super) replaced_by: Option<&'k Replacement>,
}

/// What an assessment depends on, of a key of which there is nothing particular to say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alike<'a> {
    expired: bool,
    fate: Fate,
    afterwards: Option<Fate>,
    returns: Option<Returns>,
    effective_at: Option<Timestamp>,
    rule: Option<&'a str>,
    environment: (Environment, Option<(&'static str, &'a str)>),
    requests_7d: Option<u64>,
    last_used_at: Option<Timestamp>,
    act_by: Timestamp,
    successor: bool,
}

impl<'a> Alike<'a> {
    /// Nothing: there is more to say of this one.
    fn of(judgement: &Judgement<'a>, about: &About<'_, 'a>) -> Option<Self> {
        let is_plain = judgement.lost_scopes.is_empty()
            && judgement.note.is_none()
            && judgement.tie == Tie::Own
            && about.replaced_by.is_none()
            && !about.key.ours;
        is_plain.then(|| Self {
            expired: judgement.expired,
            fate: judgement.fate,
            afterwards: judgement.afterwards,
            returns: judgement.returns,
            effective_at: judgement.effective_at,
            rule: judgement.rule.map(|rule| rule.id.as_str()),
            environment: (about.key.environment, about.environment),
            requests_7d: about.key.requests_7d,
            last_used_at: about.key.last_used_at,
            act_by: about.act_by,
            successor: about.successor,
        })
    }
}

/// How bad it is; of keys of which the same is to be said it is found out once.
pub(super) fn assess_alike<'a>(
    (inputs, common): (&Inputs<'a>, &Common<'a>),
    judgement: &Judgement<'a>,
    about: &About<'_, 'a>,
) -> Shared<Assessment> {
    let assess = || assess((inputs, common), judgement, about).into();
    match Alike::of(judgement, about) {
        Some(alike) => common.assessed(alike, assess),
        None => assess(),
    }
}

/// How bad it is.
pub(super) fn assess(
    (inputs, common): (&Inputs<'_>, &Common<'_>),
    judgement: &Judgement<'_>,
    about: &About<'_, '_>,
) -> Assessment {
    if judgement.expired {
        return Assessment {
            level: Severity::Info,
            reasons: vec!["it stops on its own date, with or without this change".into()],
            decided_by: "the key's own date, before any row".into(),
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
        reasons.push(format!("Offkey reads {provider} with it").into());
    }
    reasons.extend([environment(about), used]);
    reasons.push(outcome(judgement));
    reasons.extend(further(judgement, about, case));
    Assessment {
        level: worst.level,
        reasons,
        decided_by: common.decided_by(inputs, &worst),
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
fn outcome(judgement: &Judgement<'_>) -> Reason {
    let said = match (judgement.returns, judgement.fate) {
        (Some(Returns::ComesBack), _) => "comes back with the person",
        (Some(Returns::NeverStopped), _) => "works all the time",
        (Some(Returns::GoneForGood), _) => "does not come back with the person",
        (Some(Returns::Unknown), _) => "nobody documents whether it comes back with the person",
        (None, Fate::Dies) => "callers lose it for good",
        (None, Fate::Dormant) => "callers lose it, it may come back",
        (None, Fate::Shrinks) if judgement.lost_scopes.is_empty() => {
            "loses what the person may no longer reach"
        }
        (None, Fate::Shrinks) => {
            return format!("loses {}", judgement.lost_scopes.join(", ")).into();
        }
        (None, Fate::Survives) if matches!(judgement.tie, Tie::Behind(_)) => {
            "stays alive, and loses its human"
        }
        (None, Fate::Survives) => "stays alive in the person's hands",
        (None, Fate::Blocks) => "the removal is refused",
        (None, Fate::Unknown) if matches!(judgement.tie, Tie::Perhaps(_)) => {
            "nobody knows whose it is"
        }
        (None, Fate::Unknown)
            if judgement
                .rule
                .is_some_and(|rule| rule.fate != Fate::Unknown) =>
        {
            "nobody can tell what becomes of it"
        }
        (None, Fate::Unknown) => "nobody documents what becomes of it",
    };
    said.into()
}

fn further<'a>(
    judgement: &'a Judgement<'_>,
    about: &'a About<'_, '_>,
    case: Case,
) -> impl Iterator<Item = Reason> + 'a {
    let said = |when: bool, reason: &'static str| when.then_some(Cow::Borrowed(reason));
    let replaced = about.replaced_by.map(|other| {
        let Replacement { id, label, creator } = other;
        format!("{creator} replaced it by {label} ({id}) meanwhile").into()
    });
    let waits = judgement.returns.is_none()
        && judgement.stays_alive()
        && !matches!(judgement.fate, Fate::Survives | Fate::Unknown);
    let afterwards = judgement.afterwards;
    let goes = |fate| matches!(fate, Fate::Dies | Fate::Dormant | Fate::Shrinks);
    let along = judgement.takes_along().iter();
    let along = along.filter(move |one| goes(one.fate));
    let nobody = !case.successor && judgement.returns.is_none();
    let ample = case.time_left == TimeLeft::Ample;
    let note = judgement.note.clone().map(Reason::from);
    note.into_iter()
        .chain(replaced)
        .chain(said(
            waits,
            "until then it stays alive in the person's hands",
        ))
        .chain(afterwards.map(|fate| format!("once the removal goes through it {fate}").into()))
        .chain(along.map(|one| format!("takes along: {} ({})", one.what, one.fate).into()))
        .chain(said(
            case.proof == Proof::Inferred,
            "no page says it outright",
        ))
        .chain(said(ample, "there is time to move its callers"))
        .chain(said(nobody, "nobody is ready to take it over"))
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
fn usage(inputs: &Inputs<'_>, key: &AffectedKey) -> (Use, Reason) {
    let change = inputs.change;
    let used_within = |window| {
        let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
        let since = change.effective_at.saturating_sub(window);
        let since = since.unwrap_or(Timestamp::MIN);
        key.last_used_at.is_some_and(|at| at >= since)
    };
    let lately = used_within(inputs.policy.traffic_window);
    match key.requests_7d {
        None => (Use::Unknown, "its use is not known".into()),
        Some(0) if lately => (Use::Active, "used lately".into()),
        Some(0) => match key.last_used_at {
            Some(at) if used_within(inputs.policy.seasonal_window) => (
                Use::Seasonal,
                format!(
                    "no request in 7 days, the last one on {}, as if it were used monthly",
                    day(at)
                )
                .into(),
            ),
            Some(at) => (
                Use::Idle,
                format!("no request in 7 days, the last one on {}", day(at)).into(),
            ),
            None => (Use::Idle, "no request known".into()),
        },
        Some(count) => (Use::Active, format!("{count} requests in 7 days").into()),
    }
}

fn environment(about: &About<'_, '_>) -> Reason {
    let what = match about.key.environment {
        Environment::Production => "production",
        Environment::NonProduction => "not production",
        Environment::Unknown => "nothing says whether it is production",
    };
    about.environment.map_or(what.into(), |(place, text)| {
        format!("{what}: {place} {text:?}").into()
    })
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}
