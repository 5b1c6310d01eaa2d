//! Threads of ours beside those of the client library.

use std::thread;

use crate::log::LogError;

/// Starts a thread that ends by itself, named by what it does.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), LogError> {
    thread::Builder::new()
        // Short: Linux shows fifteen letters.
        .name(format!("kafka-{name}"))
        .spawn(work)
        .map(drop)
        .map_err(|error| LogError::Failed(format!("a thread cannot start: {error}")))
}
