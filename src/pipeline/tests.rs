use std::{path::Path, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Pipeline;
use crate::{
    catalogue::Catalogue,
    clock::{ManualClock, SystemClock},
    correlation::{Policy, policy::ProviderFacts},
    domain::{
        Account, ChangeId, ChangeKind, Email, Fate, Impact, Key, KeyInterval, Member,
        MemberInterval, MembershipChange, Outcome, OutcomeResult, PersonRef, Propagation, Record,
        Returns, Scope, Severity, Status, Topic, impact::Successor, inventory::SnapshotSummary,
        reminder::Reminder,
    },
    log::{Log, LogError, Position, Retention, embedded::EmbeddedLog},
    projection::{self, Projection, read::Reader},
};

fn key(id: &str) -> Key {
    Key {
        provider: "dg".to_owned(),
        project: "p1".to_owned(),
        id: id.to_owned(),
        label: format!("label of {id}"),
        class: "project-key".to_owned(),
        created_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        expires_at: None,
        tags: vec!["prod".to_owned()],
        history: vec![KeyInterval {
            valid_from: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            valid_to: None,
            last_seen: None,
            observed_at: "2026-02-01T00:00:00Z".parse().unwrap(),
            creator: Account {
                id: "m1".to_owned(),
                email: Some(Email::parse("kim@example.com").unwrap()),
                name: None,
            },
            scopes: vec!["member".to_owned()],
        }],
        uses: Vec::new(),
    }
}

fn removal(event: &str) -> MembershipChange {
    MembershipChange {
        id: ChangeId::derive("hr", event),
        source: "hr".to_owned(),
        event_id: event.to_owned(),
        change: ChangeKind::Removed,
        person: PersonRef {
            email: Some(Email::parse("kim@example.com").unwrap()),
            ..PersonRef::default()
        },
        scope: Scope::Organisation {},
        effective_at: "2026-03-01T00:00:00Z".parse().unwrap(),
        not_before: None,
        published_at: "2026-03-01T00:00:00Z".parse().unwrap(),
        role: None,
        actor: None,
        reason: None,
    }
}

fn now() -> jiff::Timestamp {
    "2026-03-01T00:00:01Z".parse().unwrap()
}

fn serve(folder: &Path) -> Arc<EmbeddedLog> {
    loop {
        match EmbeddedLog::serve(folder, Arc::new(SystemClock), Retention::default()) {
            Ok(log) => return Arc::new(log),
            Err(LogError::Unavailable(_)) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Runs the pipeline until nothing is left to do.
async fn run_until_settled(folder: &Path, log: Arc<EmbeddedLog>) {
    run_at(folder, log, now()).await;
}

/// The same while the clock stands at `time`.
async fn run_at(folder: &Path, log: Arc<EmbeddedLog>, time: jiff::Timestamp) {
    let facts = ProviderFacts {
        kind: "deepgram".to_owned(),
        propagation: Propagation::Manual {},
    };
    let policy = Policy {
        providers: [("dg".to_owned(), facts)].into(),
        ..Policy::default()
    };
    let (progress, mut seen) = watch::channel(Position::default());
    let stop = CancellationToken::new();
    let pipeline = Pipeline {
        log: log.clone(),
        folder: folder.to_owned(),
        policy: Arc::new(policy),
        catalogue: Arc::new(Catalogue::built_in().unwrap()),
        clock: Arc::new(ManualClock::at(time)),
        progress,
    };
    let settled = async {
        loop {
            let end = log.end().unwrap();
            seen.wait_for(|position| position.has_reached(&end))
                .await
                .unwrap();
            let db = projection::open_reader(folder).unwrap();
            let waiting = Reader::new(&db).waiting().unwrap();
            if waiting == 0 && log.end().unwrap() == end {
                break stop.cancel();
            }
            tokio::task::yield_now().await;
        }
    };
    let projection = pipeline.open_projection().unwrap();
    let (ran, ()) = tokio::join!(pipeline.run(projection, stop.clone()), settled);
    ran.unwrap();
}

async fn records(log: &EmbeddedLog, topic: Topic) -> Vec<Record> {
    let end = log.end().unwrap();
    let mut follower = log.follow(&[topic], &Position::default()).unwrap();
    let (mut found, mut position) = (Vec::new(), Position::default());
    while !position.has_reached(&end) {
        let batch = follower.next(1000).await.unwrap();
        position = batch.through;
        found.extend(batch.entries.into_iter().map(|entry| entry.record));
    }
    found
}

async fn outcomes(log: &EmbeddedLog) -> Vec<Outcome> {
    records(log, Topic::Outcomes)
        .await
        .iter()
        .map(|record| record.read().unwrap())
        .collect()
}

async fn impacts(log: &EmbeddedLog) -> Vec<Impact> {
    records(log, Topic::Impacts)
        .await
        .iter()
        .filter(|record| record.kind == Impact::TYPE)
        .map(|record| record.read().unwrap())
        .collect()
}

#[tokio::test]
async fn one_change_however_often_it_comes_has_one_outcome_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let change = removal("e1").to_record(now());
    log.append(vec![
        key("k1").to_record(now()),
        change.clone(),
        change.clone(),
    ])
    .await
    .unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    log.append(vec![change]).await.unwrap();
    drop(log);
    let log = serve(folder.path());
    run_until_settled(folder.path(), log.clone()).await;

    let outcomes = outcomes(&log).await;
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].result, OutcomeResult::Report);
    assert_eq!(outcomes[0].fates, [(Fate::Dies, 1)].into());
    assert_eq!(impacts(&log).await.len(), 1);
}

#[tokio::test]
async fn ownership_that_is_learnt_late_makes_the_report_again_with_only_the_news() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    log.append(vec![removal("e1").to_record(now())])
        .await
        .unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    log.append(vec![key("k1").to_record(now())]).await.unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    log.append(vec![key("k2").to_record(now())]).await.unwrap();
    run_until_settled(folder.path(), log.clone()).await;

    let outcomes = outcomes(&log).await;
    let results: Vec<_> = outcomes.iter().map(|o| (o.revision, o.result)).collect();
    assert_eq!(
        results,
        [
            (1, OutcomeResult::UnknownPerson),
            (2, OutcomeResult::Report),
            (3, OutcomeResult::Report)
        ]
    );
    let sent: Vec<_> = impacts(&log)
        .await
        .into_iter()
        .map(|impact| (impact.key.id, impact.revision))
        .collect();
    assert_eq!(sent, [("k1".to_owned(), 1), ("k2".to_owned(), 1)]);
}

