//! Leaves that are announced: reminders on the way, and what becomes of them on the day.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use offkey::domain::{
    ChangeId, Impact, Report, Status, Topic,
    reminder::{Distance, Reminder},
};

use crate::{
    harness::{SECRET, Stage, request, signed_at, until},
    time::{FakeClock, at},
};

const ADA: &str = "ada@example.com";
const DAY: i64 = 24;

/// Nothing is too old to be kept while the clock jumps by months.
fn stage() -> Stage {
    let keep = "[log.keep]\ndeliveries = \"400d\"\n";
    Stage::set_with("1h", |_| keep.to_owned())
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// What HR says at `now`, `more` being further properties of the data.
fn say(
    stage: &Stage,
    (id, now): (&str, Timestamp),
    change: &str,
    more: &serde_json::Value,
) -> ChangeId {
    let mut data = serde_json::json!({"change": change, "person": {"email": ADA}});
    let object = data.as_object_mut().unwrap();
    object.extend(more.as_object().unwrap().clone());
    let message = serde_json::json!({"type": "membership.changed", "timestamp": now, "data": data});
    let body = message.to_string().into_bytes();
    let headers = signed_at(now.as_second(), id, &body, SECRET);
    let answer = request(stage.address, "POST /in/hr", &headers, &body).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    ChangeId::derive("hr", id)
}

fn announce(stage: &Stage, said: (&str, Timestamp), day: Timestamp) -> ChangeId {
    say(
        stage,
        said,
        "leave_scheduled",
        &serde_json::json!({"effective_at": day}),
    )
}

/// The reminders of a change in the log, in its order.
fn reminders(stage: &Stage, change: ChangeId) -> Vec<Reminder> {
    let records = stage.records(&[Topic::Impacts]);
    let of_it = records
        .iter()
        .filter(|one| one.correlation == Some(change) && one.kind == Reminder::TYPE);
    of_it.map(|one| one.read().unwrap()).collect()
}

fn wait_for_reminders(stage: &Stage, change: ChangeId, count: usize) -> Vec<Reminder> {
    until("the reminder", || {
        let all = reminders(stage, change);
        (all.len() >= count).then_some(all)
    })
}

fn report_when(stage: &Stage, change: ChangeId, status: Status) -> Report {
    until("the report", || {
        let report = stage.read(|reader| reader.report(&change.to_string()).unwrap())??;
        let impacts = &report.impacts;
        let is_it = !impacts.is_empty() && impacts.iter().all(|one| one.status == status);
        is_it.then_some(report)
    })
}

fn ids(report: &Report) -> BTreeSet<String> {
    let ids = report.impacts.iter().map(|one| one.impact_id.to_string());
    ids.collect()
}

/// The distance of a reminder, in hours: negative before the deadline.
fn distance(reminder: &Reminder) -> i64 {
    let whole = |by: std::time::Duration| i64::try_from(by.as_secs() / 3600).unwrap();
    match reminder.distance {
        Distance::Before { by } => -whole(by),
        Distance::After { by } => whole(by),
    }
}

#[test]
fn a_leave_is_reminded_of_once_at_each_distance_however_clock_and_service_jump() {
    let stage = stage();
    let clock = FakeClock::of(&stage);
    let now = at("2030-01-01T09:00:00Z");
    clock.stand_at(now);
    let service = clock.start(&stage);
    let day = at("2030-03-01T00:00:00Z");
    let change = announce(&stage, ("msg_1", now), day);
    let announced = report_when(&stage, change, Status::Scheduled);
    let deadline = announced.impacts[0].act_by;
    assert_eq!(
        deadline,
        day + hours(DAY),
        "somebody has to remove the member"
    );

    clock.stand_at(deadline - hours(30 * DAY));
    let first = wait_for_reminders(&stage, change, 1);
    assert_eq!(distance(&first[0]), -30 * DAY);
    assert_eq!(ids_of(&first[0]), ids(&announced));
    // Not again after a restart, nor when the clock goes back and comes again.
    drop(service);
    clock.stand_at(deadline - hours(31 * DAY));
    let service = clock.start(&stage);
    clock.stand_at(deadline - hours(29 * DAY));
    // It stands still for weeks: only the nearest of what was missed is said.
    drop(service);
    clock.stand_at(deadline - hours(20));
    let service = clock.start(&stage);
    let second = wait_for_reminders(&stage, change, 2);
    assert_eq!(distance(&second[1]), -DAY);

    // The day has come: the same impacts, now live.
    let live = report_when(&stage, change, Status::Open);
    assert_eq!(ids(&live), ids(&announced));
    let others: Vec<_> = live
        .impacts
        .iter()
        .filter(|one| one.revision != 2)
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    clock.stand_at(deadline - hours(4));
    wait_for_reminders(&stage, change, 3);
    clock.stand_at(deadline);
    wait_for_reminders(&stage, change, 4);
    drop(service);
    let _service = clock.start(&stage);
    clock.stand_at(deadline + hours(DAY));
    let all = wait_for_reminders(&stage, change, 5);
    let distances: Vec<i64> = all.iter().map(distance).collect();
    assert_eq!(distances, [-30 * DAY, -DAY, -4, 0, DAY]);
    // The webhook and the file are told like of any impact.
    until("the webhook to be told", || {
        let stored = stage.rotation.stored();
        let told: BTreeSet<_> = stored
            .iter()
            .filter(|webhook| webhook.body["type"] == Reminder::TYPE)
            .map(|webhook| webhook.body["data"]["due_at"].to_string())
            .collect();
        (told.len() == 5).then_some(())
    });
}

fn ids_of(reminder: &Reminder) -> BTreeSet<String> {
    let ids = reminder.impacts.iter().map(|one| one.impact_id.to_string());
    ids.collect()
}

#[test]
fn a_leave_that_gets_another_date_and_is_cancelled_closes_what_no_longer_holds() {
    let stage = stage();
    let clock = FakeClock::of(&stage);
    let now = at("2030-01-01T09:00:00Z");
    clock.stand_at(now);
    let _service = clock.start(&stage);
    let first = announce(&stage, ("msg_1", now), at("2030-03-01T00:00:00Z"));
    let open = report_when(&stage, first, Status::Scheduled);

    let later = now + hours(1);
    clock.stand_at(later);
    let sooner = at("2030-02-15T00:00:00Z");
    let second = announce(&stage, ("msg_2", later), sooner);
    let closed = report_when(&stage, first, Status::Superseded);
    assert_eq!(ids(&closed), ids(&open));
    let amended = report_when(&stage, second, Status::Scheduled);
    assert_eq!(amended.outcome.effective_at, sooner);

    let deadline = amended.impacts[0].act_by;
    clock.stand_at(deadline - hours(7 * DAY));
    wait_for_reminders(&stage, second, 1);
    let cancelled_at = deadline - hours(6 * DAY);
    clock.stand_at(cancelled_at);
    say(
        &stage,
        ("msg_3", cancelled_at),
        "leave_cancelled",
        &serde_json::json!({}),
    );
    report_when(&stage, second, Status::Superseded);
    until("every close to be delivered", || {
        let stored = stage.rotation.stored();
        let closed: BTreeSet<_> = stored
            .iter()
            .filter(|webhook| webhook.body["data"]["status"] == "superseded")
            .map(|webhook| webhook.body["data"]["impact_id"].to_string())
            .collect();
        (closed.len() == open.impacts.len() + amended.impacts.len()).then_some(())
    });

    // Another leave, whose reminders are due behind those of the first two.
    let third_day = deadline + hours(40 * DAY);
    let third = announce(&stage, ("msg_4", cancelled_at), third_day);
    report_when(&stage, third, Status::Scheduled);
    clock.stand_at(third_day);
    wait_for_reminders(&stage, third, 1);
    report_when(&stage, third, Status::Open);
    assert_eq!(reminders(&stage, first), []);
    assert_eq!(reminders(&stage, second).len(), 1);
    let impacts = stage.records(&[Topic::Impacts]);
    let of_first = impacts.iter().filter(|one| one.correlation == Some(first));
    let revisions = of_first.map(|one| one.read::<Impact>().unwrap().revision);
    assert!(
        revisions.max() == Some(2),
        "what is closed is not opened again"
    );
}

#[test]
fn a_leave_in_the_near_future_becomes_live_and_is_overdue_by_the_real_clock() {
    let policy =
        "[policy]\nmanual_deadline = \"1s\"\nreminders = { before = [], after = [\"0s\"] }\n";
    let stage = Stage::set_with("1h", |_| policy.to_owned());
    let _service = stage.start();
    let now = Timestamp::now();
    let day = now + SignedDuration::from_secs(2);
    let change = announce(&stage, ("msg_1", now), day);
    let live = report_when(&stage, change, Status::Open);
    assert!(live.impacts.iter().all(|impact| impact.revision == 2));
    let all = wait_for_reminders(&stage, change, 1);
    assert_eq!((all.len(), distance(&all[0])), (1, 0));
    assert_eq!(ids_of(&all[0]), ids(&live));
}
