//! What the service tells about itself.

pub mod metrics;
