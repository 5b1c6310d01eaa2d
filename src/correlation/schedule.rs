//! When somebody has to be reminded of what is not resolved: pure.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer};

use crate::domain::{
    Impact, MembershipChange, Report, Severity,
    reminder::{Distance, Reminder, Unresolved},
    whole_microseconds,
};

/// How far from a deadline somebody is reminded of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reminders {
    /// So long before it.
    #[serde(deserialize_with = "durations")]
    pub before: Vec<Duration>,
    /// So long after it, while nobody has acted.
    #[serde(deserialize_with = "durations")]
    pub after: Vec<Duration>,
}

impl Default for Reminders {
    fn default() -> Self {
        let hours = |hours: &[u64]| {
            let all = hours.iter();
            all.map(|hours| Duration::from_secs(hours * 3600)).collect()
        };
        Self {
            before: hours(&[30 * 24, 7 * 24, 24, 4]),
            after: hours(&[0, 24, 7 * 24]),
        }
    }
}

fn durations<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Duration>, D::Error> {
    let all = Vec::<humantime_serde::Serde<Duration>>::deserialize(from)?;
    Ok(all.into_iter().map(|one| *one).collect())
}

/// What reminders depend on beside the report.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The change that the report is of.
    pub change: &'a MembershipChange,
    /// When we heard of it: the report itself said what was due before.
    pub heard_at: Timestamp,
    /// Of each deadline, when the latest reminder that was given was due.
    pub given: &'a BTreeMap<Timestamp, Timestamp>,
    /// The time.
    pub now: Timestamp,
}

/// The reminders to give now, and when the next one is due.
///
/// Of several that are due for one deadline only the nearest is given, and none that was due before
/// one that was given: a clock that jumps neither loses a reminder nor repeats one.
#[must_use]
pub fn remind(
    report: &Report,
    occasion: &Occasion<'_>,
    reminders: &Reminders,
) -> (Vec<Reminder>, Option<Timestamp>) {
    let mut deadlines: BTreeMap<Timestamp, Vec<&Impact>> = BTreeMap::new();
    for impact in &report.impacts {
        if impact.status.is_unresolved() && impact.severity.level > Severity::Info {
            deadlines.entry(impact.act_by).or_default().push(impact);
        }
    }
    let since = occasion.heard_at.max(occasion.change.published_at);
    let (mut due, mut next) = (Vec::new(), None::<Timestamp>);
    for (act_by, impacts) in deadlines {
        let given = occasion.given.get(&act_by).copied().unwrap_or(since);
        let ahead = |at: &Timestamp| *at > given.max(since);
        let moments = moments(act_by, reminders);
        let all = moments.iter().filter(|(at, _)| ahead(at));
        let (past, coming): (Vec<_>, Vec<_>) = all.partition(|(at, _)| *at <= occasion.now);
        if let Some((due_at, distance)) = past.last() {
            due.push(reminder(report, &impacts, (act_by, *due_at, *distance)));
        }
        let first = coming.first().map(|(at, _)| *at);
        next = next.into_iter().chain(first).min();
    }
    (due, next)
}

/// When to remind of a deadline, earliest first.
fn moments(act_by: Timestamp, reminders: &Reminders) -> Vec<(Timestamp, Distance)> {
    let signed = |by: Duration| SignedDuration::try_from(by).ok();
    let before = reminders.before.iter().filter_map(|&by| {
        let at = act_by.checked_sub(signed(by)?).ok()?;
        Some((whole_microseconds(at), Distance::Before { by }))
    });
    let after = reminders.after.iter().filter_map(|&by| {
        let at = act_by.checked_add(signed(by)?).ok()?;
        Some((whole_microseconds(at), Distance::After { by }))
    });
    let mut all: Vec<_> = before.chain(after).collect();
    all.sort();
    all
}

