#![doc = include_str!("../ARCHITECTURE.md")]

pub mod catalogue;
pub mod clock;
pub mod config;
pub mod correlation;
pub mod domain;
pub mod ingress;
pub mod inventory;
pub mod log;
pub mod pipeline;
pub mod projection;
pub mod shutdown;
pub mod simulator;
pub mod sinks;
pub mod sources;
pub mod telemetry;