fn owner(id: &str) -> Member {
    Member {
        provider: "dg".to_owned(),
        project: "p1".to_owned(),
        account: Account {
            id: id.to_owned(),
            email: Some(Email::parse(&format!("{id}@example.com")).unwrap()),
            name: None,
        },
        formerly: Vec::new(),
        history: vec![MemberInterval {
            valid_from: None,
            valid_to: None,
            last_seen: None,
            observed_at: "2026-02-01T00:00:00Z".parse().unwrap(),
            roles: vec!["owner".to_owned()],
        }],
    }
}

#[tokio::test]
async fn a_successor_who_turns_out_to_be_leaving_is_exchanged_and_taken_back_on_return() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let of_lee = |event: &str, kind, at: &str| {
        let mut change = removal(event);
        change.change = kind;
        change.person.email = Some(Email::parse("lee@example.com").unwrap());
        change.effective_at = at.parse().unwrap();
        change.published_at = change.effective_at;
        change.to_record(now())
    };
    let said = async || {
        let newest = impacts(&log).await.pop().unwrap();
        let successor = match &*newest.successor {
            Successor::Found(contact) => contact.email.to_string(),
            Successor::None { none_because } => none_because.clone(),
        };
        (newest.revision, successor)
    };
    let first = [key("k1").to_record(now()), owner("lee").to_record(now())];
    log.append([&first[..], &[removal("e1").to_record(now())]].concat())
        .await
        .unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    assert_eq!(said().await, (1, "lee@example.com".to_owned()));

    let leaves = of_lee("e2", ChangeKind::Removed, "2026-02-28T00:00:00Z");
    log.append(vec![leaves]).await.unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    let nobody = "everybody else who could is leaving as well".to_owned();
    assert_eq!(said().await, (2, nobody));

    let returns = of_lee("e3", ChangeKind::Reinstated, "2026-03-05T00:00:00Z");
    log.append(vec![returns]).await.unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    assert_eq!(said().await, (3, "lee@example.com".to_owned()));
}

#[tokio::test]
async fn a_deleted_projection_comes_back_with_the_same_content_and_says_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let changes = (0..20).map(|n| removal(&n.to_string()).to_record(now()));
    log.append(
        changes
            .chain((0..5).map(|n| key(&format!("k{n}")).to_record(now())))
            .collect(),
    )
    .await
    .unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    let dump = |folder: &Path| Reader::new(&projection::open_reader(folder).unwrap()).dump();
    let (before, end) = (dump(folder.path()).unwrap(), log.end().unwrap());
    Projection::delete(folder.path()).unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    assert_eq!(dump(folder.path()).unwrap(), before);
    assert!(before.contains("label of k4"));
    assert_eq!(log.end().unwrap(), end);
}

