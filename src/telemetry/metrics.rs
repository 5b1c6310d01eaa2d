//! Every metric name, once.

/// Counter `{result}`: outcomes published, by result.
pub const OUTCOMES: &str = "offkey_outcomes_total";
/// Counter `{fate,severity}`: impact revisions published.
pub const IMPACTS: &str = "offkey_impacts_total";
/// Histogram: seconds from hearing of a change to its committed outcome.
pub const CORRELATION_SECONDS: &str = "offkey_correlation_seconds";
/// Gauge: changes that wait for their report.
pub const STALE_CHANGES: &str = "offkey_stale_changes";
/// Counter `{provider}`: looks at a provider that failed.
pub const POLL_FAILURES: &str = "offkey_poll_failures_total";
/// Gauge `{provider}`: why the newest snapshot is not complete, counted.
pub const SNAPSHOT_GAPS: &str = "offkey_snapshot_gaps";
/// Gauge `{provider}`: when the newest snapshot ended, in seconds since the epoch.
pub const SNAPSHOT_TIME: &str = "offkey_snapshot_timestamp_seconds";
