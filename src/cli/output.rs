//! The one place that writes to the terminal: tables for people, JSON for programs.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::domain::{Fate, Severity};

/// Columns where nobody says how wide the terminal is.
const WIDTH: u16 = 120;

/// Where a command's result goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// JSON instead of tables.
    pub(super) json: bool,
}

impl Output {
    /// Writes one line for people.
    pub(super) fn line(self, text: &str) -> io::Result<()> {
        writeln!(anstream::stdout(), "{text}")
    }

    /// Writes bytes as they are.
    pub(super) fn raw(self, bytes: &[u8]) -> io::Result<()> {
        io::stdout().write_all(bytes)
    }

    /// Writes one JSON document on one line.
    pub(super) fn json(self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&line)?;
        Ok(stdout.flush()?)
    }

    /// Writes a table that fits the terminal.
    pub(super) fn table(self, table: &Table) -> io::Result<()> {
        writeln!(anstream::stdout(), "{table}")
    }
}

/// Writes one line to stderr: what went wrong, or how far long work has come.
pub(super) fn complain(text: &str) {
    // Where stderr is closed nobody wants to know.
    drop(writeln!(anstream::stderr(), "{text}"));
}

/// An empty table with these headings.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !io::stdout().is_terminal() {
        let columns = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        table.set_width(columns.unwrap_or(WIDTH));
    }
    table.set_header(headings.iter().copied());
    table
}

/// A severity in its colour.
pub(super) fn severity(level: Severity) -> Cell {
    let cell = Cell::new(level.label());
    match level {
        Severity::Critical => cell.fg(Color::Red),
        Severity::High => cell.fg(Color::Yellow),
        Severity::Medium => cell.fg(Color::Cyan),
        Severity::Low | Severity::Info => cell,
    }
}

/// A fate in its colour.
pub(super) fn fate(fate: Fate) -> Cell {
    let cell = Cell::new(fate.label());
    match fate {
        Fate::Dies | Fate::Blocks => cell.fg(Color::Red),
        Fate::Dormant | Fate::Shrinks | Fate::Unknown => cell.fg(Color::Yellow),
        Fate::Survives => cell,
    }
}

/// A moment as people read it: to the minute, in UTC.
pub(super) fn moment(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// The beginning of a long id, enough to tell it from others in a table.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
