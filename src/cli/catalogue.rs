//! `offkey catalogue`: what becomes of keys, at whom, and where that is written.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Subcommand;
use comfy_table::{Cell, ColumnConstraint, Width};

use super::{Context, End, output};
use crate::{
    app,
    catalogue::{self, Class, Fault, Provider, Rule, Situation},
    projection::{
        self, ProjectionError,
        read::{Reader, RuleRecord},
    },
};

/// What to do with the catalogue.
#[derive(Debug, Subcommand)]
pub(super) enum Catalogue {
    /// Every kind of key, and what becomes of it.
    List {
        /// Only this provider's, by its kind.
        #[arg(long)]
        provider: Option<String>,
    },
    /// One rule with all it rests on, or the rules of a provider or a kind of key.
    Show {
        /// A rule's id, PROVIDER or PROVIDER/CLASS.
        #[arg(value_name = "RULE|PROVIDER[/CLASS]")]
        what: String,
    },
    /// Whether every rule is cited, dated and single; exit code 2 when one is not.
    Check {
        /// This file, as an addition to the others; by default all that are in use.
        file: Option<PathBuf>,
    },
}

impl Catalogue {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        match self {
            Self::List { provider } => list(context, provider.as_deref())?,
            Self::Show { what } => show(context, what)?,
            Self::Check { file } => return check(context, file.as_ref()),
        }
        Ok(End::Done)
    }
}

fn list(context: &Context, kind: Option<&str>) -> anyhow::Result<()> {
    let catalogue = app::catalogue(&context.config)?;
    let providers: Vec<&Provider> = match kind {
        Some(kind) => vec![known(&catalogue, kind)?],
        None => catalogue.providers().collect(),
    };
    let classes = || {
        let of = |provider: &Provider| provider.kind.clone();
        providers
            .iter()
            .flat_map(move |provider| provider.classes().map(move |class| (of(provider), class)))
    };
    if context.output.json {
        return classes()
            .flat_map(|(_, class)| class.rules())
            .try_for_each(|rule| context.output.json(rule));
    }
    let mut table = output::table(&[
        "key",
        "removed",
        "left",
        "deleted",
        "suspended",
        "demoted",
        "project lost",
        "back",
        "expired",
    ]);
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(34)));
    }
    for (kind, class) in classes() {
        let fates = Situation::ANSWERED.map(|on| match class.rule(on) {
            Some(Rule {
                returns: Some(returns),
                ..
            }) => Cell::new(returns.label().replace('_', " ")),
            Some(rule) => output::fate(rule.fate),
            None => Cell::new("-"),
        });
        let name = Cell::new(format!("{kind}/{}", class.name));
        table.add_row([name].into_iter().chain(fates));
    }
    Ok(context.output.table(&table)?)
}

fn known<'a>(catalogue: &'a catalogue::Catalogue, kind: &str) -> anyhow::Result<&'a Provider> {
    catalogue.provider(kind).ok_or_else(|| {
        let kinds: Vec<&str> = catalogue
            .providers()
            .map(|known| known.kind.as_str())
            .collect();
        anyhow::anyhow!("the catalogue has no {kind:?}; it has {}", kinds.join(", "))
    })
}

/// How often rules came true; nothing when nothing runs here.
fn records(context: &Context) -> anyhow::Result<BTreeMap<String, RuleRecord>> {
    match projection::open_reader(&context.config.log.path) {
        Ok(db) => Ok(Reader::new(&db).rule_records()?),
        Err(ProjectionError::File { .. }) => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

/// A rule as JSON, with its record.
fn with_record(rule: &Rule, record: RuleRecord) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(rule)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("observed".to_owned(), serde_json::to_value(record)?);
    }
    Ok(value)
}

/// A record in words.
fn in_words(record: RuleRecord) -> String {
    if record == RuleRecord::default() {
        return "nothing yet".to_owned();
    }
    let times = |count: u64| match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let RuleRecord {
        confirmed,
        contradicted,
        unverifiable,
    } = record;
    let mut all = vec![format!("{} as predicted", times(confirmed))];
    if contradicted > 0 {
        all.push(format!("{} otherwise", times(contradicted)));
    }
    if unverifiable > 0 {
        all.push(format!("{} nobody could tell", times(unverifiable)));
    }
    all.join(", ")
}

