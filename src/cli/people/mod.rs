//! `offkey people`: who has keys, whom you cannot remove today, and who is who.

mod decide;
mod decisions;
mod list;
mod show;

use clap::{Args, Subcommand};

pub(super) use self::list::{print, rows};
use super::{Context, End};

/// Without a command everybody is listed.
#[derive(Debug, Args)]
pub(super) struct People {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Exit codes: 0 done, 1 a failure (nobody of that name, nothing to decide), \
                        2 wrong usage or configuration."
)]
enum Command {
    /// One person: accounts, addresses, and what says so.
    Show(show::Show),
    /// Two are one person: their reports are made again.
    Merge(decide::Merge),
    /// An account or address is not that person's.
    Split(decide::Split),
    /// An account is no human's.
    ServiceAccount(decide::ServiceAccount),
    /// What was decided about people.
    Decisions,
    /// Take a decision back.
    Undo(decide::Undo),
}

impl People {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        match &self.command {
            None => list::run(context),
            Some(Command::Show(show)) => show.run(context),
            Some(Command::Merge(merge)) => merge.run(context),
            Some(Command::Split(split)) => split.run(context),
            Some(Command::ServiceAccount(account)) => account.run(context),
            Some(Command::Decisions) => decisions::run(context),
            Some(Command::Undo(undo)) => undo.run(context),
        }
    }
}
