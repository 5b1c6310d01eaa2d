//! What falls due, and what looks at a provider show.

use std::{path::Path, sync::Arc};

use tokio::sync::watch;

use super::{
    impacts, key, now, owner, pipeline, records, removal, run_at, run_until_settled, serve,
};
use crate::{
    clock::SystemClock,
    domain::{
        ChangeKind, Member, MembershipChange, Record, Status, Topic, inventory::SnapshotSummary,
        reminder::Reminder,
    },
    log::{Log as _, Position},
    projection::{self, Projection, read::Reader},
};

/// A leave of Kim's that is announced for the tenth of March.
fn announced() -> MembershipChange {
    MembershipChange {
        change: ChangeKind::LeaveScheduled,
        effective_at: "2026-03-10T00:00:00Z".parse().unwrap(),
        ..removal("e1")
    }
}

#[tokio::test]
async fn what_falls_due_is_said_once_even_when_the_read_model_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let change = announced();
    log.append(vec![key("k1").to_record(now()), change.to_record(now())])
        .await
        .unwrap();
    let statuses = async || {
        let all = impacts(&log).await.into_iter();
        all.map(|impact| impact.status).collect::<Vec<_>>()
    };
    run_until_settled(folder.path(), log.clone()).await;
    assert_eq!(statuses().await, [Status::Scheduled]);
    for day in [3, 4, 10, 11, 12] {
        let time = format!("2026-03-{day:02}T08:00:00Z").parse().unwrap();
        run_at(folder.path(), log.clone(), time).await;
    }
    assert_eq!(statuses().await, [Status::Scheduled, Status::Open]);
    let reminders = async || {
        let all = records(&log, Topic::Impacts).await.into_iter();
        all.filter(|record| record.kind == Reminder::TYPE).count()
    };
    // The deadline is the eleventh: 7 days, 1 day, 0 and 1 day after; 4 hours before was slept over.
    assert_eq!(reminders().await, 4);

    let late = "2026-03-12T09:00:00Z".parse().unwrap();
    let dump = |folder: &Path| Reader::new(&projection::open_reader(folder).unwrap()).dump();
    let (before, end) = (dump(folder.path()).unwrap(), log.end().unwrap());
    Projection::delete(folder.path()).unwrap();
    run_at(folder.path(), log.clone(), late).await;
    assert_eq!(dump(folder.path()).unwrap(), before);
    // Nor does a clock that goes back say anything again.
    run_at(folder.path(), log.clone(), now()).await;
    assert_eq!(log.end().unwrap(), end);
}

#[tokio::test]
async fn nobody_who_looks_in_time_makes_it_unverifiable_and_who_looks_later_decides() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let first = [key("k1").to_record(now()), removal("e1").to_record(now())];
    log.append(first.to_vec()).await.unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    let newest = async || impacts(&log).await.pop().unwrap();
    assert_eq!(newest().await.status, Status::Open);
    let a_week_later = "2026-03-08T00:00:02Z".parse().unwrap();
    run_at(folder.path(), log.clone(), a_week_later).await;
    assert_eq!(newest().await.status, Status::Unverifiable);
    log.append(gone(a_week_later)).await.unwrap();
    run_at(folder.path(), log.clone(), a_week_later).await;
    let confirmed = newest().await;
    assert_eq!(
        (confirmed.status, confirmed.revision),
        (Status::Confirmed, 3)
    );
}

/// Kim's membership.
fn kim() -> Member {
    let mut kim = owner("kim");
    kim.account.id = "m1".to_owned();
    kim.history[0].roles = vec!["member".to_owned()];
    kim
}

/// Kim's membership and key as a complete look at `time` found them: gone.
fn gone(time: jiff::Timestamp) -> Vec<Record> {
    let (mut member, mut key) = (kim(), key("k1"));
    member.history[0].valid_to = Some(time);
    member.history[0].last_seen = Some(now());
    key.history[0].valid_to = Some(time);
    key.history[0].last_seen = Some(now());
    let look = SnapshotSummary {
        provider: "dg".to_owned(),
        started_at: time,
        finished_at: time,
        gaps: Vec::new(),
        last_complete: Some(time),
        own_keys: Vec::new(),
        projects: 1,
        members: 0,
        keys: 0,
    };
    vec![
        member.to_record(time),
        key.to_record(time),
        look.to_record(),
    ]
}

#[tokio::test]
async fn a_look_waits_to_be_counted_only_where_the_change_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let first = [key("k1").to_record(now()), removal("e1").to_record(now())];
    log.append(first.to_vec()).await.unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    log.append(gone(now())).await.unwrap();

    let (progress, _) = watch::channel(Position::default());
    let pipeline = pipeline(folder.path(), log.clone(), Arc::new(SystemClock), progress);
    let mut projection = pipeline.open_projection().unwrap();
    let from = projection.position().unwrap();
    let mut follower = log.follow(&Topic::ALL, &from).unwrap();
    let batch = follower.next(gone(now()).len()).await.unwrap();
    projection.apply(&batch, pipeline.lens()).unwrap();
    projection.take_looks().unwrap();
    let settled = [(0, log.end().unwrap())].into();
    for (held, count) in [(&[0][..], 1), (&[][..], 0)] {
        projection.hold(held).unwrap();
        let db = projection::open_reader(folder.path()).unwrap();
        let (waiting, _) = Reader::new(&db).unreported(&settled).unwrap();
        assert_eq!(waiting, count, "{held:?}");
    }
}

#[tokio::test]
async fn in_whatever_order_it_becomes_known_the_same_is_said_to_be_observed() {
    let time: jiff::Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
    let before = [kim().to_record(now()), key("k1").to_record(now())];
    let seen = gone(time);
    let change = removal("e1");
    let mut said = Vec::new();
    // Each number is an order: where the change comes, and which of the three is read last.
    for order in 0..24_usize {
        let folder = tempfile::tempdir().unwrap();
        let log = serve(folder.path());
        let mut all = seen.clone();
        all.rotate_left(order % 3);
        if order % 2 == 1 {
            all.swap(0, 1);
        }
        let mut all = [before.to_vec(), all].concat();
        all.insert(order % 6, change.to_record(now()));
        let part = 1 + order % 4;
        for records in all.chunks(part) {
            log.append(records.to_vec()).await.unwrap();
            run_until_settled(folder.path(), log.clone()).await;
        }
        let db = projection::open_reader(folder.path()).unwrap();
        let report = Reader::new(&db).report(&change.id.to_string()).unwrap();
        let mut report = report.unwrap();
        report.outcome.revision = 0;
        report.impacts[0].revision = 0;
        assert_eq!(report.impacts[0].status, Status::Confirmed, "order {order}");
        said.push(report);
    }
    assert!(said.iter().all(|report| *report == said[0]));
}
