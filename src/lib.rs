#![doc = include_str!("../ARCHITECTURE.md")]

pub mod clock;
pub mod config;
pub mod domain;
pub mod ingress;
pub mod inventory;
pub mod log;
pub mod simulator;
pub mod sinks;
pub mod sources;
pub mod telemetry;
