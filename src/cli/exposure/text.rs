//! The ranking as tables.

use comfy_table::Cell;

use super::Findings;
use crate::cli::output::{self, Output};

pub(super) fn print(output: Output, findings: &Findings) -> std::io::Result<()> {
    let mut table = output::table(&["person", "keys", "breaks", "perhaps", "keeps", "unknown"]);
    for row in &findings.people {
        table.add_row([
            Cell::new(&row.person),
            Cell::new(row.keys),
            Cell::new(row.breaks),
            Cell::new(row.perhaps),
            Cell::new(row.keeps),
            Cell::new(row.unknown),
        ]);
    }
    output.table(&table)?;
    output.line(&format!(
        "{} of {} people are shown; the leaving of {} would break or leave something",
        findings.people.len(),
        findings.counted,
        findings.exposed
    ))?;
    if findings.projects.is_empty() {
        return Ok(());
    }
    output.line("\nOn how few people a project rests")?;
    let headings = [
        "project",
        "bus factor",
        "keys in use",
        "people",
        "most are of",
    ];
    let mut table = output::table(&headings);
    for row in &findings.projects {
        let project = row.name.as_deref().unwrap_or(&row.project);
        table.add_row([
            Cell::new(format!("{} {project}", row.provider)),
            Cell::new(row.bus_factor),
            Cell::new(row.keys.0),
            Cell::new(row.people),
            Cell::new(format!("{} ({})", row.most, row.most_keys)),
        ]);
    }
    output.table(&table)
}
