//! What somebody had said, and the log does not hold: brokers lost it with whoever said it.

use std::{path::Path, sync::Arc};

use tokio::sync::watch;

use super::{impacts, key, now, outcomes, pipeline, removal, run_until_settled, serve};
use crate::{
    clock::ManualClock,
    domain::Topic,
    log::{Log as _, Position, embedded::EmbeddedLog},
    pipeline::{GROUP, Pipeline},
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
async fn what_this_process_said_before_and_the_log_does_not_hold_is_said_again() {
    let folder = tempfile::tempdir().unwrap();
    let (log, pipeline, mut projection) = read(folder.path()).await;
    let stale = projection.stale(&[0], &[], 1, now()).unwrap().stale;
    let (said, waits) = pipeline.judge(&stale[0], now());
    let said = [said.unwrap()];
    projection
        .settle(&[waits], &said, &[], pipeline.lens())
        .unwrap();
    assert!(projection.misses_what_was_said());
    drop(projection);
    assert!(!is_told(&log).await);

    run_until_settled(folder.path(), log.clone()).await;
    assert!(is_told(&log).await);
    // What it has read back it does not miss.
    let projection = pipeline.open_projection().unwrap();
    assert!(!projection.misses_what_was_said());
}