fn show(context: &Context, what: &str) -> anyhow::Result<()> {
    let catalogue = app::catalogue(&context.config)?;
    let records = records(context)?;
    let record = |rule: &Rule| records.get(&rule.id).copied().unwrap_or_default();
    if let Some(rule) = catalogue.rule_named(what) {
        return if context.output.json {
            context.output.json(&with_record(rule, record(rule))?)
        } else {
            show_rule(context, rule, record(rule))
        };
    }
    let (kind, class) = match what.split_once('/') {
        Some((kind, class)) => (kind, Some(class)),
        None => (what, None),
    };
    let provider = known(&catalogue, kind)?;
    let classes: Vec<&Class> = match class {
        Some(name) => vec![provider.class(name).ok_or_else(|| {
            let names: Vec<&str> = provider
                .classes()
                .map(|class| class.name.as_str())
                .collect();
            anyhow::anyhow!("{kind} has no class {name:?}; it has {}", names.join(", "))
        })?],
        None => provider.classes().collect(),
    };
    if context.output.json {
        let mut rules = classes.into_iter().flat_map(Class::rules);
        return rules.try_for_each(|rule| {
            let told = with_record(rule, record(rule))?;
            context.output.json(&told)
        });
    }
    for class in classes {
        context
            .output
            .line(&format!("{} {}: {}", provider.name, class.name, class.what))?;
        let mut table = output::table(&["rule", "fate", "says", "read on", "observed"]);
        for rule in class.rules() {
            table.add_row([
                Cell::new(&rule.id),
                output::fate(rule.fate),
                Cell::new(&rule.says),
                Cell::new(&rule.checked),
                Cell::new(in_words(record(rule))),
            ]);
        }
        context.output.table(&table)?;
    }
    Ok(())
}

/// Everything that one rule says.
fn show_rule(context: &Context, rule: &Rule, record: RuleRecord) -> anyhow::Result<()> {
    let mut table = output::table(&["", rule.id.as_str()]);
    let mut row = |name: &str, text: String| {
        table.add_row([name.to_owned(), text]);
    };
    row("key", format!("{}/{}", rule.provider, rule.class));
    row("when", rule.on.to_string());
    row("fate", rule.fate.to_string());
    if let Some(returns) = rule.returns {
        row("returns", returns.label().to_owned());
    }
    if let Some(symptom) = &rule.symptom {
        let said = format!("{} {} {}", symptom.status, symptom.code, symptom.message);
        row(
            "callers see",
            said.split_whitespace().collect::<Vec<_>>().join(" "),
        );
    }
    row("do", rule.action.to_string());
    row("says", rule.says.clone());
    row("where", rule.url.clone());
    row("read on", rule.checked.clone());
    row("observed", in_words(record));
    if let Some(inferred) = &rule.inferred {
        row("inferred", inferred.clone());
    }
    for other in &rule.conflicts {
        row(
            "but",
            format!("{}\n{} ({})", other.says, other.url, other.checked),
        );
    }
    for along in &rule.takes_along {
        let cited = format!("{}\n{} ({})", along.says, along.url, along.checked);
        row(
            "takes along",
            format!("{}: {}\n{cited}", along.what, along.fate),
        );
    }
    row("file", rule.file.to_string());
    for old in &rule.replaces {
        row("instead of", format!("{} of {}", old.id, old.file));
    }
    Ok(context.output.table(&table)?)
}

fn check(context: &Context, file: Option<&PathBuf>) -> anyhow::Result<End> {
    let configured = &context.config.catalogue.files;
    let mut faults: Vec<Fault> = Vec::new();
    let mut files = configured.clone();
    match file {
        // What stands before it in the configuration is what it adds to.
        Some(file) => {
            let before = configured.iter().take_while(|other| *other != file);
            files = before.chain([file]).cloned().collect();
        }
        None => faults.extend(catalogue::Catalogue::check()),
    }
    for count in 0..files.len() {
        let (before, rest) = files.split_at(count);
        let (Some(next), true) = (rest.first(), faults.is_empty()) else {
            break;
        };
        faults.extend(catalogue::Catalogue::load(before)?.check_file(next)?);
    }
    let usable = faults.is_empty();
    let rules = if usable {
        catalogue::Catalogue::load(&files)?.rules().count()
    } else {
        0
    };
    if context.output.json {
        let answer = serde_json::json!({ "usable": usable, "rules": rules, "faults": faults });
        context.output.json(&answer)?;
    } else if usable {
        context
            .output
            .line(&format!("the catalogue can be used: {rules} rules"))?;
    }
    for fault in faults.iter().filter(|_| !context.output.json) {
        context.output.line(&fault.to_string())?;
    }
    Ok(if usable { End::Done } else { End::Unusable })
}
