//! How long to wait, how often to try again, and when to give up. No IO.

use std::time::Duration;

use jiff::Timestamp;

/// Bounds of one call. Deepgram publishes no limits for its management API.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For a connection.
    pub(super) connect: Duration,
    /// For one whole answer.
    pub(super) request: Duration,
    /// The first included.
    pub(super) attempts: u32,
    /// Before the second attempt; doubles from then on.
    pub(super) base: Duration,
    /// The longest pause of our own.
    pub(super) cap: Duration,
    /// The longest pause that we grant a `Retry-After`.
    pub(super) longest: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(20),
            attempts: 5,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(15),
            longest: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// The pause after the failed `attempt` (from 1); absent: give up.
    ///
    /// `jitter` is from 0 to 1 and takes off up to half of our own pause. A `Retry-After` is never
    /// cut short: what asks for more than we grant ends the trying.
    pub(super) fn pause(
        &self,
        attempt: u32,
        retry_after: Option<Duration>,
        jitter: f64,
    ) -> Option<Duration> {
        if attempt >= self.attempts || retry_after.is_some_and(|asked| asked > self.longest) {
            return None;
        }
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let full = self.base.saturating_mul(doubled).min(self.cap);
        let own = full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0);
        Some(own.max(retry_after.unwrap_or_default()))
    }
}

/// A `Retry-After` header: seconds, or a date (RFC 9110 section 10.2.3).
pub(super) fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, proptest};
    use rstest::rstest;

    use super::{Limits, parse_retry_after};

    #[rstest]
    #[case(1, None, Some(500))]
    #[case(2, None, Some(1000))]
    #[case(4, None, Some(4000))]
    #[case(5, None, None)]
    #[case(1, Some(7), Some(7000))]
    #[case(1, Some(60), Some(60_000))]
    #[case(1, Some(61), None)]
    fn pauses_double_obey_the_server_and_end(
        #[case] attempt: u32,
        #[case] retry_after: Option<u64>,
        #[case] millis: Option<u64>,
    ) {
        let asked = retry_after.map(Duration::from_secs);
        let pause = Limits::default().pause(attempt, asked, 0.0);
        assert_eq!(pause, millis.map(Duration::from_millis));
    }

    #[rstest]
    #[case("120", Some(120))]
    #[case("Tue, 24 Nov 2026 12:00:30 GMT", Some(30))]
    #[case("Tue, 24 Nov 2026 11:00:00 GMT", Some(0))]
    #[case("soon", None)]
    #[case("-1", None)]
    fn a_retry_after_is_seconds_or_a_date(#[case] value: &str, #[case] seconds: Option<u64>) {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let read = parse_retry_after(value, now);
        assert_eq!(read, seconds.map(Duration::from_secs));
    }

    proptest! {
        #[test]
        fn no_pause_is_shorter_than_asked_or_longer_than_granted(
            attempt in 1_u32..10,
            asked in any::<Option<u16>>(),
            jitter in 0.0_f64..1.0,
        ) {
            let limits = Limits::default();
            let asked = asked.map(|seconds| Duration::from_secs(seconds.into()));
            if let Some(pause) = limits.pause(attempt, asked, jitter) {
                prop_assert!(pause >= asked.unwrap_or_default());
                prop_assert!(pause <= limits.longest.max(limits.cap));
            }
        }
    }
}
