//! One change judged: its news, what fell due for it, and what it waits for.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Pipeline;
use crate::{
    correlation::{
        Awaited, Inputs, PersonHistory, Published, foresee, revise,
        schedule::{Occasion, remind},
    },
    domain::{Record, Report, passed::Passed},
    projection::{Said, Stale, Waits},
    telemetry::metrics as names,
};

impl Pipeline {
    /// One change's news, nothing when everything was said, and what it waits for.
    pub(super) fn judge(&self, stale: &Stale, now: Timestamp) -> (Option<Said>, Waits) {
        let (change, key) = (&stale.change, &stale.partition_key);
        let mut due = Vec::new();
        let (mut report, mut awaited) = self.foresee(stale, &stale.history);
        if let Some(&at) = awaited.moments.range(..=now).next_back() {
            let change_id = change.id;
            due.push(Passed { change_id, at }.to_record(key, now));
            let mut history = PersonHistory::clone(&stale.history);
            history.passed.insert(change_id, at);
            (report, awaited) = self.foresee(stale, &history);
        }
        let heard_at = stale.history.heard.get(&change.id).copied();
        let occasion = Occasion {
            change,
            heard_at: heard_at.unwrap_or(now),
            given: &stale.reminded,
            now,
        };
        let (reminders, next) = remind(&report, &occasion, &self.policy.reminders);
        due.extend(reminders.iter().map(|one| one.to_record(key, now)));
        let first = awaited.moments.first().copied();
        let waits = Waits {
            part: stale.part,
            change: change.id,
            due: first.into_iter().chain(next).min(),
            awaited,
        };
        let news = revise(report, said_before(stale));
        let is_silent = news.is_none() && due.is_empty();
        let said = (!is_silent).then(|| said(news, due, key, now));
        (said, waits)
    }

    fn foresee(&self, stale: &Stale, history: &PersonHistory) -> (Report, Awaited) {
        foresee(&Inputs {
            change: &stale.change,
            history,
            catalogue: &self.catalogue,
            policy: &self.policy,
        })
    }
}

/// What is put out of one change's `news` and of what fell `due`.
fn said(news: Option<Report>, due: Vec<Record>, key: &str, now: Timestamp) -> Said {
    let records = news.as_ref().map(|report| {
        let change = report.outcome.change_id;
        tracing::info_span!("correlate", change.id = %change).in_scope(|| note(report));
        let impacts = report.impacts.iter();
        let impacts = impacts.map(|impact| impact.to_record(key, now));
        impacts
            .chain([report.outcome.to_record(key, now)])
            .collect()
    });
    Said {
        report: news,
        records: records.unwrap_or_default(),
        due,
    }
}

fn said_before(stale: &Stale) -> &Published {
    // Forgetting it says everything twice, for the test that shows that somebody would notice.
    fail::fail_point!("pipeline.forget-what-was-said", |_| {
        static NOTHING: std::sync::LazyLock<Published> =
            std::sync::LazyLock::new(Published::default);
        &NOTHING
    });
    &stale.published
}

fn note(report: &Report) {
    let outcome = &report.outcome;
    tracing::info!(
        change.id = %outcome.change_id,
        change.kind = %outcome.change,
        result = outcome.result.label(),
        revision = outcome.revision,
        impacts = report.impacts.len(),
        "correlated"
    );
    metrics::counter!(names::OUTCOMES, "result" => outcome.result.label()).increment(1);
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for impact in &report.impacts {
        let labels = (impact.fate.label(), impact.severity.level.label());
        *counts.entry(labels).or_default() += 1;
    }
    for ((fate, severity), count) in counts {
        metrics::counter!(names::IMPACTS, "fate" => fate, "severity" => severity).increment(count);
    }
}
