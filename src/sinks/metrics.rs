//! The metrics of sinks, each once.

/// Attempts, by `sink` and `outcome`.
pub const DELIVERIES_TOTAL: &str = "offkey_deliveries_total";
/// 1 while a `sink` is parked, else 0.
pub const SINK_PARKED: &str = "offkey_sink_parked";
/// How long one attempt took, in seconds, by `sink`.
pub const DELIVERY_SECONDS: &str = "offkey_delivery_seconds";
/// Records that a `sink` has taken and not finished.
pub const SINK_IN_FLIGHT: &str = "offkey_sink_in_flight";
