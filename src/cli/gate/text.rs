//! The answer as a table.

use comfy_table::{Cell, Color};

use super::{Asked, sentence};
use crate::{
    cli::output::{self, Output},
    correlation::gate::Verdict,
};

pub(super) fn print(output: Output, asked: &Asked) -> std::io::Result<()> {
    output.line(&sentence(asked))?;
    for gap in &asked.gaps {
        output.line(&format!("note: {gap}"))?;
    }
    if asked.keys.is_empty() {
        return Ok(());
    }
    let traffic = format!("{} days", asked.days);
    let headings = ["verdict", "key", "fate", "environment", &traffic, "why"];
    let mut table = output::table(&headings);
    for judged in &asked.keys {
        let key = &judged.key;
        let project = key.project_name.as_deref().unwrap_or(&key.project);
        let verdict = Cell::new(judged.verdict.label());
        table.add_row([
            match judged.verdict {
                Verdict::Blocks => verdict.fg(Color::Red),
                Verdict::Doubtful => verdict.fg(Color::Yellow),
                Verdict::Accepted | Verdict::Clear => verdict,
            },
            Cell::new(format!(
                "{}\n{} {project}\n{}",
                key.label, key.provider, key.id
            )),
            output::fate(judged.fate),
            Cell::new(key.environment.label()),
            Cell::new(judged.traffic.label()),
            Cell::new(&judged.why),
        ]);
    }
    output.table(&table)
}
