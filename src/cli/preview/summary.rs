//! What several previews come to.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashSet},
};

use comfy_table::Cell;

use super::Imagined;
use crate::{
    cli::{
        End,
        output::{self, Output},
        report::{kills_production, stops},
    },
    domain::{OutcomeResult, Report, Severity, id::content_id, impact::Environment},
};

/// Counts, and the worst few.
#[derive(Debug)]
pub(super) struct Summary {
    most: usize,
    worst: BTreeSet<Row>,
    changes: u64,
    repeats: u64,
    fatal: u64,
    results: BTreeMap<OutcomeResult, u64>,
    /// What was counted, by a digest.
    seen: HashSet<u128>,
}

/// One preview; the worst one is the least.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    worst: Reverse<Option<Severity>>,
    production: Reverse<usize>,
    would_die: Reverse<usize>,
    person: String,
    change: String,
    keys: usize,
    digest: String,
}

impl Row {
    fn of(report: &Report) -> Self {
        let outcome = &report.outcome;
        let dying = || report.impacts.iter().filter(|impact| stops(impact));
        let production = |environment| environment == Environment::Production;
        let levels = report.impacts.iter().map(|impact| impact.severity.level);
        Self {
            worst: Reverse(levels.max()),
            production: Reverse(
                dying()
                    .filter(|impact| production(impact.key.environment))
                    .count(),
            ),
            would_die: Reverse(dying().count()),
            person: outcome.person.id.clone(),
            change: format!("{} ({})", outcome.change, outcome.scope),
            keys: report.impacts.len(),
            digest: outcome.digest.clone(),
        }
    }
}

impl Summary {
    /// Names at most `most` of the worst.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            worst: BTreeSet::new(),
            changes: 0,
            repeats: 0,
            fatal: 0,
            results: BTreeMap::new(),
            seen: HashSet::new(),
        }
    }

    /// Counts one preview; false when the same one was counted before.
    pub(super) fn add(&mut self, one: &Imagined, report: &Report) -> bool {
        let same = [
            one.email.to_string(),
            one.change.to_string(),
            one.scope.to_string(),
            one.at.to_string(),
        ];
        let same: Vec<&[u8]> = same.iter().map(String::as_bytes).collect();
        if !self.seen.insert(content_id(&same).as_u128()) {
            self.repeats += 1;
            return false;
        }
        self.changes += 1;
        self.fatal += u64::from(kills_production(report));
        *self.results.entry(report.outcome.result).or_default() += 1;
        self.worst.insert(Row::of(report));
        if self.worst.len() > self.most {
            self.worst.pop_last();
        }
        true
    }

    /// How the command ends: whether production keys would die.
    pub(super) fn end(&self) -> End {
        if self.fatal > 0 {
            End::ProductionDies
        } else {
            End::Done
        }
    }

    /// Writes it, the worst first; with JSON on stdout to stderr.
    pub(super) fn print(&self, output: Output) -> std::io::Result<()> {
        if output.json {
            output::complain(&self.sentence());
            return Ok(());
        }
        let mut table = output::table(&[
            "person",
            "change",
            "keys",
            "would die",
            "in production",
            "worst",
            "digest",
        ]);
        for row in &self.worst {
            table.add_row([
                Cell::new(&row.person),
                Cell::new(&row.change),
                Cell::new(row.keys),
                Cell::new(row.would_die.0),
                Cell::new(row.production.0),
                row.worst.0.map_or_else(|| Cell::new("-"), output::severity),
                Cell::new(output::short(&row.digest)),
            ]);
        }
        if !self.worst.is_empty() {
            output.table(&table)?;
        }
        let hidden = self.changes - self.worst.len() as u64;
        if hidden > 0 {
            output.line(&format!("{hidden} more are not shown (--top, --json)"))?;
        }
        output.line(&self.sentence())
    }

    fn sentence(&self) -> String {
        let count = |result| self.results.get(&result).copied().unwrap_or(0);
        let mut text = format!(
            "{} changes: {} kill production keys; {} hit keys, {} find no key, {} take nothing away, \
             {} are of people whom no inventory knows, {} can be about several",
            self.changes,
            self.fatal,
            count(OutcomeResult::Report),
            count(OutcomeResult::NoKeys),
            count(OutcomeResult::NoEffect),
            count(OutcomeResult::UnknownPerson),
            count(OutcomeResult::Ambiguous),
        );
        if self.repeats > 0 {
            text += &format!("; {} repeats were left out", self.repeats);
        }
        text
    }
}
