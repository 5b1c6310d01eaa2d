//! `offkey keys import`: keys of a provider without a connector, out of a CSV file.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::super::{Context, End, output};
use crate::{
    app,
    config::provider::ProviderConfig,
    domain::Record,
    inventory::import::{self, BadRow, Done, ImportError},
    log::Log,
    projection::{self, read::Reader},
};

/// How long the read model may take to know what is in the log.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// A CSV file and whose keys are in it.
#[derive(Debug, Args)]
#[command(after_help = columns())]
pub(super) struct Import {
    /// The file: UTF-8, commas, the names of the columns in the first line.
    file: PathBuf,
    /// The configured name of the provider (`kind = "import"`).
    #[arg(long, value_name = "NAME")]
    provider: String,
    /// The file holds a part of the keys: none is taken for gone.
    #[arg(long)]
    partial: bool,
    /// Say what would be taken in, and take nothing.
    #[arg(long)]
    dry_run: bool,
}

fn columns() -> String {
    format!(
        "Columns: {}; where there is something to say: {}.\nA key that the file lacks is taken for \
         gone, unless it is --partial. Scopes and tags are parted by blanks or semicolons; times are \
         2030-01-31 or 2030-01-31T09:00:00Z.",
        import::REQUIRED.join(", "),
        import::OPTIONAL.join(", ")
    )
}

impl Import {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let catalogue = app::catalogue(&context.config)?;
        let import = import::Import {
            file: &self.file,
            provider: &self.provider,
            kind: self.kind(context)?,
            catalogue: &catalogue,
            now: context.clock.now(),
            is_complete: !self.partial,
        };
        let checked = import::check(&import)?;
        if checked.bad_rows > 0 {
            complain_of(context, &checked.bad)?;
            anyhow::bail!(
                "{} of {} rows cannot be used; nothing was taken in",
                checked.bad_rows,
                checked.rows
            );
        }
        if checked.rows == 0 {
            anyhow::bail!("{} holds no key; nothing was taken in", self.file.display());
        }
        let log = app::attach_log(&context.config, context.clock.clone())?;
        let db = self.caught_up(context, log.as_ref())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut append = |records: Vec<Record>| {
            if self.dry_run {
                return Ok(());
            }
            runtime
                .block_on(log.append(records))
                .map_err(ImportError::from)
        };
        let done = import::publish(&import, &checked, &Reader::new(&db), &mut append)?;
        self.tell(context, done)?;
        Ok(End::Done)
    }

    /// The kind of the provider, as the catalogue names it.
    fn kind<'a>(&self, context: &'a Context) -> anyhow::Result<&'a str> {
        let providers = &context.config.providers;
        let named = providers.iter().find(|known| known.name() == self.provider);
        match named {
            Some(ProviderConfig::Import(config)) => Ok(&config.catalogue),
            Some(_) => anyhow::bail!(
                "{} is read from the provider itself; only keys of kind \"import\" come from files",
                self.provider
            ),
            None => anyhow::bail!(
                "no provider {:?} is configured; add [[provider]] with kind = \"import\"",
                self.provider
            ),
        }
    }

    /// The read model, once it knows everything that is in the log: what is not known cannot be
    /// continued.
    fn caught_up(&self, context: &Context, log: &dyn Log) -> anyhow::Result<rusqlite::Connection> {
        let end = log.end()?;
        let db = projection::open_reader(&context.config.log.path)?;
        let patience = Instant::now() + PATIENCE;
        while !Reader::new(&db).position()?.has_reached(&end) {
            if Instant::now() > patience {
                anyhow::bail!(
                    "the read model is behind the log; start `offkey serve` and import again"
                );
            }
            thread::sleep(GLANCE);
        }
        Ok(db)
    }

    fn tell(&self, context: &Context, done: Done) -> anyhow::Result<()> {
        if context.output.json {
            let answer = serde_json::json!({ "dry_run": self.dry_run, "keys": done });
            return context.output.json(&answer);
        }
        let would = if self.dry_run { "would be " } else { "" };
        context.output.line(&format!(
            "{} keys: {} {would}new, {} changed, {} gone; {} people in projects new to them, {} projects new",
            done.keys, done.added, done.changed, done.gone, done.members, done.projects
        ))?;
        Ok(())
    }
}

fn complain_of(context: &Context, bad: &[BadRow]) -> anyhow::Result<()> {
    for row in bad {
        if context.output.json {
            context.output.json(row)?;
        } else {
            output::complain(&row.to_string());
        }
    }
    Ok(())
}
