//! `offkey people decisions`: what somebody decided, and did not take back.

use comfy_table::Cell;
use serde::Serialize;

use super::super::{Context, End, output};
use crate::{
    domain::decision::{Decided, PeopleDecision},
    projection::read::Reader,
};

#[derive(Debug, Serialize)]
struct Row<'a> {
    id: String,
    #[serde(flatten)]
    decision: &'a PeopleDecision,
}

pub(super) fn run(context: &Context) -> anyhow::Result<End> {
    let (_, db) = context.reading()?;
    let decisions = Reader::new(&db).decisions()?;
    let mut table = output::table(&["id", "decision", "when (UTC)"]);
    for decision in &decisions {
        let id = decision.what.id();
        if context.output.json {
            context.output.json(&Row { id, decision })?;
            continue;
        }
        table.add_row([
            Cell::new(output::short(&id)),
            Cell::new(sentence(&decision.what)),
            Cell::new(output::moment(decision.decided_at)),
        ]);
    }
    if !context.output.json {
        context.output.table(&table)?;
    }
    Ok(End::Done)
}

/// What was decided, for a person to read.
pub(super) fn sentence(what: &Decided) -> String {
    match what {
        Decided::Merge { one, other } => format!("{one} and {other} are one person"),
        Decided::Split { apart } => format!("{apart} is a person of its own"),
        Decided::ServiceAccount { account, behind } if behind.is_empty() => {
            format!("{account} is a service account")
        }
        Decided::ServiceAccount { account, behind } => {
            let behind: Vec<String> = behind.iter().map(ToString::to_string).collect();
            format!(
                "{account} is a service account, behind it {}",
                behind.join(", ")
            )
        }
    }
}
