//! The same thing again, another thing under the same name, and things out of order.

use std::thread;

use offkey::domain::{ChangeId, Topic, quarantine::Quarantined};

use crate::{
    harness::{Stage, until},
    oracle::Oracle,
};

#[test]
fn a_change_that_comes_five_times_at_once_and_after_a_restart_counts_once() {
    let stage = Stage::set();
    let service = stage.start();
    let oracle = Oracle::default();
    let body = Stage::body("ada@example.com", "removed");
    oracle.expect("msg_1", "ada@example.com", "removed");
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| assert_eq!(stage.deliver("msg_1", &body).status, 202));
        }
    });
    service.kill();
    let _service = stage.start();
    assert_eq!(stage.deliver("msg_1", &body).status, 202);
    oracle.check(&stage, "repeats");
}

#[test]
fn another_body_under_a_known_id_goes_to_quarantine_and_the_first_counts() {
    let stage = Stage::set();
    let _service = stage.start();
    let change = stage.leave("msg_1", "ada@example.com");
    let first = stage.report(change);
    stage.leave("msg_1", "bo@example.com");
    let quarantined: Quarantined = until("the quarantine", || {
        let record = stage.records(&[Topic::Quarantine]).pop();
        record.map(|record| record.read().unwrap())
    });
    assert!(
        quarantined.why.contains("another content"),
        "{}",
        quarantined.why
    );
    assert_eq!(stage.report(change), first);
}

#[test]
fn the_order_of_arrival_does_not_change_the_reports() {
    let story = [
        ("e1", "removed", "2026-03-01T00:00:00Z"),
        ("e2", "reinstated", "2026-03-02T00:00:00Z"),
        ("e3", "suspended", "2026-03-03T00:00:00Z"),
        ("e4", "joined", "2026-03-04T00:00:00Z"),
        ("e5", "removed", "2026-03-05T00:00:00Z"),
    ];
    let orders = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]];
    // Each order has a log of its own; use counts move with the clock, so they are left out.
    let mut digests = Vec::new();
    for order in orders {
        let fresh = Stage::set();
        let _service = fresh.start();
        for index in order {
            let (id, change, at) = story[index];
            let body = serde_json::json!({"type": "membership.changed", "timestamp": at,
                "data": {"change": change, "person": {"email": "ada@example.com"}}});
            let answer = fresh.deliver(id, body.to_string().as_bytes());
            assert_eq!(answer.status, 202, "{answer:?}");
        }
        let ids = story.map(|(id, _, _)| ChangeId::derive("hr", id));
        let said = until("every outcome", || {
            let all = fresh.read(|reader| {
                let reports = ids.map(|id| reader.report(&id.to_string()).unwrap());
                (reader.waiting().unwrap() == 0).then_some(reports)
            })??;
            let all: Option<Vec<_>> = all.into_iter().collect();
            all
        });
        digests.push(
            said.iter()
                .map(|report| {
                    (
                        report.outcome.result,
                        report.outcome.fates.clone(),
                        statuses(report),
                    )
                })
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

fn statuses(report: &offkey::domain::Report) -> Vec<(String, offkey::domain::Status)> {
    let mut all: Vec<_> = report
        .impacts
        .iter()
        .map(|impact| (impact.key.label.clone(), impact.status))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
