//! The whole program from outside: a real process, a simulated provider, real receivers.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step should stop the test, and a test says what it did"
)]

#[path = "../broker/mod.rs"]
mod broker;
mod catalogue;
mod cli;
mod config;
mod crash;
mod disk;
mod exposure;
mod fleet;
mod forgeries;
mod gate;
mod groups;
mod harness;
mod import;
mod inventory;
mod io_errors;
mod main_job;
mod malformed;
mod observed;
mod oracle;
mod people;
mod poison;
mod preview;
mod previewed;
mod proxy;
mod races;
mod reconciled;
mod repeats;
mod replay;
mod rotation;
mod schedule;
mod sinks;
mod time;
mod trace;
mod upgrade;
mod web;
mod who;
