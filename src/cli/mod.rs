//! The command line: one file a command.
//!
//! Exit codes: 0 done, 1 a failure, 2 wrong usage or configuration, and 3 when `preview` finds
//! production keys that would die, or `gate` that a removal is not safe.

mod catalogue;
mod check_config;
mod dead_letters;
mod demo;
mod explain;
mod exposure;
mod gate;
mod keys;
mod log;
mod output;
mod people;
mod preview;
mod quarantine;
mod replay;
mod report;
mod send;
mod simulate;
mod tail;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use self::output::Output;
use crate::{
    app,
    catalogue::{Catalogue, CatalogueError},
    clock::{Clock, SystemClock},
    config::{Config, ConfigError, Overrides, secret::SecretError},
    log::LogError,
    projection,
    sinks::webhook::WebhookError,
    sources::SourceError,
};

/// Says which API keys die, shrink or survive when a person leaves, before it hurts.
#[derive(Debug, Parser)]
#[command(name = "offkey", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// The configuration file (TOML).
    #[arg(long, global = true, env = "OFFKEY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the log, instead of `log.path`.
    #[arg(long, global = true, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// One JSON document, or one a line, instead of tables.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service.
    Serve {
        /// Where to listen, instead of `http.listen`.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
    },
    /// See the main job happen, with an invented company.
    Demo(demo::Demo),
    /// Stand in for a provider.
    #[command(subcommand)]
    Simulate(simulate::Simulate),
    /// Send a signed change to a running service.
    Send(Box<send::Send>),
    /// Say what a change that has not happened would do.
    Preview(preview::Preview),
    /// Answer with the exit code whether removing somebody is safe.
    Gate(gate::Gate),
    /// Whose leaving would break most, and who would keep most.
    Exposure(exposure::Exposure),
    /// What today's catalogue and policy would say of changes that were reported.
    Replay(replay::Replay),
    /// One impact with every reason, the rule cited and the row of the policy that decided.
    Explain(explain::Explain),
    /// Who has keys, whom you cannot remove today, and who is who.
    People(people::People),
    /// Every key and whose it is.
    Keys(keys::Keys),
    /// The records of a topic as they come.
    Tail(tail::Tail),
    /// Authentic requests that could not be used.
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// Impacts that a receiver refused.
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    /// What becomes of keys, at whom, and where that is written.
    #[command(subcommand)]
    Catalogue(catalogue::Catalogue),
    /// The log itself: how it is, and copying it into another.
    #[command(subcommand)]
    Log(log::Log),
    /// Say whether the configuration can be used, without running it.
    CheckConfig,
    /// The version of this program and its catalogue.
    Version,
    /// Completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// How a command ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// A preview in which production keys die.
    ProductionDies,
    /// A removal is not safe.
    NotSafe,
    /// What was to be checked cannot be used.
    Unusable,
}

/// What a command works with.
struct Context {
    config: Config,
    output: Output,
    clock: Arc<dyn Clock>,
}

impl Context {
    /// The catalogue and the projection, open to read beside a running service.
    fn reading(&self) -> anyhow::Result<(Catalogue, rusqlite::Connection)> {
        Ok((
            app::catalogue(&self.config)?,
            projection::open_reader(&self.config.log.path)?,
        ))
    }
}

impl Cli {
    /// Runs the command and says on stderr what went wrong.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let ended = self.dispatch();
        match ended {
            Ok(End::Done) => ExitCode::SUCCESS,
            Ok(End::ProductionDies | End::NotSafe) => ExitCode::from(3),
            Ok(End::Unusable) => ExitCode::from(2),
            Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => {
                output::complain(&format!("offkey: {}", in_one_line(&error)));
                ExitCode::from(if is_configuration(&error) { 2 } else { 1 })
            }
        }
    }

    fn dispatch(self) -> anyhow::Result<End> {
        let output = Output {
            json: self.global.json,
        };
        match self.command {
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "offkey", &mut script);
                output.raw(&script)?;
                Ok(End::Done)
            }
            Command::Version => version(&output),
            Command::Simulate(simulate) => simulate.run(&output),
            Command::Demo(demo) => demo.run(&output),
            command => run(command, &self.global, output),
        }
    }
}

/// Runs a command that needs the configuration.
fn run(command: Command, global: &Global, output: Output) -> anyhow::Result<End> {
    let mut flags = Overrides::default();
    if let Some(folder) = &global.data {
        flags
            .log
            .insert("path".to_owned(), folder.display().to_string());
    }
    if let Command::Serve {
        listen: Some(listen),
    } = &command
    {
        flags.http.insert("listen".to_owned(), listen.clone());
    }
    let config = Config::load(global.config.as_deref(), &flags)?;
    let context = Context {
        config,
        output,
        clock: Arc::new(SystemClock),
    };
    match command {
        Command::Serve { .. } => app::serve(&context.config, context.clock).map(|()| End::Done),
        Command::Send(send) => send.run(&context),
        Command::Preview(preview) => preview.run(&context),
        Command::Gate(gate) => gate.run(&context),
        Command::Exposure(exposure) => exposure.run(&context),
        Command::Replay(replay) => replay.run(&context),
        Command::Explain(explain) => explain.run(&context),
        Command::People(people) => people.run(&context),
        Command::Keys(keys) => keys.run(&context),
        Command::Tail(tail) => tail.run(&context),
        Command::Quarantine(quarantine) => quarantine.run(&context),
        Command::DeadLetters(dead_letters) => dead_letters.run(&context),
        Command::Catalogue(catalogue) => catalogue.run(&context),
        Command::Log(log) => log.run(&context),
        Command::CheckConfig => check_config::run(&context),
        Command::Demo(_)
        | Command::Simulate(_)
        | Command::Version
        | Command::Completions { .. } => Ok(End::Done),
    }
}

fn version(output: &Output) -> anyhow::Result<End> {
    let catalogue = Catalogue::built_in()?.version;
    let version = env!("CARGO_PKG_VERSION");
    if output.json {
        output.json(&serde_json::json!({ "version": version, "catalogue": catalogue }))?;
    } else {
        output.line(&format!("offkey {version}, catalogue of {catalogue}"))?;
    }
    Ok(End::Done)
}

/// The error and its causes; a cause that the text before tells already is not told again.
fn in_one_line(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |told, cause| {
            match (told.is_empty(), told.contains(&cause)) {
                (true, _) => cause,
                (false, true) => told,
                (false, false) => format!("{told}: {cause}"),
            }
        })
}

/// Whether mending the configuration mends it.
fn is_configuration(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<CatalogueError>()
            || cause.is::<SecretError>()
            || cause.is::<SourceError>()
            || cause.is::<WebhookError>()
            || matches!(cause.downcast_ref(), Some(LogError::Configured(_)))
    })
}

/// Whoever read our output has read enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_commands_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }
}
