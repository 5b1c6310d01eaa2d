//! `offkey people`: who has keys, and whom you cannot remove today.

use comfy_table::Cell;
use serde::Serialize;

use super::{
    Context, End,
    output::{self, Output},
    preview::{Imagined, Maker},
    report::{kills_production, stops},
};
use crate::{
    domain::{ChangeKind, Email, Fate, Scope, Severity, impact::Environment},
    projection::read::Reader,
};

/// One person, and what removing them today would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) person: String,
    pub(super) name: Option<String>,
    pub(super) accounts: Vec<String>,
    pub(super) keys: usize,
    /// Keys that would stop.
    pub(super) would_die: usize,
    /// Those of them that production uses.
    pub(super) production: usize,
    pub(super) worst: Option<Severity>,
    /// Whether no production key would stop, and nothing refuses the removal.
    pub(super) can_be_removed: bool,
}

pub(super) fn run(context: &Context) -> anyhow::Result<End> {
    let rows = rows(context)?;
    if context.output.json {
        for row in &rows {
            context.output.json(row)?;
        }
    } else {
        print(context.output, &rows)?;
    }
    Ok(End::Done)
}

/// Everybody, those whose removal hurts most first.
pub(super) fn rows(context: &Context) -> anyhow::Result<Vec<Row>> {
    let (catalogue, db) = context.reading()?;
    let (reader, now) = (Reader::new(&db), context.clock.now());
    let maker = Maker::new(reader, &catalogue, &context.config.policy);
    let mut rows = Vec::new();
    for person in reader.people()? {
        let Ok(email) = Email::parse(&person) else {
            continue;
        };
        let (report, history) = maker.report_and_history(&Imagined {
            email,
            change: ChangeKind::Removed,
            scope: Scope::Organisation {},
            at: now,
        })?;
        let dying = || report.impacts.iter().filter(|impact| stops(impact));
        let production = |environment| environment == Environment::Production;
        let accounts = history
            .accounts
            .iter()
            .map(|(system, id)| format!("{system}:{id}"));
        rows.push(Row {
            accounts: accounts.collect(),
            name: history.name,
            keys: report.impacts.len(),
            would_die: dying().count(),
            production: dying()
                .filter(|impact| production(impact.key.environment))
                .count(),
            worst: report
                .impacts
                .iter()
                .map(|impact| impact.severity.level)
                .max(),
            can_be_removed: !kills_production(&report)
                && !report
                    .impacts
                    .iter()
                    .any(|impact| impact.fate == Fate::Blocks),
            person,
        });
    }
    rows.sort_by(|a, b| {
        (b.worst, b.production, &a.person).cmp(&(a.worst, a.production, &b.person))
    });
    Ok(rows)
}

/// Writes the rows for a person to read.
pub(super) fn print(output: Output, rows: &[Row]) -> std::io::Result<()> {
    let mut table = output::table(&[
        "person",
        "keys",
        "would die",
        "in production",
        "worst",
        "remove today?",
    ]);
    for row in rows {
        table.add_row([
            Cell::new(&row.person),
            Cell::new(row.keys),
            Cell::new(row.would_die),
            Cell::new(row.production),
            row.worst.map_or_else(|| Cell::new("-"), output::severity),
            Cell::new(if row.can_be_removed { "yes" } else { "no" }),
        ]);
    }
    output.table(&table)
}
