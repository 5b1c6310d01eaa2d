//! The whole program from outside: a real process, a simulated provider, real receivers.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step should stop the test, and a test says what it did"
)]

mod catalogue;
mod cli;
mod config;
mod crash;
mod disk;
mod harness;
mod import;
mod inventory;
mod main_job;
mod oracle;
mod poison;
mod repeats;
mod sinks;
mod web;
