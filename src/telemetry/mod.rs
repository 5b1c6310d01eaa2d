//! What the service tells about itself.

pub mod metrics;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::{LogFormat, TelemetryConfig};

/// Seconds that tell a good answer from a bad one.
const SECONDS: [f64; 12] = [
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// Has messages written to stderr; `RUST_LOG` counts more than the configuration.
///
/// # Errors
/// When the filter cannot be read, or messages are written already.
pub fn write_messages(config: &TelemetryConfig) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) => EnvFilter::try_new(filter)?,
        Err(_) => EnvFilter::try_new(&config.filter)?,
    };
    let registry = tracing_subscriber::registry().with(filter);
    match config.format {
        LogFormat::Json => {
            let layer = fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(std::io::stderr);
            registry.with(layer).try_init()?;
        }
        LogFormat::Pretty => {
            let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
            registry.with(layer).try_init()?;
        }
    }
    Ok(())
}

/// Has metrics collected; where they already are, a handle to nothing.
///
/// # Errors
/// When the buckets are not to the library's liking.
pub fn collect_metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .build_recorder();
    let handle = recorder.handle();
    // A second service in one process (the demo, tests) reports into the first one's.
    drop(::metrics::set_global_recorder(recorder));
    Ok(handle)
}
