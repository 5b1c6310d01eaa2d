//! `offkey quarantine`: authentic requests that could not be used.

use anyhow::Context as _;
use clap::Subcommand;
use comfy_table::Cell;

use super::{Context, End, output};
use crate::{
    app,
    domain::{MembershipChange, Record, quarantine::Quarantined},
    projection::read::Reader,
    sources::Request,
};

/// What to do with what is in quarantine.
#[derive(Debug, Subcommand)]
pub(super) enum Quarantine {
    /// All of it.
    List,
    /// One, with its bytes.
    Show {
        /// Which, by its id or the beginning of it.
        id: String,
    },
    /// Read one again with today's configuration, as if it had just come.
    Redrive {
        /// Which, by its id or the beginning of it.
        id: String,
    },
}

impl Quarantine {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let (_, db) = context.reading()?;
        let all = Reader::new(&db)
            .quarantine()?
            .into_iter()
            .map(serde_json::from_value)
            .collect::<Result<Vec<Quarantined>, _>>()?;
        match self {
            Self::List => list(context, &all)?,
            Self::Show { id } => show(context, find(&all, id)?)?,
            Self::Redrive { id } => redrive(context, find(&all, id)?)?,
        }
        Ok(End::Done)
    }
}

fn find<'a>(all: &'a [Quarantined], id: &str) -> anyhow::Result<&'a Quarantined> {
    let mut found = all.iter().filter(|one| one.id.to_string().starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => anyhow::bail!("{id:?} begins several ids; give more of it"),
        (None, _) => anyhow::bail!("nothing in quarantine has the id {id:?}"),
    }
}

fn list(context: &Context, all: &[Quarantined]) -> anyhow::Result<()> {
    if context.output.json {
        return all.iter().try_for_each(|one| context.output.json(one));
    }
    let mut table = output::table(&["id", "source", "received (UTC)", "bytes", "why"]);
    for one in all {
        table.add_row([
            Cell::new(output::short(&one.id.to_string())),
            Cell::new(&one.source),
            Cell::new(output::moment(one.received_at)),
            Cell::new(one.body_bytes),
            Cell::new(&one.why),
        ]);
    }
    Ok(context.output.table(&table)?)
}

fn show(context: &Context, one: &Quarantined) -> anyhow::Result<()> {
    if context.output.json {
        return context.output.json(one);
    }
    context
        .output
        .line(&format!("{} from {}: {}", one.id, one.source, one.why))?;
    for (name, value) in &one.headers {
        context.output.line(&format!("{name}: {value}"))?;
    }
    let body = one.payload();
    let text = body.as_deref().map(String::from_utf8_lossy);
    Ok(context
        .output
        .line(&text.unwrap_or("(the source keeps no payload)".into()))?)
}

fn redrive(context: &Context, one: &Quarantined) -> anyhow::Result<()> {
    let body = one
        .payload()
        .context("the source keeps no payload, so nothing can be read again")?;
    let configured = context
        .config
        .sources
        .iter()
        .find(|source| source.name().as_str() == one.source);
    let config = configured
        .with_context(|| format!("no source {:?} is configured; give --config", one.source))?;
    let (source, _) = app::source(config)?;
    let now = context.clock.now();
    let reading = source.read(&Request {
        headers: &one.headers,
        body: &body,
        received_at: now,
    });
    if let Some(why) = reading
        .unreadable
        .or(reading.unusable.first().map(|one| one.why.clone()))
    {
        anyhow::bail!("it still cannot be used: {why}");
    }
    let changes: Vec<&MembershipChange> = reading.changes.iter().collect();
    let records: Vec<Record> = changes.iter().map(|change| change.to_record(now)).collect();
    let log = app::attach_log(&context.config, context.clock.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(log.append(records))?;
    if context.output.json {
        return context.output.json(&changes);
    }
    for change in changes {
        context.output.line(&format!(
            "accepted {} as change {}",
            change.change, change.id
        ))?;
    }
    Ok(())
}
