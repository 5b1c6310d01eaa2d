//! The `offkey` binary: reads arguments, runs one command, turns its end into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use offkey::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Failpoints named in the variable FAILPOINTS work until the end of `main`.
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    Cli::parse().run()
}
