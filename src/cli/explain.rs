//! `offkey explain IMPACT`: one impact with every reason, the rule cited and the row that decided.

use clap::Args;
use comfy_table::Table;
use serde::Serialize;

use super::{Context, End, output};
use crate::{
    catalogue::Rule,
    domain::{
        Impact, Propagation, Status,
        impact::{Contact, Successor},
    },
    projection::read::Reader,
};

/// Which impact.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Its id, or the beginning of it, as `offkey tail impacts` and every sink tell it.
    impact: String,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Explanation<'a> {
    impact: &'a Impact,
    /// The rule as the catalogue has it now; absent: it has it no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a Rule>,
}

impl Explain {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let (catalogue, db) = context.reading()?;
        let impact = self.find(Reader::new(&db).impacts_named(&self.impact)?)?;
        let rule = catalogue.rule_named(&impact.rule.rule);
        if context.output.json {
            let impact = &impact;
            context.output.json(&Explanation { impact, rule })?;
        } else {
            context.output.table(&table(&impact, rule))?;
        }
        Ok(End::Done)
    }

    fn find(&self, found: Vec<Impact>) -> anyhow::Result<Impact> {
        let id = &self.impact;
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => anyhow::bail!("{id:?} begins several ids; give more of it"),
            (None, _) => anyhow::bail!("no impact has the id {id:?}"),
        }
    }
}

fn table(impact: &Impact, rule: Option<&Rule>) -> Table {
    let id = impact.impact_id.to_string();
    let mut table = output::table(&["", id.as_str()]);
    let rows = told(impact)
        .into_iter()
        .chain(cited(impact))
        .chain(rule.map(doubts).unwrap_or_default())
        .chain(known(impact));
    for (name, text) in rows {
        table.add_row([name.to_owned(), text]);
    }
    table
}

type Row = (&'static str, String);

/// What becomes of the key, how bad that is and what decided it.
fn told(impact: &Impact) -> Vec<Row> {
    let key = &impact.key;
    let ours = if key.ours {
        "; Offkey reads the provider with it"
    } else {
        ""
    };
    let project = key.project_name.as_deref().unwrap_or(&key.project);
    let status = in_words(impact.status);
    let told_by = if impact.reconciled {
        "of which nobody told: seen at"
    } else {
        "told by"
    };
    let mut rows = vec![
        (
            "key",
            format!(
                "{} ({}, {project}, {}){ours}",
                key.label, key.provider, key.id
            ),
        ),
        (
            "change",
            format!(
                "{} of {} ({}), {told_by} {}, effective {}",
                impact.change,
                impact.person.id,
                impact.scope,
                impact.source,
                output::moment(impact.change_effective_at)
            ),
        ),
        ("fate", impact.fate.to_string()),
    ];
    let back = impact.returns.map(|back| back.label().replace('_', " "));
    rows.extend(back.map(|back| ("comes back", back)));
    let lost = (!impact.lost_scopes.is_empty()).then(|| impact.lost_scopes.join(", "));
    rows.extend(lost.map(|lost| ("loses", lost)));
    rows.push(("when", when(impact)));
    let until = impact.until_then.as_ref().map(ToString::to_string);
    rows.extend(until.map(|text| ("until then", text)));
    rows.push(("status", format!("{status}, revision {}", impact.revision)));
    let observed = impact.observed.iter();
    rows.extend(observed.map(|seen| ("observed", seen.says.clone())));
    rows.push(("severity", impact.severity.level.label().to_owned()));
    let reasons = impact.severity.reasons.iter();
    rows.extend(reasons.map(|reason| ("because", reason.to_string())));
    if !impact.severity.decided_by.is_empty() {
        rows.push(("decided by", impact.severity.decided_by.to_string()));
    }
    rows
}

/// What became of the impact so far.
fn in_words(status: Status) -> &'static str {
    match status {
        Status::Scheduled => "scheduled: it will hold from that day on",
        Status::Open => "open",
        Status::Confirmed => "confirmed: it came as predicted",
        Status::StillAlive => "still alive: it was predicted to stop",
        Status::DiedUnexpectedly => "died unexpectedly: it was predicted to live",
        Status::Unverifiable => "unverifiable: nobody could see in time what became of it",
        Status::Superseded => "superseded: a later change undid it",
        Status::Withdrawn => "withdrawn: it never held",
    }
}

fn when(impact: &Impact) -> String {
    let how = match impact.propagation {
        Propagation::Direct {} => "it happened at the provider",
        Propagation::Automatic { .. } => "the provider follows by itself",
        Propagation::Manual {} => "somebody has to act at the provider",
        Propagation::None {} => "nothing carries the change to the provider",
    };
    let at = impact
        .effective_at
        .map_or_else(|| "when somebody acts".to_owned(), output::moment);
    format!("{at}; {how}")
}

/// The rule, what goes along, and what to do.
fn cited(impact: &Impact) -> Vec<Row> {
    let rule = &impact.rule;
    let mut rows = vec![(
        "rule",
        format!(
            "{}\n{}\n{} ({})",
            rule.rule, rule.says, rule.url, rule.checked
        ),
    )];
    rows.extend(impact.symptom.iter().map(|seen| {
        let said = format!("{} {} {}", seen.status, seen.code, seen.message);
        ("callers see", said)
    }));
    rows.extend(impact.takes_along.iter().map(|one| {
        let said = format!(
            "{}: {}\n{}\n{} ({})",
            one.what, one.fate, one.says, one.url, one.checked
        );
        ("takes along", said)
    }));
    rows.extend(impact.replaced_by.iter().map(|other| {
        let said = format!("{} ({}), made by {}", other.label, other.id, other.creator);
        ("replaced by", said)
    }));
    rows.push(("do", impact.recommended_action.to_string()));
    rows.push(("by", output::moment(impact.act_by)));
    let who = match &*impact.successor {
        Successor::Found(Contact { email, why, .. }) => format!("{email}: {why}"),
        Successor::None { none_because } => format!("nobody: {none_because}"),
    };
    rows.push(("who", who));
    rows
}

/// What speaks against the rule, or is our reading of it.
fn doubts(rule: &Rule) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(rule.inferred.clone().map(|text| ("inferred", text)));
    rows.extend(rule.conflicts.iter().map(|other| {
        let said = format!("{}\n{} ({})", other.says, other.url, other.checked);
        ("but", said)
    }));
    rows
}

fn known(impact: &Impact) -> Vec<Row> {
    let told = impact.evidence.iter().map(|one| {
        let at = one.at.map(output::moment).unwrap_or_default();
        ("known", format!("{} {at}", one.fact).trim_end().to_owned())
    });
    told.collect()
}
