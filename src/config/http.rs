//! Where the HTTP server listens and what it takes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    time::Duration,
};

use serde::Deserialize;

/// A number of bytes: `"256KiB"`, `"1MiB"`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ByteSize(pub usize);

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (number, unit) = match text.trim() {
            text if text.ends_with("KiB") => (text.trim_end_matches("KiB"), 1024),
            text if text.ends_with("MiB") => (text.trim_end_matches("MiB"), 1024 * 1024),
            text => (text, 1),
        };
        let number: Option<usize> = number.trim().parse().ok();
        number
            .and_then(|number| number.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no size; write it as \"256KiB\" or \"1MiB\""))
    }
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to listen. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// The largest body taken; a larger one is answered 413. Default `"256KiB"`.
    pub max_body: ByteSize,
    /// The longest a body may take to arrive; a slower one is answered 408. Default `"10s"`.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// The most connections at once in one worker; more wait. Default 1024.
    pub max_connections: NonZeroUsize,
    /// The threads that serve, at most 512. Default: one for each processor.
    pub workers: Option<NonZeroUsize>,
    /// The longest that requests under way may take to end at a shutdown, in whole seconds.
    /// Default `"5s"`.
    #[serde(with = "humantime_serde")]
    pub shutdown_timeout: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            max_body: ByteSize(256 * 1024),
            body_timeout: Duration::from_secs(10),
            max_connections: NonZeroUsize::MIN.saturating_add(1023),
            workers: None,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{ByteSize, HttpConfig};

    #[rstest]
    #[case("256KiB", Some(262_144))]
    #[case("1 MiB", Some(1_048_576))]
    #[case("17", Some(17))]
    #[case("1GB", None)]
    #[case("-1KiB", None)]
    #[case("99999999999999999999MiB", None)]
    fn a_size_is_read_with_its_unit(#[case] text: &str, #[case] expected: Option<usize>) {
        let size = ByteSize::try_from(text.to_owned()).ok();
        assert_eq!(size, expected.map(ByteSize));
    }

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_unknown_is_refused() {
        let config: HttpConfig = toml::from_str("max_body = \"1MiB\"").unwrap();
        assert_eq!(config.max_body, ByteSize(1_048_576));
        assert_eq!(config.listen, HttpConfig::default().listen);
        assert!(toml::from_str::<HttpConfig>("max_bodies = 1").is_err());
    }
}
