//! Where impacts go: one table a sink.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use super::{name::Name, secret::SecretRef, size::read_size};

const DAY: Duration = Duration::from_hours(24);

/// One sink.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SinkConfig {
    /// An HTTP receiver, signed after Standard Webhooks 1.0.0.
    Webhook(WebhookConfig),
    /// JSON Lines in a file.
    File(FileConfig),
}

impl SinkConfig {
    /// The sink's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Webhook(webhook) => &webhook.name,
            Self::File(file) => &file.name,
        }
    }

    /// Where its secrets come from; a file has none.
    #[must_use]
    pub fn secret_refs(&self) -> &[SecretRef] {
        match self {
            Self::Webhook(webhook) => &webhook.secrets,
            Self::File(_) => &[],
        }
    }
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Names it in the log, in metrics and in the cursor: renaming it starts anew.
    pub name: Name,
    /// Where to. `https`; `http` only into `allow_networks`.
    pub url: Url,
    /// What signs: `whsec_…` (HMAC-SHA256) or `whsk_…` (ed25519); all of them sign.
    pub secrets: Vec<SecretRef>,
    /// Private or special networks that the receiver may lie in. Default: none.
    #[serde(default)]
    pub allow_networks: Vec<IpNet>,
    /// How long one attempt may take. Default: 20 s.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    pub timeout: Duration,
    /// How long one record is tried until it becomes a dead letter. Default: 3 days.
    #[serde(default = "default_retry_for", with = "humantime_serde")]
    pub retry_for: Duration,
    /// The most records taken and not yet committed. Default: 64.
    #[serde(default = "default_window")]
    pub window: NonZeroUsize,
    /// The most attempts at once. Default: 8.
    #[serde(default = "default_concurrency")]
    pub concurrency: NonZeroUsize,
    /// How often a parked sink tries whether it was mended. Default: 5 min.
    #[serde(default = "default_probe_every", with = "humantime_serde")]
    pub probe_every: Duration,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Names it in the log, in metrics and in the cursor: renaming it starts anew.
    pub name: Name,
    /// Where; its folder has to exist.
    pub path: PathBuf,
    /// How large it may become. Default: 64 MiB.
    #[serde(default = "default_rotate_at", deserialize_with = "read_size")]
    pub rotate_at: ByteSize,
    /// How many old files are kept beside it, as `path.1` and so on. Default: 5.
    #[serde(default = "default_keep")]
    pub keep: NonZeroUsize,
    /// How often a parked sink tries whether it was mended. Default: 5 min.
    #[serde(default = "default_probe_every", with = "humantime_serde")]
    pub probe_every: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(20)
}

fn default_retry_for() -> Duration {
    3 * DAY
}

fn default_window() -> NonZeroUsize {
    const { NonZeroUsize::new(64).unwrap() }
}

fn default_concurrency() -> NonZeroUsize {
    const { NonZeroUsize::new(8).unwrap() }
}

fn default_probe_every() -> Duration {
    Duration::from_mins(5)
}

fn default_rotate_at() -> ByteSize {
    ByteSize::mib(64)
}

fn default_keep() -> NonZeroUsize {
    const { NonZeroUsize::new(5).unwrap() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytesize::ByteSize;
    use rstest::rstest;

    use super::SinkConfig;

    #[test]
    fn a_webhook_has_defaults() {
        let text = r#"
            kind = "webhook"
            name = "siem-1"
            url = "https://siem.example.com/in"
            secrets = [{ env = "SIEM_SECRET" }]
            retry_for = "1day"
        "#;
        let SinkConfig::Webhook(webhook) = toml::from_str(text).unwrap() else {
            panic!("a webhook");
        };
        assert_eq!(webhook.name.as_str(), "siem-1");
        assert_eq!(webhook.timeout, Duration::from_secs(20));
        assert_eq!(webhook.retry_for, Duration::from_hours(24));
        assert_eq!(webhook.window.get(), 64);
        assert_eq!(webhook.concurrency.get(), 8);
        assert!(webhook.allow_networks.is_empty());
        assert_eq!(webhook.probe_every, Duration::from_mins(5));
    }

    #[test]
    fn a_file_has_sizes_as_text() {
        let text = "kind = 'file'\nname = 'archive'\npath = '/a/b'\nrotate_at = '2MiB'\n\
                    probe_every = '10s'\n";
        let SinkConfig::File(file) = toml::from_str(text).unwrap() else {
            panic!("a file");
        };
        assert_eq!(file.rotate_at, ByteSize::mib(2));
        assert_eq!(file.keep.get(), 5);
        assert_eq!(file.probe_every, Duration::from_secs(10));
    }

    #[rstest]
    #[case::upper_case("kind = 'file'\nname = 'A'\npath = '/a'\n", "is no name")]
    #[case::empty("kind = 'file'\nname = ''\npath = '/a'\n", "is no name")]
    #[case::unknown_field("kind = 'file'\nname = 'a'\npath = '/a'\nkeeep = 1\n", "keeep")]
    #[case::unknown_kind("kind = 'fax'\nname = 'a'\n", "fax")]
    #[case::keeps_none("kind = 'file'\nname = 'a'\npath = '/a'\nkeep = 0\n", "zero")]
    #[case::no_size(
        "kind = 'file'\nname = 'a'\npath = '/a'\nrotate_at = 'big'\n",
        "no size"
    )]
    fn a_mistake_is_named(#[case] text: &str, #[case] named: &str) {
        let error = toml::from_str::<SinkConfig>(text).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}
