//! More that waits than one step takes.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    key, now, outcomes, pipeline, removal, run_until_settled, serve, settle::MOST_CHANGES,
};
use crate::{
    clock::ManualClock,
    domain::{Email, Topic},
    log::{Log as _, Position},
};

#[tokio::test]
async fn what_waits_for_several_steps_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let count = 2 * MOST_CHANGES + 1;
    let changes = (0..count).map(|number| {
        let mut change = removal(&format!("e{number}"));
        change.person.email = Email::parse(&format!("p{number}@example.com")).ok();
        change.to_record(now())
    });
    log.append(changes.collect()).await.unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    let told = outcomes(&log).await;
    assert_eq!(told.len(), count);
    assert!(told.iter().all(|outcome| outcome.revision == 1));
}

#[tokio::test]
async fn of_people_with_very_many_keys_few_are_gathered_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let keys = (0..10_001).map(|number| key(&format!("k{number}")).to_record(now()));
    log.append(keys.collect()).await.unwrap();
    let changes = ["e1", "e2", "e3"].map(|event| removal(event).to_record(now()));
    log.append(changes.to_vec()).await.unwrap();

    let (progress, _) = watch::channel(Position::default());
    let clock = Arc::new(ManualClock::at(now()));
    let pipeline = pipeline(folder.path(), log.clone(), clock, progress);
    let mut projection = pipeline.open_projection().unwrap();
    let mut follower = log.follow(&Topic::ALL, &Position::default()).unwrap();
    let end = log.end().unwrap();
    while !projection.position().unwrap().has_reached(&end) {
        let batch = follower.next(20_000).await.unwrap();
        projection.apply(&batch, pipeline.lens()).unwrap();
    }

    let mut besides = Vec::new();
    for is_last in [false, false, true] {
        let waiting = projection.stale(&[0], &besides, 500, now()).unwrap();
        let changes: Vec<_> = waiting.stale.iter().map(|one| one.change.id).collect();
        assert_eq!((changes.len(), waiting.is_all), (1, is_last));
        assert!(!besides.contains(&changes[0]));
        besides.extend(changes);
    }
}
