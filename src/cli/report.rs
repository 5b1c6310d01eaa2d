//! A report as tables: what stops, and what stays alive in whose hands.

use comfy_table::{Cell, Table};

use super::output::{self, Output};
use crate::domain::{
    Fate, Impact, Report, Severity,
    impact::{Environment, Successor},
    preview::Previewed,
};

/// Whether the key still works in the person's hands after the change.
fn stays_alive(impact: &Impact) -> bool {
    match impact.fate {
        Fate::Survives | Fate::Unknown | Fate::Blocks => true,
        Fate::Dies | Fate::Dormant | Fate::Shrinks => impact.effective_at.is_none(),
    }
}

/// Whether the key would stop for good because of the change, at once or when a refused removal goes
/// through.
pub(super) fn stops(impact: &Impact) -> bool {
    matches!(impact.fate, Fate::Dies | Fate::Blocks)
        && impact.status.is_unresolved()
        && impact.severity.level > Severity::Info
}

/// Whether a production key would stop because of the change.
pub(super) fn kills_production(report: &Report) -> bool {
    let production = |impact: &Impact| impact.key.environment == Environment::Production;
    let mut impacts = report.impacts.iter();
    impacts.any(|impact| stops(impact) && production(impact))
}

/// Writes the report for a person to read.
pub(super) fn print(output: Output, report: &Report) -> std::io::Result<()> {
    let outcome = &report.outcome;
    output.line(&format!(
        "{} {} ({}), effective {}: {}",
        outcome.person.id,
        outcome.change,
        outcome.scope,
        output::moment(outcome.effective_at),
        outcome.reason
    ))?;
    let open = |impact: &&Impact| impact.status.is_unresolved();
    let stopping: Vec<&Impact> = report
        .impacts
        .iter()
        .filter(open)
        .filter(|impact| matches!(impact.fate, Fate::Dies | Fate::Dormant | Fate::Shrinks))
        .collect();
    let alive: Vec<&Impact> = report
        .impacts
        .iter()
        .filter(open)
        .filter(|impact| stays_alive(impact))
        .collect();
    if !stopping.is_empty() {
        output.line("\nWhat stops working")?;
        output.table(&stopping_table(&stopping))?;
    }
    if !alive.is_empty() {
        output.line(&format!(
            "\nWhat stays alive in the hands of {}",
            outcome.person.id
        ))?;
        output.table(&alive_table(&alive))?;
    }
    if let Some(previewed) = &outcome.previewed {
        print_previewed(output, previewed)?;
    }
    output.line(&format!("digest {}", outcome.digest))
}

/// Writes how the report compares with the latest preview of it.
fn print_previewed(output: Output, previewed: &Previewed) -> std::io::Result<()> {
    let (at, digest) = (
        output::moment(previewed.at),
        output::short(&previewed.digest),
    );
    if previewed.same {
        return output.line(&format!("as previewed at {at} (digest {digest})"));
    }
    output.line(&format!(
        "otherwise than previewed at {at} (digest {digest}):"
    ))?;
    for differs in &previewed.differs {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        output.line(&format!(
            "  {} {}, {}: {} was {}, is {}",
            differs.provider,
            differs.project,
            output::short(&differs.key),
            differs.what.label(),
            side(&differs.before),
            side(&differs.now)
        ))?;
    }
    Ok(())
}

fn stopping_table(impacts: &[&Impact]) -> Table {
    let mut table = output::table(&[
        "severity",
        "key",
        "fate",
        "when",
        "act by (UTC)",
        "who acts",
        "why so severe",
    ]);
    for impact in impacts {
        let when = impact
            .effective_at
            .map_or_else(|| "when the member is removed".to_owned(), output::moment);
        let who = match &*impact.successor {
            Successor::Found(contact) => contact.email.to_string(),
            Successor::None { none_because } => format!("nobody: {none_because}"),
        };
        table.add_row([
            output::severity(impact.severity.level),
            Cell::new(name(impact)),
            output::fate(impact.fate),
            Cell::new(when),
            Cell::new(output::moment(impact.act_by)),
            Cell::new(who),
            Cell::new(why(impact)),
        ]);
    }
    table
}

fn alive_table(impacts: &[&Impact]) -> Table {
    let mut table = output::table(&["key", "until", "end it by (UTC)"]);
    for impact in impacts {
        let until = match impact.fate {
            Fate::Survives => "somebody deletes it",
            Fate::Unknown => "nobody documents it",
            Fate::Blocks => "what refuses the removal is mended",
            Fate::Shrinks if !impact.lost_scopes.is_empty() => "somebody lowers the role",
            Fate::Dies | Fate::Dormant | Fate::Shrinks => "somebody removes the member",
        };
        table.add_row([
            Cell::new(name(impact)),
            Cell::new(until),
            Cell::new(output::moment(impact.act_by)),
        ]);
    }
    table
}

/// The reasons, without what the second table says.
fn why(impact: &Impact) -> String {
    let reasons = impact.severity.reasons.iter().map(AsRef::as_ref);
    let told: Vec<&str> = reasons
        .filter(|reason| !reason.starts_with("until then"))
        .collect();
    told.join("; ")
}

fn name(impact: &Impact) -> String {
    let project = impact
        .key
        .project_name
        .as_deref()
        .unwrap_or(&impact.key.project);
    let (provider, id) = (&impact.key.provider, output::short(&impact.key.id));
    let ours = if impact.key.ours {
        " (Offkey reads the provider with it)"
    } else {
        ""
    };
    format!("{}{ours}\n{provider} {project}, {id}", impact.key.label)
}