#[tokio::test]
async fn a_removal_at_the_provider_itself_is_reported_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let seen = MembershipChange {
        source: "dg".to_owned(),
        ..removal("e1")
    };
    log.append(vec![key("k1").to_record(now()), seen.to_record(now())])
        .await
        .unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    assert_eq!(records(&log, Topic::Quarantine).await.len(), 0);
    let db = projection::open_reader(folder.path()).unwrap();
    let report = Reader::new(&db)
        .report(&seen.id.to_string())
        .unwrap()
        .unwrap();
    assert_eq!(report.impacts[0].propagation, Propagation::Direct {});
}

#[tokio::test]
async fn a_repeat_whose_sender_tells_no_time_is_a_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let later = "2026-03-01T07:00:00Z".parse().unwrap();
    let again = MembershipChange {
        published_at: later,
        effective_at: later,
        ..removal("e1")
    };
    log.append(vec![removal("e1").to_record(now()), again.to_record(now())])
        .await
        .unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    assert_eq!(records(&log, Topic::Quarantine).await.len(), 0);
    assert_eq!(
        outcomes(&log).await[0].effective_at,
        removal("e1").effective_at
    );
}

#[tokio::test]
async fn another_content_under_a_known_event_id_goes_to_quarantine_and_the_first_counts() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let forged = MembershipChange {
        change: ChangeKind::Reinstated,
        ..removal("e1")
    };
    let broken = Record::json(Topic::Membership, "x".to_owned(), &"no change").id("b".to_owned());
    log.append(vec![
        removal("e1").to_record(now()),
        forged.to_record(now()),
        broken,
    ])
    .await
    .unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    run_until_settled(folder.path(), log.clone()).await;
    assert_eq!(records(&log, Topic::Quarantine).await.len(), 2);
    let outcomes = outcomes(&log).await;
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].change, ChangeKind::Removed);
}

#[tokio::test]
async fn a_key_that_turns_out_to_be_ours_is_told_again_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let change = removal("e1").to_record(now());
    log.append(vec![key("k1").to_record(now()), change])
        .await
        .unwrap();
    run_until_settled(folder.path(), log.clone()).await;
    let snapshot = |own_keys: &[&str]| SnapshotSummary {
        provider: "dg".to_owned(),
        started_at: now(),
        finished_at: now(),
        gaps: Vec::new(),
        last_complete: Some(now()),
        own_keys: own_keys.iter().map(|&key| key.to_owned()).collect(),
        projects: 1,
        members: 1,
        keys: 1,
    };
    for own in [&["k0", "k1"][..], &["k0"]] {
        log.append(vec![snapshot(own).to_record()]).await.unwrap();
        run_until_settled(folder.path(), log.clone()).await;
    }
    let said: Vec<_> = impacts(&log)
        .await
        .into_iter()
        .map(|impact| (impact.revision, impact.key.ours, impact.severity.level))
        .collect();
    let (high, critical) = (Severity::High, Severity::Critical);
    assert_eq!(
        said,
        [(1, false, high), (2, true, critical), (3, false, high)]
    );
}

#[tokio::test]
async fn a_replacement_that_is_learnt_late_makes_the_report_of_the_return_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let mut kim = owner("kim");
    kim.account.id = "m1".to_owned();
    kim.history[0].roles = vec!["member".to_owned()];
    let mut back = removal("e2");
    back.change = ChangeKind::Reinstated;
    back.effective_at = "2026-03-10T00:00:00Z".parse().unwrap();
    let first = [kim.to_record(now()), key("k1").to_record(now())];
    let changes = [removal("e1").to_record(now()), back.to_record(now())];
    log.append([first, changes].concat()).await.unwrap();
    run_until_settled(folder.path(), log.clone()).await;

    let mut next = key("k2");
    next.label = "label of K1 (new)".to_owned();
    next.created_at = Some("2026-03-02T00:00:00Z".parse().unwrap());
    next.history[0].valid_from = next.created_at;
    next.history[0].creator.id = "lee".to_owned();
    next.history[0].creator.email = Some(Email::parse("lee@example.com").unwrap());
    log.append(vec![next.to_record(now())]).await.unwrap();
    run_until_settled(folder.path(), log.clone()).await;

    let said: Vec<_> = impacts(&log)
        .await
        .into_iter()
        .filter(|impact| impact.change == ChangeKind::Reinstated)
        .map(|impact| {
            let by = impact.replaced_by.map(|other| other.id);
            (impact.revision, impact.returns, by, impact.severity.level)
        })
        .collect();
    let never = Some(Returns::NeverStopped);
    let by = Some("k2".to_owned());
    assert_eq!(
        said,
        [
            (1, never, None, Severity::Info),
            (2, never, by, Severity::High)
        ]
    );
}

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
