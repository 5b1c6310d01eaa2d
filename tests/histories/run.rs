//! Tells a story to the program, as the pipeline does, and keeps everything that is said.

use std::collections::BTreeMap;

use jiff::Timestamp;
use offkey::{
    catalogue::Catalogue,
    correlation::{
        Awaited, Inputs, Policy, correlate,
        policy::{GroupMapping, ProviderFacts},
        revise,
    },
    domain::{ImpactId, Outcome, Propagation, Record, Report, Topic},
    log::{Batch, Entry, Partition, Position},
    projection::{Lens, Projection, Said, Waits},
};

use crate::story::{GROUPS, Place};

/// What came of a story.
#[derive(Debug)]
pub(crate) struct Heard {
    /// By the change's id, every report in the order in which it was said.
    pub(crate) said: BTreeMap<String, Vec<Report>>,
    /// By the change's id, what holds in the end.
    pub(crate) last: BTreeMap<String, Report>,
}

impl Heard {
    /// Every revision of every impact, in the order in which it was said.
    pub(crate) fn revisions(&self) -> BTreeMap<ImpactId, Vec<offkey::domain::Impact>> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for impact in self.said.values().flatten().flat_map(|one| &one.impacts) {
            all.entry(impact.impact_id)
                .or_default()
                .push(impact.clone());
        }
        all
    }

    pub(crate) fn outcomes(&self) -> BTreeMap<String, Outcome> {
        let last = self.last.iter();
        last.map(|(id, report)| (id.clone(), report.outcome.clone()))
            .collect()
    }
}

fn policy() -> Policy {
    let facts = |place: Place| {
        let facts = ProviderFacts {
            kind: place.kind().to_owned(),
            propagation: Propagation::Manual {},
        };
        (place.name().to_owned(), facts)
    };
    Policy {
        providers: [Place::Deepgram, Place::Datadog, Place::OpenAi]
            .map(facts)
            .into(),
        groups: groups().collect(),
        ..Policy::default()
    }
}

fn groups() -> impl Iterator<Item = GroupMapping> {
    let all = GROUPS.iter().enumerate();
    all.map(|(number, group)| GroupMapping {
        source: group.by.name().to_owned(),
        group: format!("g{number}"),
        provider: group.place.name().to_owned(),
        project: group.project.map(|project| format!("p{project}")),
        role: group.role.map(str::to_owned),
    })
}

/// Tells `batches`, and has every report made that is due after each.
pub(crate) fn tell(batches: &[Vec<Record>], catalogue: &Catalogue) -> Heard {
    let folder = tempfile::tempdir().unwrap();
    let policy = policy();
    let lens = Lens {
        policy: &policy,
        catalogue,
    };
    let mut projection = Projection::open(folder.path(), "a story", lens).unwrap();
    let (mut offset, mut said) = (0, BTreeMap::<String, Vec<Report>>::new());
    for batch in batches {
        let entries = batch.iter().map(|record| {
            offset += 1;
            Entry {
                partition: Partition::WHOLE,
                offset,
                record: record.clone(),
            }
        });
        let entries: Vec<Entry> = entries.collect();
        let mut through = Position::default();
        through.advance(Partition::WHOLE, offset + 1);
        let batch = Batch { entries, through };
        projection.apply(&batch, lens).unwrap();
        settle(&mut projection, lens, &mut said);
    }
    let reader = projection.reader();
    let last = said.keys().map(|id| {
        let report = reader.report(id).unwrap().unwrap();
        (id.clone(), report)
    });
    let last = last.collect();
    Heard { said, last }
}

fn settle(projection: &mut Projection, lens: Lens<'_>, said: &mut BTreeMap<String, Vec<Report>>) {
    // No moment ever passes here.
    let stale = projection
        .stale(&[0], &[], 1000, Timestamp::MIN)
        .unwrap()
        .stale;
    let mut news = Vec::new();
    for one in &stale {
        let report = correlate(&Inputs {
            change: &one.change,
            history: &one.history,
            catalogue: lens.catalogue,
            policy: lens.policy,
        });
        let Some(report) = revise(report, &one.published) else {
            continue;
        };
        let at = one.change.published_at;
        let impacts = report.impacts.iter();
        let impacts = impacts.map(|impact| impact.to_record(&one.partition_key, at));
        let outcome = report.outcome.to_record(&one.partition_key, at);
        let records: Vec<Record> = impacts.chain([outcome]).collect();
        assert!(
            records
                .iter()
                .all(|record| record.topic != Topic::Membership)
        );
        let all = said.entry(one.change.id.to_string()).or_default();
        all.push(report.clone());
        news.push(Said {
            report: Some(report),
            records,
            due: Vec::new(),
        });
    }
    let done = stale.iter().map(|one| Waits {
        part: one.part,
        change: one.change.id,
        due: None,
        awaited: Awaited::default(),
    });
    let done: Vec<Waits> = done.collect();
    projection.settle(&done, &news, &[], lens).unwrap();
}
