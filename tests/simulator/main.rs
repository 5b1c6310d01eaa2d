//! The simulator, as a client that others wrote sees it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed set-up step should stop the test, and a skipped one be seen"
)]

mod description;
mod keys;
mod membership;
mod reading;
mod refusals;
mod world;
