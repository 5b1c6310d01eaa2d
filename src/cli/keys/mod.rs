//! `offkey keys`: every key and whose it is, and keys out of files.

mod import;

use clap::{Args, Subcommand};
use comfy_table::Cell;

use super::{Context, End, output};
use crate::{
    domain::{Email, Key},
    projection::read::Reader,
};

/// Which keys; without a command they are listed.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Keys {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only keys that this person created, by address.
    #[arg(long)]
    person: Option<String>,
    /// Keys that are gone, too.
    #[arg(long)]
    gone: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take in the keys of a provider without a connector, out of a CSV file.
    Import(import::Import),
}

impl Keys {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        match &self.command {
            Some(Command::Import(import)) => import.run(context),
            None => self.list(context),
        }
    }

    fn list(&self, context: &Context) -> anyhow::Result<End> {
        let (_, db) = context.reading()?;
        let reader = Reader::new(&db);
        let keys = match &self.person {
            Some(person) => keys_of(context, reader, person)?,
            None => reader.keys()?,
        };
        let is_wanted = |key: &&Key| self.gone || is_there(key);
        let keys = keys.iter().filter(is_wanted);
        if context.output.json {
            for key in keys {
                context.output.json(key)?;
            }
            return Ok(End::Done);
        }
        let projects = reader.projects()?;
        let mut table = output::table(&[
            "key",
            "id",
            "project",
            "creator",
            "environment",
            "7 days",
            "state",
        ]);
        for key in keys {
            let project = projects
                .iter()
                .find(|project| project.provider == key.provider && project.id == key.project)
                .map_or(key.project.as_str(), |project| project.name.as_str());
            let policy = &context.config.policy;
            let (environment, _) = policy.environment(&key.tags, &key.label, project);
            table.add_row([
                Cell::new(&key.label),
                Cell::new(output::short(&key.id)),
                Cell::new(format!("{} {project}", key.provider)),
                Cell::new(creator(key)),
                Cell::new(environment.label()),
                Cell::new(requests(key)),
                Cell::new(state(key, context.clock.now())),
            ]);
        }
        context.output.table(&table)?;
        Ok(End::Done)
    }
}

/// The keys of whoever has the address now, or of the account's person.
fn keys_of(context: &Context, reader: Reader<'_>, who: &str) -> anyhow::Result<Vec<Key>> {
    let identities = &context.config.policy.identities;
    let people = match Email::parse(who) {
        Ok(email) => vec![reader.whose_address(&email, context.clock.now(), identities)?],
        Err(_) => reader.named(&who.parse()?, identities)?,
    };
    let mut keys = Vec::new();
    for person in people {
        keys.extend(reader.history(&person)?.keys);
    }
    Ok(keys)
}

fn is_there(key: &Key) -> bool {
    key.history
        .last()
        .is_some_and(|last| last.valid_to.is_none())
}

fn creator(key: &Key) -> String {
    key.history.last().map_or_else(String::new, |last| {
        last.creator
            .email
            .as_ref()
            .map_or_else(|| last.creator.id.clone(), ToString::to_string)
    })
}

fn requests(key: &Key) -> String {
    key.uses
        .last()
        .map_or_else(|| "unknown".to_owned(), |seen| seen.requests_7d.to_string())
}

fn state(key: &Key, now: jiff::Timestamp) -> String {
    match (
        key.history.last().and_then(|last| last.valid_to),
        key.expires_at,
    ) {
        (Some(gone), _) => format!("gone since {}", output::moment(gone)),
        (None, Some(end)) if end <= now => format!("expired {}", output::moment(end)),
        (None, Some(end)) => format!("expires {}", output::moment(end)),
        (None, None) => "active".to_owned(),
    }
}
