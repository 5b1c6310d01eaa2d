//! `offkey log check`: how the log is.

use std::collections::BTreeMap;

use comfy_table::Cell;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    super::{Context, End, output},
    sinks,
};
use crate::{
    app,
    domain::Topic,
    log::{Health, Log, copy::Follow},
    pipeline,
    projection::{self, read::Reader},
};

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    log: String,
    takes_records: bool,
    /// What has to be mended, and how.
    faults: Vec<String>,
    /// The ends of the partitions, by topic; `*` is a log that orders everything.
    topics: BTreeMap<String, Vec<u64>>,
    groups: Vec<Group>,
    /// As the read model in the folder knows it; absent where there is none, or the log cannot be
    /// asked what others have done.
    waiting: Option<Waiting>,
}

/// Whose work is how far behind.
#[derive(Debug, Serialize)]
struct Group {
    name: String,
    /// How much lies before it ([`Log::lag`]).
    lag: u64,
}

/// Changes whose report is not made.
#[derive(Debug, Serialize)]
struct Waiting {
    changes: u64,
    oldest: Option<Timestamp>,
}

pub(super) fn run(context: &Context) -> anyhow::Result<End> {
    let log = app::attach_log(&context.config, context.clock.clone())?;
    let findings = inspect(context, &*log)?;
    if context.output.json {
        context.output.json(&findings)?;
    } else {
        show(context, &findings)?;
    }
    if findings.faults.is_empty() {
        Ok(End::Done)
    } else {
        anyhow::bail!("the log is not as it has to be")
    }
}

fn inspect(context: &Context, log: &dyn Log) -> anyhow::Result<Findings> {
    let mut faults = log.faults()?;
    let mut findings = Findings {
        log: log.identity(),
        takes_records: true,
        faults: Vec::new(),
        topics: BTreeMap::new(),
        groups: Vec::new(),
        waiting: None,
    };
    match look(context, log, &mut findings) {
        Ok(()) => {}
        // Where topics are absent that is told already.
        Err(_) if !faults.is_empty() => {}
        Err(error) => faults.push(error.to_string()),
    }
    if let Health::Unavailable(why) | Health::Failed(why) = log.health() {
        faults.push(format!("the log does not take records: {why}"));
        findings.takes_records = false;
    }
    findings.faults = faults;
    Ok(findings)
}

fn look(context: &Context, log: &dyn Log, findings: &mut Findings) -> anyhow::Result<()> {
    findings.waiting = waiting(context, log)?;
    let end = log.end()?;
    for (partition, next) in end.parts() {
        let topic = partition.topic.map_or("*", Topic::name).to_owned();
        findings.topics.entry(topic).or_default().push(next);
    }
    let correlation = Follow {
        group: pipeline::GROUP.to_owned(),
        topics: vec![Topic::Membership],
    };
    for one in std::iter::once(correlation).chain(sinks(context)) {
        let lag = log.lag(&one.group, &one.topics)?;
        let name = one.group;
        findings.groups.push(Group { name, lag });
    }
    Ok(())
}

/// What waits, as far as the read model in the folder knows of it.
fn waiting(context: &Context, log: &dyn Log) -> anyhow::Result<Option<Waiting>> {
    let Ok(db) = projection::open_reader(&context.config.log.path) else {
        return Ok(None);
    };
    let settled = log
        .settled(pipeline::GROUP, &[Topic::Membership])?
        .into_iter();
    let settled = settled.map(|(partition, done)| (partition.number, done));
    let (changes, oldest) = Reader::new(&db).unreported(&settled.collect())?;
    Ok(Some(Waiting { changes, oldest }))
}

fn show(context: &Context, findings: &Findings) -> anyhow::Result<()> {
    let output = context.output;
    let takes = if findings.takes_records {
        "takes"
    } else {
        "does not take"
    };
    output.line(&format!("{} {takes} records", findings.log))?;
    let mut topics = output::table(&["topic", "partitions", "ends at"]);
    for (topic, ends) in &findings.topics {
        let told: Vec<_> = ends.iter().map(ToString::to_string).collect();
        topics.add_row([
            Cell::new(topic),
            Cell::new(ends.len()),
            Cell::new(told.join(" ")),
        ]);
    }
    output.table(&topics)?;
    let mut groups = output::table(&["group", "behind by"]);
    for group in &findings.groups {
        groups.add_row([Cell::new(&group.name), Cell::new(group.lag)]);
    }
    output.table(&groups)?;
    if let Some(waiting) = &findings.waiting {
        let oldest = waiting
            .oldest
            .map(|at| format!(", the oldest since {}", output::moment(at)));
        let oldest = oldest.unwrap_or_default();
        output.line(&format!(
            "{} changes wait for their report{oldest}",
            waiting.changes
        ))?;
    }
    for fault in &findings.faults {
        output.line(fault)?;
    }
    Ok(())
}
