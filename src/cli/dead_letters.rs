//! `offkey dead-letters`: impacts that a receiver refused.

use clap::Subcommand;
use comfy_table::Cell;

use super::{Context, End, output};
use crate::{
    app,
    domain::delivery::{DeadLetter, Redrive},
    projection::read::Reader,
};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(super) enum DeadLetters {
    /// All of them.
    List,
    /// One, with the impact as it was sent.
    Show {
        /// Which, by its id or the beginning of it.
        id: String,
    },
    /// Have the sink try one again, with the same id as before.
    Redrive {
        /// Which, by its id or the beginning of it.
        id: String,
    },
}

impl DeadLetters {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let (_, db) = context.reading()?;
        let all = Reader::new(&db)
            .dead_letters()?
            .into_iter()
            .map(serde_json::from_value)
            .collect::<Result<Vec<DeadLetter>, _>>()?;
        match self {
            Self::List => list(context, &all)?,
            Self::Show { id } => show(context, find(&all, id)?)?,
            Self::Redrive { id } => redrive(context, find(&all, id)?)?,
        }
        Ok(End::Done)
    }
}

fn id_of(letter: &DeadLetter) -> String {
    DeadLetter::id(&letter.sink, &letter.original.id)
}

fn find<'a>(all: &'a [DeadLetter], id: &str) -> anyhow::Result<&'a DeadLetter> {
    let mut found = all.iter().filter(|letter| id_of(letter).starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => anyhow::bail!("{id:?} begins several ids; give more of it"),
        (None, _) => anyhow::bail!("no dead letter has the id {id:?}"),
    }
}

fn list(context: &Context, all: &[DeadLetter]) -> anyhow::Result<()> {
    if context.output.json {
        return all
            .iter()
            .try_for_each(|letter| context.output.json(letter));
    }
    let mut table = output::table(&["id", "sink", "last attempt (UTC)", "attempts", "why"]);
    for letter in all {
        table.add_row([
            Cell::new(output::short(&id_of(letter))),
            Cell::new(&letter.sink),
            Cell::new(output::moment(letter.last_attempt_at)),
            Cell::new(letter.attempts),
            Cell::new(&letter.why),
        ]);
    }
    Ok(context.output.table(&table)?)
}

fn show(context: &Context, letter: &DeadLetter) -> anyhow::Result<()> {
    if context.output.json {
        return context.output.json(letter);
    }
    let text = serde_json::to_string_pretty(letter)?;
    Ok(context.output.line(&format!("{}\n{text}", id_of(letter)))?)
}

fn redrive(context: &Context, letter: &DeadLetter) -> anyhow::Result<()> {
    let wish = Redrive {
        sink: letter.sink.clone(),
        requested_by: "the command line".to_owned(),
        requested_at: context.clock.now(),
        original: letter.original.clone(),
    };
    let log = app::attach_log(&context.config, context.clock.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(log.append(vec![wish.to_record()]))?;
    if context.output.json {
        return context.output.json(&wish);
    }
    let said = format!(
        "the sink {} tries {} again",
        letter.sink,
        output::short(&id_of(letter))
    );
    Ok(context.output.line(&said)?)
}
