//! What Offkey says about itself.

pub mod metrics;
