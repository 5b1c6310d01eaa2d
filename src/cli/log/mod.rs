//! `offkey log`: the log itself.

mod check;
mod copy;

use clap::Subcommand;

use super::{Context, End};
use crate::{domain::Topic, log::copy::Follow};

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub(super) enum Log {
    /// Say how the log is: its topics, who is how far behind, what has to be mended.
    Check,
    /// Copy everything from one log into another, and compare.
    Copy(copy::Copy),
}

impl Log {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            match self {
                Self::Check => check::run(context),
                Self::Copy(copy) => copy.run(context).await,
            }
        })
    }
}

/// The groups of the configured sinks.
fn sinks(context: &Context) -> impl Iterator<Item = Follow> {
    context.config.sinks.iter().map(|sink| Follow {
        group: format!("sink.{}", sink.name().as_str()),
        topics: vec![Topic::Impacts, Topic::DeadLetters],
    })
}
