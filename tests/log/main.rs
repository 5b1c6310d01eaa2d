//! What a log promises, over every engine from the same source.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step should stop the test"
)]

#[path = "../broker/mod.rs"]
mod broker;
mod copy;
mod engine;
mod kafka;
mod security;
mod suite;
mod topics;
