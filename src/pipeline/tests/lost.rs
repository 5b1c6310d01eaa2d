//! What somebody had said, and the log does not hold: brokers lost it with whoever said it.

use std::{path::Path, sync::Arc};

use tokio::sync::watch;

use super::{impacts, key, now, outcomes, pipeline, removal, run_until_settled, serve};
use crate::{
    clock::ManualClock,
    domain::{Record, Topic},
    log::{Log as _, LogError, Partition, Position, embedded::EmbeddedLog},
    pipeline::{
        GROUP, Pipeline,
        work::{Kept, Work},
    },
    projection::Projection,
};

/// A log with a change that hits a key, and who has read both and said nothing.
async fn read(folder: &Path) -> (Arc<EmbeddedLog>, Pipeline, Projection) {
    let log = serve(folder);
    let records = [key("k1").to_record(now()), removal("e1").to_record(now())];
    log.append(records.to_vec()).await.unwrap();
    let (progress, _) = watch::channel(Position::default());
    let clock = Arc::new(ManualClock::at(now()));
    let pipeline = pipeline(folder, log.clone(), clock, progress);
    let mut projection = pipeline.open_projection().unwrap();
    let mut follower = log.follow(&Topic::ALL, &Position::default()).unwrap();
    let batch = follower.next(records.len()).await.unwrap();
    projection.apply(&batch, pipeline.lens()).unwrap();
    (log, pipeline, projection)
}

fn join(pipeline: &Pipeline, projection: &mut Projection) -> Work {
    let mut work = pipeline.join().unwrap();
    work.adopt_share(projection).unwrap();
    work
}

/// Notes the change's report as said; its records.
fn say(pipeline: &Pipeline, projection: &mut Projection) -> Vec<Record> {
    let stale = projection.stale(&[0], &[], 1, now()).unwrap().stale;
    let (said, waits) = pipeline.judge(&stale[0], now());
    let said = [said.unwrap()];
    projection
        .settle(&[waits], &said, &[], pipeline.lens())
        .unwrap();
    let [said] = said;
    said.records
}

/// The log holds the change's report.
async fn is_told(log: &EmbeddedLog) -> bool {
    (outcomes(log).await.len(), impacts(log).await.len()) == (1, 1)
}

#[tokio::test]
async fn a_change_that_another_called_done_and_that_has_no_outcome_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _, projection) = read(folder.path()).await;
    drop(projection);
    let mut other = log.join(GROUP, &[Topic::Membership]).unwrap();
    let all = log.end().unwrap();
    other.commit(&all, Vec::new()).await.unwrap();
    drop(other);
    assert!(!is_told(&log).await);

    run_until_settled(folder.path(), log.clone()).await;
    assert!(is_told(&log).await);
}

#[tokio::test]
async fn nothing_is_called_done_before_it_was_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let (log, pipeline, mut projection) = read(folder.path()).await;
    let mut work = join(&pipeline, &mut projection);
    let said = say(&pipeline, &mut projection);
    work.settled = projection.position().unwrap();
    work.commit(said).await.unwrap();
    work.note_settled(projection.unread());
    // Whoever took over now had to look at the change.
    let called_done = || log.cursor(GROUP, &[Topic::Membership]).unwrap();
    work.commit(Vec::new()).await.unwrap();
    assert!(!called_done().has_reached(&work.settled));

    let mut follower = log.follow(&Topic::ALL, &work.settled).unwrap();
    work.read_back(&follower.next(10).await.unwrap().entries);
    work.commit(Vec::new()).await.unwrap();
    assert!(called_done().has_reached(&work.settled));
}

#[tokio::test]
async fn what_does_not_come_back_is_missed_once_all_is_read_that_there_was() {
    let folder = tempfile::tempdir().unwrap();
    let (log, pipeline, mut projection) = read(folder.path()).await;
    let mut work = join(&pipeline, &mut projection);
    let never = || -> Result<Option<Position>, LogError> { unreachable!("nothing is on its way") };
    let kept = work.look_for_what_was_said(&projection, never).unwrap();
    assert_eq!(kept, Kept::Yes);

    say(&pipeline, &mut projection);
    // A share that moved is a reason to look, however soon.
    let mut work = join(&pipeline, &mut projection);
    let away = || Ok(None);
    let kept = work.look_for_what_was_said(&projection, away).unwrap();
    assert_eq!(kept, Kept::NotKnown);
    let mut later = log.end().unwrap();
    later.advance(Partition::WHOLE, later.next_in(Partition::WHOLE) + 1);
    let kept = work
        .look_for_what_was_said(&projection, || Ok(Some(later)))
        .unwrap();
    assert_eq!(kept, Kept::NotKnown, "what is on its way can come back");
    log.append(vec![removal("e2").to_record(now())])
        .await
        .unwrap();
    let mut follower = log
        .follow(&Topic::ALL, &projection.position().unwrap())
        .unwrap();
    let batch = follower.next(10).await.unwrap();
    projection.apply(&batch, pipeline.lens()).unwrap();
    work.read_back(&batch.entries);
    let kept = work.look_for_what_was_said(&projection, never).unwrap();
    assert_eq!(kept, Kept::No);
}

#[tokio::test]
async fn what_this_process_said_before_and_the_log_does_not_hold_is_said_again() {
    let folder = tempfile::tempdir().unwrap();
    let (log, pipeline, mut projection) = read(folder.path()).await;
    say(&pipeline, &mut projection);
    assert!(!projection.unread().is_empty());
    drop(projection);
    assert!(!is_told(&log).await);

    run_until_settled(folder.path(), log.clone()).await;
    assert!(is_told(&log).await);
    // What it has read back it does not miss.
    let projection = pipeline.open_projection().unwrap();
    assert!(projection.unread().is_empty());
}
