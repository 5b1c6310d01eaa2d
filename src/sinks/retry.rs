//! When a failed attempt is repeated. Pure.

use std::time::Duration;

/// Exponential, with jitter, for a limited time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The bound of the first delay; it doubles with every attempt.
    pub first: Duration,
    /// The bound that no delay exceeds.
    pub most: Duration,
    /// How long after the first attempt a last one is made.
    pub retry_for: Duration,
}

impl Default for Schedule {
    /// 5 s doubling to 10 h, over 3 days.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            most: Duration::from_hours(10),
            retry_for: Duration::from_hours(72),
        }
    }
}

impl Schedule {
    /// The longest delay after `attempts` failures.
    #[must_use]
    pub fn bound(&self, attempts: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.most)
    }

    /// How long to wait after `attempts` failures, `elapsed` after the first attempt began; nothing
    /// when it is time to give up.
    ///
    /// `fraction` in `[0, 1]` spreads the delay between half the first delay and the bound, so
    /// that receivers that failed together are not asked together. The receiver's own wish
    /// (`after`) is never undercut. The last attempt falls on the end of `retry_for`.
    #[must_use]
    pub fn delay(
        &self,
        attempts: u32,
        elapsed: Duration,
        fraction: f64,
        after: Option<Duration>,
    ) -> Option<Duration> {
        let left = self
            .retry_for
            .checked_sub(elapsed)
            .filter(|left| !left.is_zero())?;
        let bound = self.bound(attempts);
        let floor = (self.first / 2).min(bound);
        let spread = (bound - floor).mul_f64(fraction.clamp(0.0, 1.0));
        Some((floor + spread).min(left).max(after.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::Schedule;

    #[rstest]
    #[case(1, 5)]
    #[case(2, 10)]
    #[case(5, 80)]
    #[case(13, 20_480)]
    #[case(14, 36_000)]
    #[case(u32::MAX, 36_000)]
    fn the_bound_doubles_until_ten_hours(#[case] attempts: u32, #[case] seconds: u64) {
        let bound = Schedule::default().bound(attempts);
        assert_eq!(bound, Duration::from_secs(seconds));
    }

    #[test]
    fn the_receivers_wish_is_never_undercut() {
        let wish = Duration::from_mins(30);
        let delay = Schedule::default().delay(1, Duration::ZERO, 0.5, Some(wish));
        assert_eq!(delay, Some(wish));
    }

    #[test]
    fn the_last_attempt_falls_on_the_end_and_then_it_is_given_up() {
        let schedule = Schedule::default();
        let late = schedule.retry_for - Duration::from_secs(9);
        let last = schedule.delay(30, late, 1.0, None);
        assert_eq!(last, Some(Duration::from_secs(9)));
        assert_eq!(schedule.delay(31, schedule.retry_for, 1.0, None), None);
    }

    proptest! {
        #[test]
        fn every_delay_lies_within_its_bounds(attempts in 1_u32..200, fraction in 0.0..=1.0_f64) {
            let schedule = Schedule::default();
            let delay = schedule.delay(attempts, Duration::ZERO, fraction, None).unwrap();
            prop_assert!(delay >= schedule.first / 2);
            prop_assert!(delay <= schedule.bound(attempts));
            prop_assert!(schedule.bound(attempts) <= schedule.bound(attempts + 1));
        }

        #[test]
        fn more_luck_is_never_a_shorter_delay(attempts in 1_u32..50, a in 0.0..=1.0_f64, b in 0.0..=1.0_f64) {
            let schedule = Schedule::default();
            let at = |fraction| schedule.delay(attempts, Duration::ZERO, fraction, None).unwrap();
            prop_assert!(at(a.min(b)) <= at(a.max(b)));
        }

        #[test]
        fn all_delays_together_last_as_long_as_it_is_retried(fractions in prop::collection::vec(0.01..=1.0_f64, 3_000)) {
            let schedule = Schedule::default();
            let mut elapsed = Duration::ZERO;
            let mut attempts = 0;
            for fraction in fractions {
                attempts += 1;
                let Some(delay) = schedule.delay(attempts, elapsed, fraction, None) else {
                    break;
                };
                elapsed += delay;
            }
            prop_assert_eq!(elapsed, schedule.retry_for);
        }
    }
}
