//! Every metric name, once.

/// Counter `{result}`: outcomes published, by result.
pub const OUTCOMES: &str = "offkey_outcomes_total";
/// Counter `{fate,severity}`: impact revisions published.
pub const IMPACTS: &str = "offkey_impacts_total";
/// Gauge: changes that wait for their report, as far as one step looks.
pub const STALE_CHANGES: &str = "offkey_stale_changes";
/// Counter `{provider}`: looks at a provider that failed.
pub const POLL_FAILURES: &str = "offkey_poll_failures_total";
/// Gauge `{provider}`: why the newest snapshot is not complete, counted.
pub const SNAPSHOT_GAPS: &str = "offkey_snapshot_gaps";
/// Gauge `{provider}`: when the newest snapshot ended, in seconds since the epoch.
pub const SNAPSHOT_TIME: &str = "offkey_snapshot_timestamp_seconds";
/// Requests to a source, by `source` and `outcome`. Counter.
pub const INGRESS_REQUESTS: &str = "offkey_ingress_requests_total";
/// Changes brought to the log, by `source` and `change`. Counter.
pub const INGRESS_CHANGES: &str = "offkey_ingress_changes_total";
/// The size of a body in bytes. Histogram.
pub const INGRESS_BODY_BYTES: &str = "offkey_ingress_body_bytes";
/// How long the log took to bring a request to disk, in seconds. Histogram.
pub const INGRESS_APPEND_SECONDS: &str = "offkey_ingress_append_seconds";
/// Counter `{client}`: errors that the Kafka client told.
pub const KAFKA_ERRORS: &str = "offkey_kafka_errors_total";
/// Counter `{client}`: moves of work between instances.
pub const KAFKA_REBALANCES: &str = "offkey_kafka_rebalances_total";
/// Counter `{group,outcome}`: transactions, by how they ended.
pub const KAFKA_TRANSACTIONS: &str = "offkey_kafka_transactions_total";
/// Counter `{what}`: clients that were thrown away and made anew.
pub const KAFKA_REBUILDS: &str = "offkey_kafka_rebuilds_total";
/// Gauge: partitions held up by a transaction that nobody ends.
pub const KAFKA_HANGING: &str = "offkey_kafka_hanging_partitions";
/// Counter: records of sinks' and duties' commits that brokers lost the end of, and that were said again.
pub const KAFKA_RESAID: &str = "offkey_kafka_resaid_records_total";
/// How long one transaction took, in seconds. Histogram.
pub const KAFKA_TRANSACTION_SECONDS: &str = "offkey_kafka_transaction_seconds";
