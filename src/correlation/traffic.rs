//! Whether a key had traffic within a window: what was observed, and no more than that.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::Key;

/// What one observation of use counts: the requests in the 7 days before it.
const SPAN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whether a key had traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// It had, or may have had at the edge of the window.
    Active,
    /// It had none.
    Idle,
    /// Nobody looked, or not long enough, or too long ago.
    Unknown,
}

impl Traffic {
    /// The name in JSON and tables.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether `key` had traffic in the `window` before `now`.
///
/// That it had none has to be seen: the observations must reach from the beginning of the window
/// into it without a gap, or the provider must tell an older last use.
#[must_use]
pub fn traffic(key: &Key, now: Timestamp, window: Duration) -> Traffic {
    let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
    let since = now.saturating_sub(window).unwrap_or(Timestamp::MIN);
    let seen = || key.uses.iter().rev().filter(|seen| seen.as_of <= now);
    let mut last_uses = seen().filter_map(|seen| seen.last_used_at);
    if last_uses.any(|at| at >= since) {
        return Traffic::Active;
    }
    let Some(newest) = seen().next().filter(|newest| newest.as_of >= since) else {
        return Traffic::Unknown;
    };
    let is_last_use_told = newest.last_used_at.is_some();
    let mut covered_from = newest.as_of;
    for seen in seen().take_while(|seen| seen.as_of >= since) {
        if seen.as_of < covered_from {
            break;
        }
        if seen.requests_7d > 0 {
            // They may lie before a window that is shorter than what was counted.
            let are_older = is_last_use_told && window < SPAN;
            return if are_older {
                Traffic::Idle
            } else {
                Traffic::Active
            };
        }
        let from = seen.as_of.saturating_sub(SPAN).unwrap_or(Timestamp::MIN);
        covered_from = covered_from.min(from);
        if covered_from <= since {
            return Traffic::Idle;
        }
    }
    if is_last_use_told {
        Traffic::Idle
    } else {
        Traffic::Unknown
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};
    use rstest::rstest;

    use super::{Traffic, traffic};
    use crate::domain::{Key, KeyUse};

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn days_ago(days: i64) -> Timestamp {
        NOW - SignedDuration::from_hours(24 * days)
    }

    fn key(uses: &[(i64, u64, Option<i64>)]) -> Key {
        let seen = |&(as_of, requests_7d, last): &(i64, u64, Option<i64>)| KeyUse {
            as_of: days_ago(as_of),
            requests_7d,
            last_used_at: last.map(days_ago),
        };
        Key {
            provider: "dg".to_owned(),
            project: "p1".to_owned(),
            id: "k1".to_owned(),
            label: String::new(),
            class: "project-key".to_owned(),
            created_at: None,
            expires_at: None,
            tags: Vec::new(),
            history: Vec::new(),
            uses: uses.iter().map(seen).collect(),
        }
    }

    #[rstest]
    #[case::nobody_looked(&[], 7, Traffic::Unknown)]
    #[case::requests(&[(0, 5, None)], 7, Traffic::Active)]
    #[case::none(&[(0, 0, None)], 7, Traffic::Idle)]
    #[case::none_any_more(&[(6, 9, None), (0, 0, None)], 7, Traffic::Idle)]
    #[case::a_last_use_within(&[(0, 0, Some(6))], 7, Traffic::Active)]
    #[case::a_last_use_before(&[(0, 0, Some(40))], 30, Traffic::Idle)]
    #[case::looked_too_long_ago(&[(8, 0, None)], 7, Traffic::Unknown)]
    #[case::looked_not_long_enough(&[(0, 0, None)], 30, Traffic::Unknown)]
    #[case::looked_all_the_time(&[(28, 0, None), (21, 0, None), (14, 0, None), (7, 0, None), (0, 0, None)], 30, Traffic::Idle)]
    #[case::looked_with_a_gap(&[(28, 0, None), (21, 0, None), (0, 0, None)], 30, Traffic::Unknown)]
    #[case::requests_earlier_in_a_long_window(&[(7, 3, None), (0, 0, None)], 30, Traffic::Active)]
    #[case::requests_before_a_short_window(&[(0, 5, Some(3))], 2, Traffic::Idle)]
    #[case::perhaps_in_a_short_window(&[(0, 5, None)], 2, Traffic::Active)]
    #[case::sources_that_contradict_themselves(&[(0, 5, Some(40))], 30, Traffic::Active)]
    #[case::the_same_in_a_window_of_a_week(&[(0, 5, Some(40))], 7, Traffic::Active)]
    #[case::seen_later(&[(-1, 5, None)], 7, Traffic::Unknown)]
    fn only_what_was_seen_counts(
        #[case] uses: &[(i64, u64, Option<i64>)],
        #[case] days: u64,
        #[case] expected: Traffic,
    ) {
        let window = Duration::from_secs(days * 86_400);
        assert_eq!(traffic(&key(uses), NOW, window), expected);
    }

    #[test]
    fn its_name_is_the_one_in_json() {
        for one in [Traffic::Active, Traffic::Idle, Traffic::Unknown] {
            assert_eq!(serde_json::to_value(one).unwrap(), one.label());
        }
    }
}
