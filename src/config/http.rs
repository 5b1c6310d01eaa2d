//! Where the HTTP server listens and what it takes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    time::Duration,
};

use bytesize::ByteSize;
use serde::Deserialize;

use super::size::read_size;

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to listen. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// The largest body taken; a larger one is answered 413. Default `"256KiB"`.
    #[serde(deserialize_with = "read_size")]
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
            max_body: ByteSize::kib(256),
            body_timeout: Duration::from_secs(10),
            max_connections: NonZeroUsize::MIN.saturating_add(1023),
            workers: None,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytesize::ByteSize;

    use super::HttpConfig;

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_unknown_is_refused() {
        let config: HttpConfig = toml::from_str("max_body = \"1MiB\"").unwrap();
        assert_eq!(config.max_body, ByteSize::mib(1));
        assert_eq!(config.listen, HttpConfig::default().listen);
        assert!(toml::from_str::<HttpConfig>("max_bodies = 1").is_err());
    }
}
