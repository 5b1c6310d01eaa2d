//! Times as sources write them, and the bounds within which they make sense.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use serde::Deserialize;

use crate::domain::whole_microseconds;

/// How a time is written. It is configured and never guessed: vendors mix seconds and milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeFormat {
    /// `2026-03-01T12:00:00Z` (RFC 3339).
    Rfc3339,
    /// `2026-03-01T12:00:00` without an offset; read as UTC.
    CivilUtc,
    /// `2026-03-01`: the first moment of that day where the source is.
    Date,
    /// Whole seconds since 1970.
    Seconds,
    /// Whole milliseconds since 1970.
    Milliseconds,
}

/// 2000-01-01: what is older is a time in the wrong unit.
const EARLIEST: Timestamp = Timestamp::constant(946_684_800, 0);
/// How far ahead of us the clock of a source may be.
const MOST_SKEW: SignedDuration = SignedDuration::from_hours(24);
/// How far ahead a leave can be planned: ten years.
const FURTHEST_PLAN: SignedDuration = SignedDuration::from_hours(24 * 3653);

impl TimeFormat {
    /// Reads `text`, to the microsecond; a day begins as in UTC.
    ///
    /// # Errors
    /// What would be right, when the text is not written so.
    pub fn parse(self, text: &str) -> Result<Timestamp, String> {
        self.parse_in(text, &TimeZone::UTC)
    }

    /// Reads `text`, to the microsecond; a day begins as in `zone`.
    ///
    /// # Errors
    /// What would be right, when the text is not written so.
    pub fn parse_in(self, text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
        let number = || text.parse::<i64>().ok();
        let (time, wanted) = match self {
            Self::Rfc3339 => (text.parse().ok(), "a time such as 2026-03-01T12:00:00Z"),
            Self::CivilUtc => {
                let civil = text.parse::<DateTime>().ok();
                let time = civil.and_then(|civil| TimeZone::UTC.to_timestamp(civil).ok());
                (time, "a time such as 2026-03-01T12:00:00, in UTC")
            }
            Self::Date => {
                let day = text
                    .parse::<Date>()
                    .ok()
                    .filter(|_| text.len() == DAY.len());
                let time = day.and_then(|day| start_of(day, zone));
                (time, "a day such as 2026-03-01")
            }
            Self::Seconds => {
                let time = number().and_then(|number| Timestamp::from_second(number).ok());
                (time, "whole seconds since 1970")
            }
            Self::Milliseconds => {
                let time = number().and_then(|number| Timestamp::from_millisecond(number).ok());
                (time, "whole milliseconds since 1970")
            }
        };
        time.map(whole_microseconds)
            .ok_or_else(|| format!("is not {wanted}"))
    }
}

/// How a day is written.
const DAY: &str = "2026-03-01";

/// The first moment of `day` in `zone`: where the clock is put forward at midnight, an hour later
/// than elsewhere.
fn start_of(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_timestamp(day.at(0, 0, 0, 0)).ok()
}

/// Checks that something can have been published at `time` when we got it at `received_at`.
///
/// # Errors
/// What is wrong with it.
pub fn check_published(time: Timestamp, received_at: Timestamp) -> Result<Timestamp, String> {
    check(time, received_at, MOST_SKEW)
}

/// Checks that something can take effect at `time`, as said at `received_at`.
///
/// # Errors
/// What is wrong with it.
pub fn check_effective(time: Timestamp, received_at: Timestamp) -> Result<Timestamp, String> {
    check(time, received_at, FURTHEST_PLAN)
}

fn check(
    time: Timestamp,
    received_at: Timestamp,
    ahead: SignedDuration,
) -> Result<Timestamp, String> {
    let is_too_late = time.duration_since(received_at) > ahead;
    if time < EARLIEST || is_too_late {
        let wanted = "is the unit right, seconds or milliseconds?";
        return Err(format!("{time} cannot be meant; {wanted}"));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};
    use rstest::rstest;

    use super::{TimeFormat, check_effective, check_published};

    #[rstest]
    #[case(TimeFormat::Rfc3339, "2026-03-01T13:00:00+01:00")]
    #[case(TimeFormat::Rfc3339, "2026-03-01T12:00:00+0000")]
    #[case(TimeFormat::CivilUtc, "2026-03-01T12:00:00.000")]
    #[case(TimeFormat::Seconds, "1772366400")]
    #[case(TimeFormat::Milliseconds, "1772366400000")]
    fn each_format_reads_its_own(#[case] format: TimeFormat, #[case] text: &str) {
        let expected: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        assert_eq!(format.parse(text), Ok(expected));
    }

    #[rstest]
    #[case::winter("Europe/Berlin", "2026-03-01", "2026-02-28T23:00:00Z")]
    #[case::summer("Europe/Berlin", "2026-07-01", "2026-06-30T22:00:00Z")]
    #[case::west("America/New_York", "2026-03-01", "2026-03-01T05:00:00Z")]
    #[case::no_midnight("America/Santiago", "2026-09-06", "2026-09-06T04:00:00Z")]
    #[case::utc("UTC", "2026-03-01", "2026-03-01T00:00:00Z")]
    fn a_day_begins_where_the_source_is(
        #[case] zone: &str,
        #[case] day: &str,
        #[case] begins: &str,
    ) {
        let zone = TimeZone::get(zone).unwrap();
        let expected: Timestamp = begins.parse().unwrap();
        assert_eq!(TimeFormat::Date.parse_in(day, &zone), Ok(expected));
    }

    #[test]
    fn what_is_finer_than_a_microsecond_is_left_out() {
        let read = TimeFormat::Rfc3339
            .parse("2026-03-01T12:00:00.123456789Z")
            .unwrap();
        assert_eq!(read.to_string(), "2026-03-01T12:00:00.123456Z");
    }

    #[rstest]
    #[case(TimeFormat::Rfc3339, "2026-03-01T12:00:00")]
    #[case(TimeFormat::Rfc3339, "1772366400")]
    #[case(TimeFormat::Date, "2026-03-01T12:00:00")]
    #[case(TimeFormat::Date, "2026-02-30")]
    #[case(TimeFormat::Seconds, "1772366400000000")]
    #[case(TimeFormat::Seconds, "1772366400.5")]
    #[case(TimeFormat::Milliseconds, "")]
    fn another_writing_is_refused(#[case] format: TimeFormat, #[case] text: &str) {
        assert!(format.parse(text).unwrap_err().starts_with("is not "));
    }

    #[test]
    fn a_time_in_the_wrong_unit_is_out_of_bounds() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let seconds_as_milliseconds = TimeFormat::Milliseconds.parse("1772366400").unwrap();
        assert!(check_published(seconds_as_milliseconds, now).is_err());
        let next_year: Timestamp = "2027-03-01T12:00:00Z".parse().unwrap();
        assert!(check_published(next_year, now).is_err());
        assert_eq!(check_effective(next_year, now), Ok(next_year));
        let far: Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
        assert!(check_effective(far, now).is_err());
    }
}
