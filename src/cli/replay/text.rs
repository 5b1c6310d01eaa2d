//! What differs, as tables.

use comfy_table::Cell;

use super::{Differs, Verdict};
use crate::cli::output::{self, Output};

pub(super) fn print(output: Output, differs: &Differs) -> std::io::Result<()> {
    let before = differs
        .before
        .map_or("not reported yet", |before| before.label());
    let result = sides(Some(before), Some(differs.now.label()));
    output.line(&format!(
        "{} {}, effective {}: {result}; it would be revision {}",
        differs.person,
        differs.change,
        output::moment(differs.effective_at),
        differs.revision,
    ))?;
    if differs.impacts.is_empty() {
        return Ok(());
    }
    let mut table = output::table(&["key", "fate", "severity", "rule"]);
    for pair in &differs.impacts {
        let both = |say: fn(&Verdict) -> &str| {
            let (before, now) = (pair.before.as_ref(), pair.now.as_ref());
            Cell::new(sides(before.map(say), now.map(say)))
        };
        let (label, place) = (&pair.label, format!("{} {}", pair.provider, pair.project));
        table.add_row([
            Cell::new(format!("{label}\n{place}, {}", output::short(&pair.key))),
            both(|verdict| verdict.fate.label()),
            both(|verdict| verdict.severity.label()),
            both(|verdict| &verdict.rule),
        ]);
    }
    output.table(&table)
}

/// Both sides, or one where they are alike.
fn sides(before: Option<&str>, now: Option<&str>) -> String {
    match (before, now) {
        (Some(before), Some(now)) if before == now => now.to_owned(),
        (Some(before), Some(now)) => format!("{before} -> {now}"),
        (None, Some(now)) => format!("new: {now}"),
        (Some(before), None) => format!("withdrawn: {before}"),
        (None, None) => String::new(),
    }
}

/// Writes what all came to; with JSON on stdout to stderr.
pub(super) fn sum_up(output: Output, sentence: &str) -> std::io::Result<()> {
    if output.json {
        output::complain(sentence);
        return Ok(());
    }
    output.line(sentence)
}
