//! The name of every metric, once.

/// Requests to a source, by `source` and `outcome`. Counter.
pub const INGRESS_REQUESTS: &str = "offkey_ingress_requests_total";
/// Changes brought to the log, by `source` and `change`. Counter.
pub const INGRESS_CHANGES: &str = "offkey_ingress_changes_total";
/// The size of a body in bytes. Histogram.
pub const INGRESS_BODY_BYTES: &str = "offkey_ingress_body_bytes";
/// How long the log took to bring a request to disk, in seconds. Histogram.
pub const INGRESS_APPEND_SECONDS: &str = "offkey_ingress_append_seconds";