fn reminder(
    report: &Report,
    impacts: &[&Impact],
    (act_by, due_at, distance): (Timestamp, Timestamp, Distance),
) -> Reminder {
    let outcome = &report.outcome;
    let unresolved = impacts.iter().map(|impact| Unresolved {
        impact_id: impact.impact_id,
        provider: impact.key.provider.clone(),
        project: impact.key.project.clone(),
        key: impact.key.id.clone(),
        label: impact.key.label.clone(),
        fate: impact.fate,
        severity: impact.severity.level,
        status: impact.status,
        recommended_action: impact.recommended_action.to_string(),
    });
    let worst = impacts.iter().map(|impact| impact.severity.level).max();
    Reminder {
        change_id: outcome.change_id,
        change: outcome.change,
        person: outcome.person.clone(),
        change_effective_at: outcome.effective_at,
        act_by,
        distance,
        due_at,
        report_digest: outcome.digest.clone(),
        severity: worst.unwrap_or(Severity::Info),
        impacts: unresolved.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
    use rstest::rstest;

    use super::{Occasion, Reminders, remind};
    use crate::domain::{
        Impact, MembershipChange, Outcome, Report, Severity, Status, impact::Assessment,
        reminder::Reminder,
    };

    fn report() -> (Report, MembershipChange) {
        let outcome = include_str!("../../schemas/examples/offkey.outcome.v1.1.json");
        let impact = include_str!("../../schemas/examples/offkey.impact.v1.1.json");
        let change = include_str!("../../schemas/examples/offkey.membership-change.v1.1.json");
        let outcome: Outcome = serde_json::from_str(outcome).unwrap();
        let mut impact: Impact = serde_json::from_str(impact).unwrap();
        let change: MembershipChange = serde_json::from_str(change).unwrap();
        impact.act_by = change.published_at + SignedDuration::from_hours(24 * 40);
        let impacts = vec![impact];
        (Report { outcome, impacts }, change)
    }

    /// Lets the clock stand at `now`; `given` is what was given before, and what is given now.
    fn tick(
        given: &mut BTreeMap<Timestamp, Timestamp>,
        now: Timestamp,
    ) -> (Vec<Reminder>, Option<Timestamp>) {
        let (report, change) = report();
        let heard_at = change.published_at;
        let occasion = Occasion {
            change: &change,
            heard_at,
            given,
            now,
        };
        let (due, next) = remind(&report, &occasion, &Reminders::default());
        for one in &due {
            let latest = given.entry(one.act_by).or_insert(one.due_at);
            *latest = (*latest).max(one.due_at);
        }
        (due, next)
    }

    #[rstest]
    #[case::open(Status::Open, Severity::High, true)]
    #[case::alive(Status::StillAlive, Severity::High, true)]
    #[case::for_the_record(Status::Open, Severity::Info, false)]
    #[case::confirmed(Status::Confirmed, Severity::High, false)]
    #[case::superseded(Status::Superseded, Severity::High, false)]
    #[case::withdrawn(Status::Withdrawn, Severity::High, false)]
    fn only_of_what_is_not_resolved_somebody_is_reminded(
        #[case] status: Status,
        #[case] level: Severity,
        #[case] expected: bool,
    ) {
        let (mut report, change) = report();
        report.impacts[0].status = status;
        let severity = Assessment {
            level,
            ..(*report.impacts[0].severity).clone()
        };
        report.impacts[0].severity = severity.into();
        let occasion = Occasion {
            change: &change,
            heard_at: change.published_at,
            given: &BTreeMap::new(),
            now: report.impacts[0].act_by,
        };
        let (due, next) = remind(&report, &occasion, &Reminders::default());
        assert_eq!((due.len() == 1, next.is_some()), (expected, expected));
    }

    #[test]
    fn the_operator_says_when_in_hours_and_days() {
        let said: Reminders = toml::from_str("before = [\"2days\", \"4h\"]\nafter = []").unwrap();
        let expected = Reminders {
            before: vec![
                Duration::from_secs(2 * 86_400),
                Duration::from_secs(4 * 3600),
            ],
            after: Vec::new(),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn what_was_due_before_anybody_told_us_the_report_said_itself() {
        let (report, change) = report();
        let act_by = report.impacts[0].act_by;
        let occasion = Occasion {
            change: &change,
            heard_at: act_by - SignedDuration::from_hours(2),
            given: &BTreeMap::new(),
            now: act_by - SignedDuration::from_hours(1),
        };
        let (due, next) = remind(&report, &occasion, &Reminders::default());
        assert_eq!((due.len(), next), (0, Some(act_by)));
    }

    proptest! {
        #[test]
        fn however_the_clock_jumps_no_reminder_comes_twice_and_the_last_one_comes(
            jumps in prop::collection::vec(any::<u16>(), 0..40),
        ) {
            let (report, change) = report();
            let mut given = BTreeMap::new();
            let mut all = Vec::new();
            for jump in jumps {
                let now = change.published_at + SignedDuration::from_mins(i64::from(jump) * 2);
                let (due, next) = tick(&mut given, now);
                prop_assert!(due.len() <= 1, "never several at once");
                prop_assert!(next.is_none_or(|next| next > now));
                all.extend(due);
                let (again, _) = tick(&mut given, now);
                prop_assert!(again.is_empty(), "asked again, nothing is due");
            }
            let last = report.impacts[0].act_by + SignedDuration::from_hours(24 * 8);
            all.extend(tick(&mut given, last).0);
            let due: Vec<Timestamp> = all.iter().map(|one| one.due_at).collect();
            prop_assert!(due.is_sorted_by(|one, next| one < next));
            let overdue = report.impacts[0].act_by + SignedDuration::from_hours(24 * 7);
            prop_assert_eq!(due.last(), Some(&overdue));
        }
    }
}
