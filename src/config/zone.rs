//! The time zone in which somebody's days begin.

use jiff::tz::TimeZone;
use serde::Deserialize;

/// A zone by its name in the IANA database, such as `Europe/Berlin`; UTC unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(pub TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        TimeZone::get(&name).map(Self).map_err(|_| {
            format!(
                "{name:?} is no time zone that this machine knows; write one such as \
                 Europe/Berlin, and see that its zone database (tzdata) is installed"
            )
        })
    }
}
