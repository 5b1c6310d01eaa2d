//! `offkey exposure`: whose leaving would break most, and who would keep most.

mod projects;
mod text;

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use self::projects::{ProjectRow, Projects};
use super::{
    Context, End,
    preview::{AT_ONCE, Maker},
};
use crate::{
    correlation::{
        PersonHistory,
        traffic::{Traffic, traffic},
    },
    domain::{Fate, Impact, Report, Severity, impact::Environment},
    projection::read::Reader,
};

/// What to rank by.
#[derive(Debug, Args)]
#[command(after_help = MEANING)]
pub(super) struct Exposure {
    /// How many people and projects to name.
    #[arg(long, default_value_t = 20, value_name = "N")]
    top: usize,
    /// What comes first.
    #[arg(long, value_enum, default_value = "breaks")]
    by: By,
}

const MEANING: &str = "Breaks: production keys with traffic within `policy.traffic_window` that would stop if \
the person were removed everywhere today; perhaps: those whose traffic nobody knows. Keeps: keys that \
would survive in their hands; unknown: keys of which nobody documents it. The bus factor of a project: how \
few people it takes to break more than half of its production keys in use.";

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Whose leaving breaks most.
    Breaks,
    /// Who keeps most.
    Keeps,
}

/// One person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Row {
    person: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Keys that the removal hits.
    keys: usize,
    /// Production keys in use that stop.
    breaks: usize,
    /// Production keys that stop, and whose use nobody knows.
    perhaps: usize,
    /// Keys that survive.
    keeps: usize,
    /// Keys of which nobody knows.
    unknown: usize,
}

/// The order of a row; the first one is the least.
type Rank = (Reverse<(usize, usize, usize)>, String);

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    /// Everybody who was asked about.
    counted: u64,
    /// Those of them who break or keep anything.
    exposed: u64,
    people: Vec<Row>,
    projects: Vec<ProjectRow>,
}

impl Exposure {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let findings = self.find(context)?;
        if context.output.json {
            context.output.json(&findings)?;
        } else {
            text::print(context.output, &findings)?;
        }
        Ok(End::Done)
    }

    fn find(&self, context: &Context) -> anyhow::Result<Findings> {
        let (catalogue, db) = context.reading()?;
        let reader = Reader::new(&db).as_of_now()?;
        let (policy, now) = (&context.config.policy, context.clock.now());
        let maker = Maker::new(reader, &catalogue, policy);
        let (mut counted, mut exposed) = (0, 0);
        let mut projects = Projects::default();
        let mut top = Top {
            most: self.top,
            rows: BTreeMap::new(),
        };
        let mut after = String::new();
        loop {
            let people = reader.people_after(&after, AT_ONCE)?;
            let Some(last) = people.last() else { break };
            after.clone_from(last);
            for (report, history) in maker.removals_of(&people, now)? {
                let row = row(
                    &report,
                    &history,
                    (now, policy.traffic_window),
                    &mut projects,
                );
                counted += 1;
                exposed += u64::from(is_exposed(&row));
                top.offer(self.rank(&row), row);
            }
        }
        Ok(Findings {
            counted,
            exposed,
            people: top.rows.into_values().collect(),
            projects: projects.worst(self.top),
        })
    }

    fn rank(&self, row: &Row) -> Rank {
        let order = match self.by {
            By::Breaks => (row.breaks, row.perhaps, row.keeps),
            By::Keeps => (row.keeps, row.unknown, row.breaks),
        };
        (Reverse(order), row.person.clone())
    }
}

fn is_exposed(row: &Row) -> bool {
    row.breaks + row.perhaps + row.keeps + row.unknown > 0
}

/// The first few, however many come.
struct Top {
    most: usize,
    rows: BTreeMap<Rank, Row>,
}

impl Top {
    fn offer(&mut self, rank: Rank, row: Row) {
        self.rows.insert(rank, row);
        if self.rows.len() > self.most {
            self.rows.pop_last();
        }
    }
}

/// One person's row, and what of it counts for the projects.
fn row(
    report: &Report,
    history: &PersonHistory,
    when: (Timestamp, Duration),
    projects: &mut Projects,
) -> Row {
    let mut row = Row {
        person: history.person.clone(),
        name: history.name.clone(),
        keys: report.impacts.len(),
        ..Row::default()
    };
    let mut broken = projects::Broken::default();
    let open = |impact: &&Impact| impact.status.is_unresolved();
    for impact in report.impacts.iter().filter(open) {
        match impact.fate {
            Fate::Survives => row.keeps += 1,
            Fate::Unknown => row.unknown += 1,
            Fate::Dies | Fate::Dormant if is_production(impact) => {
                match traffic_of(impact, history, when) {
                    Traffic::Active => {
                        row.breaks += 1;
                        broken.add(impact);
                    }
                    Traffic::Unknown => row.perhaps += 1,
                    Traffic::Idle => {}
                }
            }
            Fate::Dies | Fate::Dormant | Fate::Shrinks | Fate::Blocks => {}
        }
    }
    projects.add(&history.person, broken);
    row
}

/// Whether the key is production, and would not stop anyway.
fn is_production(impact: &Impact) -> bool {
    impact.key.environment == Environment::Production && impact.severity.level > Severity::Info
}

fn traffic_of(
    impact: &Impact,
    history: &PersonHistory,
    (now, window): (Timestamp, Duration),
) -> Traffic {
    let key = &impact.key;
    let known = history.keys.iter().find(|known| {
        (&known.id, &known.project, &known.provider) == (&key.id, &key.project, &key.provider)
    });
    known.map_or(Traffic::Unknown, |known| traffic(known, now, window))
}
