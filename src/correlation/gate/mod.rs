//! Whether a removal is safe: a reading of a report, as pure as the report.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    ownership::PersonHistory,
    traffic::{Traffic, traffic},
};
use crate::domain::{
    Fate, Impact, OutcomeResult, Report, Severity,
    impact::{AffectedKey, Environment},
};

/// What safety is asked of.
#[derive(Debug, Clone, Copy)]
pub struct Removal<'a> {
    /// What the removal does.
    pub report: &'a Report,
    /// What the report rests on.
    pub history: &'a PersonHistory,
    /// When it is asked.
    pub now: Timestamp,
    /// How long traffic counts.
    pub window: Duration,
    /// The keys that somebody accepts to lose: `ID`, or `PROVIDER/PROJECT/ID`.
    pub accepted: &'a [String],
}

/// Whether a removal is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// No production key with traffic stops, but for accepted ones.
    Safe,
    /// One does, or nobody knows whether one does.
    NotSafe,
    /// No inventory knows the person, so nothing is known of their keys.
    UnknownPerson,
}

/// What one key says to a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not while it is as it is.
    Blocks,
    /// Nothing says whether it is production, and it may be in use.
    Doubtful,
    /// It would block, and somebody accepts that.
    Accepted,
    /// It is no reason to wait.
    Clear,
}

impl Verdict {
    /// The name in JSON and tables.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Doubtful => "doubtful",
            Self::Accepted => "accepted",
            Self::Clear => "clear",
        }
    }
}

/// One key at the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// What it says.
    pub verdict: Verdict,
    /// Why, for a person to read.
    pub why: String,
    /// What becomes of it.
    pub fate: Fate,
    /// Whether it is in use.
    pub traffic: Traffic,
    /// Which key.
    pub key: AffectedKey,
}

/// The keys of a removal, the worst first, and whether it is safe; `is_strict`: doubt is a reason
/// to wait.
#[must_use]
pub fn gate(removal: &Removal<'_>, is_strict: bool) -> (Answer, Vec<Judged>) {
    let open = |impact: &&Impact| impact.status.is_unresolved();
    let impacts = removal.report.impacts.iter().filter(open);
    let mut keys: Vec<Judged> = impacts.map(|impact| judge(removal, impact)).collect();
    // Stable: within a verdict the order stays that of the report.
    keys.sort_by_key(|key| key.verdict);
    let waits = |key: &Judged| match key.verdict {
        Verdict::Blocks => true,
        Verdict::Doubtful => is_strict,
        Verdict::Accepted | Verdict::Clear => false,
    };
    let answer = match removal.report.outcome.result {
        OutcomeResult::UnknownPerson => Answer::UnknownPerson,
        OutcomeResult::Ambiguous => Answer::NotSafe,
        _ if keys.iter().any(waits) => Answer::NotSafe,
        OutcomeResult::Report | OutcomeResult::NoKeys | OutcomeResult::NoEffect => Answer::Safe,
    };
    (answer, keys)
}

fn judge(removal: &Removal<'_>, impact: &Impact) -> Judged {
    let key = &impact.key;
    let known = removal.history.keys.iter().find(|known| {
        (&known.provider, &known.project, &known.id) == (&key.provider, &key.project, &key.id)
    });
    let traffic = known.map_or(Traffic::Unknown, |known| {
        traffic(known, removal.now, removal.window)
    });
    let (verdict, why) = reason(impact, traffic, days(removal.window));
    let would_wait = matches!(verdict, Verdict::Blocks | Verdict::Doubtful);
    let (verdict, why) = if would_wait && is_accepted(removal.accepted, key) {
        (Verdict::Accepted, format!("{why}; accepted by hand"))
    } else {
        (verdict, why)
    };
    Judged {
        verdict,
        why,
        fate: impact.fate,
        traffic,
        key: key.clone(),
    }
}

fn reason(impact: &Impact, traffic: Traffic, days: u64) -> (Verdict, String) {
    let stops = match impact.fate {
        Fate::Blocks => return (Verdict::Blocks, "the removal itself is refused".to_owned()),
        Fate::Survives => {
            let why = "it stays alive in the person's hands";
            return (Verdict::Clear, why.to_owned());
        }
        _ if impact.severity.level == Severity::Info => {
            let why = "it stops on its own date, with or without the removal";
            return (Verdict::Clear, why.to_owned());
        }
        Fate::Dies => "it stops for good",
        Fate::Dormant => "it stops",
        Fate::Shrinks => "it may do less",
        Fate::Unknown => "nobody documents what becomes of it",
    };
    let used = match traffic {
        Traffic::Active => format!("it had traffic in the last {days} days"),
        Traffic::Unknown => format!("nobody knows of its traffic in the last {days} days"),
        Traffic::Idle => {
            let why = format!("no traffic in the last {days} days");
            return (Verdict::Clear, why);
        }
    };
    match impact.key.environment {
        Environment::NonProduction => (Verdict::Clear, "it is not production".to_owned()),
        Environment::Production => (Verdict::Blocks, format!("{stops}, and {used}")),
        Environment::Unknown => (
            Verdict::Doubtful,
            format!("{stops}, {used}, and nothing says whether it is production"),
        ),
    }
}

/// Whether `accepted` names the key.
fn is_accepted(accepted: &[String], key: &AffectedKey) -> bool {
    let whole = format!("{}/{}/{}", key.provider, key.project, key.id);
    accepted
        .iter()
        .any(|name| *name == key.id || *name == whole)
}

/// A part of a day counts as one.
fn days(window: Duration) -> u64 {
    window.as_secs().div_ceil(86_400)
}
