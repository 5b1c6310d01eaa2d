//! What of a report is news.

use std::collections::BTreeMap;

use crate::domain::{Impact, ImpactId, Outcome, Report, Status};

/// What was published of one change.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// The newest outcome.
    pub outcome: Option<Outcome>,
    /// The newest revision of every impact.
    pub impacts: Vec<Impact>,
}

/// The outcome and impacts to publish now; nothing when everything was said already.
///
/// Revisions count up from 1. An impact that did not change is not sent again; one that the report
/// no longer holds is withdrawn.
#[must_use]
pub fn revise(report: Report, published: &Published) -> Option<Report> {
    let known = published.outcome.as_ref();
    let says_the_same = |known: &Outcome| {
        known.digest == report.outcome.digest && known.previewed == report.outcome.previewed
    };
    if known.is_some_and(says_the_same) {
        return None;
    }
    let mut before: BTreeMap<ImpactId, &Impact> = published
        .impacts
        .iter()
        .map(|impact| (impact.impact_id, impact))
        .collect();
    let mut impacts: Vec<Impact> = report
        .impacts
        .into_iter()
        .filter_map(|impact| {
            let old = before.remove(&impact.impact_id);
            next_revision(impact, old)
        })
        .collect();
    impacts.extend(
        before
            .into_values()
            .filter(|old| old.status != Status::Withdrawn)
            .map(|old| {
                let digest = report.outcome.digest.clone();
                Impact {
                    revision: old.revision + 1,
                    status: Status::Withdrawn,
                    report_digest: digest,
                    ..old.clone()
                }
            }),
    );
    let revision = known.map_or(1, |known| known.revision + 1);
    Some(Report {
        outcome: Outcome {
            revision,
            ..report.outcome
        },
        impacts,
    })
}

fn next_revision(impact: Impact, before: Option<&Impact>) -> Option<Impact> {
    let Some(old) = before else {
        return Some(Impact {
            revision: 1,
            ..impact
        });
    };
    let unchanged = Impact {
        revision: old.revision,
        report_digest: old.report_digest.clone(),
        ..impact.clone()
    } == *old;
    (!unchanged).then(|| Impact {
        revision: old.revision + 1,
        ..impact
    })
}
