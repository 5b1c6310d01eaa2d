//! `offkey people` without a command: who has keys, and whom you cannot remove today.

use comfy_table::Cell;
use serde::Serialize;

use super::super::{
    Context, End,
    output::{self, Output},
    preview::Maker,
    report::{kills_production, stops},
};
use crate::{
    correlation::{ownership::ServiceAccount, ties::service_account},
    domain::{Fate, Severity, impact::Environment},
    projection::read::Reader,
};

/// One person, and what removing them today would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in super::super) struct Row {
    pub(super) person: String,
    pub(super) name: Option<String>,
    pub(super) accounts: Vec<String>,
    /// Absent: a human.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<ServiceAccount>,
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
pub(in super::super) fn rows(context: &Context) -> anyhow::Result<Vec<Row>> {
    let (catalogue, db) = context.reading()?;
    let (reader, now) = (Reader::new(&db), context.clock.now());
    let maker = Maker::new(reader, &catalogue, &context.config.policy);
    let mut rows = Vec::new();
    for person in reader.people()? {
        let (report, history) = maker.removal_of(&person, now)?;
        let dying = || report.impacts.iter().filter(|impact| stops(impact));
        let production = |environment| environment == Environment::Production;
        let accounts = history
            .accounts
            .iter()
            .map(|(system, id)| format!("{system}:{id}"));
        rows.push(Row {
            accounts: accounts.collect(),
            service: service_account(&history, &context.config.policy.identities.rules),
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
pub(in super::super) fn print(output: Output, rows: &[Row]) -> std::io::Result<()> {
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
            Cell::new(match &row.service {
                Some(_) => format!("{} (service account)", row.person),
                None => row.person.clone(),
            }),
            Cell::new(row.keys),
            Cell::new(row.would_die),
            Cell::new(row.production),
            row.worst.map_or_else(|| Cell::new("-"), output::severity),
            Cell::new(if row.can_be_removed { "yes" } else { "no" }),
        ]);
    }
    output.table(&table)
}
