//! What the answer of a receiver means.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::StatusCode;

use crate::sinks::Delivery;

/// The longest wait that a receiver can ask for.
const MOST_WAIT: Duration = Duration::from_hours(1);

/// What `status` means, when the receiver says `text` and wants to be left alone for `after`.
pub(super) fn read_answer(status: StatusCode, text: &str, after: Option<Duration>) -> Delivery {
    let said = if text.is_empty() {
        format!("the receiver answered {status}")
    } else {
        format!("the receiver answered {status}: {text}")
    };
    match status.as_u16() {
        200..=299 => Delivery::Done,
        300..=399 => Delivery::Park {
            why: format!("{said}; redirects are not followed: configure the final URL"),
        },
        401 | 403 | 404 | 405 | 407 | 410 => Delivery::Park { why: said },
        408 | 409 | 425 | 429 => Delivery::Retry { why: said, after },
        400..=499 => Delivery::Refused { why: said },
        _ => Delivery::Retry { why: said, after },
    }
}

/// The header `Retry-After` (RFC 9110 section 10.2.3), seconds or a date; at most an hour.
pub(super) fn read_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = DateTimeParser::new().parse_timestamp(value).ok()?;
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(MOST_WAIT))
}

/// The first 200 printable characters of a body.
pub(super) fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .chars()
        .filter(|character| !character.is_control())
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use proptest::prelude::*;
    use reqwest::StatusCode;
    use rstest::rstest;

    use super::{excerpt, read_answer, read_retry_after};

    #[rstest]
    #[case("done", &[200, 201, 202, 204])]
    #[case("park", &[301, 302, 307, 308, 401, 403, 404, 405, 407, 410])]
    #[case("retry", &[408, 409, 425, 429, 500, 502, 503, 504, 599])]
    #[case("refused", &[400, 406, 413, 415, 422, 451])]
    fn a_status_has_one_meaning(#[case] meaning: &str, #[case] statuses: &[u16]) {
        for status in statuses {
            let status = StatusCode::from_u16(*status).unwrap();
            assert_eq!(read_answer(status, "", None).label(), meaning, "{status}");
        }
    }

    #[rstest]
    #[case::seconds("120", Some(120))]
    #[case::too_long("86400", Some(3_600))]
    #[case::date("Thu, 01 Jan 1970 00:05:00 GMT", Some(240))]
    #[case::date_in_the_past("Thu, 01 Jan 1970 00:00:30 GMT", Some(0))]
    #[case::nonsense("soon", None)]
    #[case::negative("-5", None)]
    fn a_wish_to_wait_is_read(#[case] value: &str, #[case] seconds: Option<u64>) {
        let now = Timestamp::from_second(60).unwrap();
        let wait = read_retry_after(value, now);
        assert_eq!(wait, seconds.map(Duration::from_secs));
    }

    proptest! {
        #[test]
        fn no_body_makes_a_long_or_unprintable_excerpt(body in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let text = excerpt(&body);
            prop_assert!(text.chars().count() <= 200);
            prop_assert!(!text.chars().any(char::is_control));
        }
    }
}
