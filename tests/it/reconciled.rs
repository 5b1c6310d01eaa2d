//! Webhooks that get lost at their sender: what they would have told, the next looks show.

use std::collections::{BTreeMap, BTreeSet};

use offkey::domain::{
    Impact, ImpactId, MembershipChange, Outcome, OutcomeResult, Record, Status, Topic,
};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::{
    harness::{Stage, is_over_kafka, one_of_the_crowd, seed, until},
    inventory::{ask, find},
};

const PEOPLE: usize = 40;
/// Of how many the webhook gets lost: more than the twentieth part.
const LOST: usize = 3;

/// The newest revision of every impact.
fn newest(records: &[Record]) -> BTreeMap<ImpactId, Impact> {
    let impacts = records.iter().filter(|one| one.kind == Impact::TYPE);
    let mut newest = BTreeMap::new();
    for impact in impacts.map(|record| record.read::<Impact>().unwrap()) {
        newest.insert(impact.impact_id, impact);
    }
    newest
}

/// How many removals the looks have shown, and what came of them so far.
fn seen(stage: &Stage) -> (usize, Vec<Outcome>) {
    let changes = stage.records(&[Topic::Membership]);
    let changes = changes.iter().map(|one| one.read().unwrap());
    let seen: BTreeSet<_> = changes
        .filter(|change: &MembershipChange| change.source == "deepgram")
        .map(|change| change.id)
        .collect();
    let outcomes = stage.records(&[Topic::Outcomes]);
    let outcomes = outcomes.iter().map(|one| one.read().unwrap());
    let outcomes = outcomes.filter(|outcome: &Outcome| seen.contains(&outcome.change_id));
    (seen.len(), outcomes.collect())
}

/// Waits until each removal is seen and has its outcome, and every report that stands is closed;
/// the impacts that stand.
fn standing_in_the_end(stage: &Stage) -> Vec<Impact> {
    until("every removal to be seen and confirmed", || {
        let (seen, outcomes) = seen(stage);
        let answered: BTreeSet<_> = outcomes.iter().map(|one| one.change_id).collect();
        let all: Vec<_> = newest(&stage.records(&[Topic::Impacts]))
            .into_values()
            .collect();
        let standing = all.iter().filter(|impact| impact.status.stands());
        let standing: Vec<Impact> = standing.cloned().collect();
        let closed = |impact: &Impact| impact.status == Status::Confirmed;
        // On Kafka the word and what the look shows lie in different partitions: which of them is
        // read first nobody can say, and what was told too soon is taken back.
        let is_all = is_over_kafka() || standing.len() == all.len();
        let is_done = seen == PEOPLE && answered.len() == PEOPLE && is_all;
        let is_done = is_done && standing.len() == PEOPLE && standing.iter().all(closed);
        is_done.then_some(standing)
    })
}

#[test]
fn what_a_lost_webhook_would_have_told_is_reported_once_and_marked() {
    let stage = Stage::set_with_people(PEOPLE, "100ms");
    let _service = stage.start();
    let mut random = StdRng::seed_from_u64(seed("lost webhooks"));
    let mut people: Vec<String> = (0..PEOPLE).map(one_of_the_crowd).collect();
    people.shuffle(&mut random);
    let lost: BTreeSet<String> = people.iter().take(LOST).cloned().collect();
    people.shuffle(&mut random);
    for (number, email) in people.iter().enumerate() {
        if !lost.contains(email) {
            stage.leave(&format!("msg_{number}"), email);
        }
        let (project, member) = find(&stage, "crowd", email);
        let line = format!("DELETE /v1/projects/{project}/members/{member}");
        ask(&stage, &line, "");
    }

    let standing = standing_in_the_end(&stage);
    let told: BTreeSet<String> = standing
        .iter()
        .map(|impact| impact.person.id.clone())
        .collect();
    assert_eq!(
        told,
        people.iter().cloned().collect(),
        "each is told of once"
    );
    for impact in &standing {
        let is_lost = lost.contains(&impact.person.id);
        assert_eq!(impact.reconciled, is_lost, "{impact:?}");
        assert_eq!(impact.source, if is_lost { "deepgram" } else { "hr" });
    }
    // What the looks showed of the others has an outcome as well, which says who had told.
    let (_, outcomes) = seen(&stage);
    let mut last: BTreeMap<_, _> = outcomes.iter().map(|one| (one.change_id, one)).collect();
    last.retain(|_, outcome| !lost.contains(&outcome.person.id));
    assert_eq!(last.len(), PEOPLE - LOST);
    for outcome in last.values() {
        assert_eq!(outcome.result, OutcomeResult::NoEffect, "{outcome:?}");
        assert!(
            outcome.reason.starts_with("hr reported removed"),
            "{outcome:?}"
        );
        assert!(!outcome.reconciled);
    }
    // A receiver can tell them by the mark alone.
    until("the webhooks", || {
        let stored = stage.rotation.stored();
        let data = stored.iter().map(|webhook| &webhook.body["data"]);
        let marked = data.filter(|data| {
            data["reconciled"] == true && data["status"] == Status::Confirmed.label()
        });
        let marked: BTreeSet<_> = marked
            .map(|data| data["person"]["id"].as_str().unwrap().to_owned())
            .collect();
        (marked.len() >= LOST).then(|| assert_eq!(marked, lost))
    });
}
