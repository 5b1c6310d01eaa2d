//! The pipeline over an embedded log and a real read model.

mod late;
mod lost;
mod many;
mod observed;

use std::{path::Path, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Pipeline,
    settle::{self, MOST_CHANGES},
};
use crate::{
    catalogue::Catalogue,
    clock::{Clock, ManualClock, SystemClock},
    correlation::{Policy, policy::ProviderFacts},
    domain::{
        Account, ChangeId, ChangeKind, Email, Fate, Impact, Key, KeyInterval, Member,
        MemberInterval, MembershipChange, Outcome, OutcomeResult, PersonRef, Propagation, Record,
        Scope, Topic,
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

fn pipeline(
    folder: &Path,
    log: Arc<EmbeddedLog>,
    clock: Arc<dyn Clock>,
    progress: watch::Sender<Position>,
) -> Pipeline {
    let facts = ProviderFacts {
        kind: "deepgram".to_owned(),
        propagation: Propagation::Manual {},
    };
    let policy = Policy {
        providers: [("dg".to_owned(), facts)].into(),
        ..Policy::default()
    };
    Pipeline {
        log,
        folder: folder.to_owned(),
        policy: Arc::new(policy),
        catalogue: Arc::new(Catalogue::built_in().unwrap()),
        clock,
        progress,
    }
}

/// Asks the pipeline to stop as soon as it wants to judge.
struct StopAtOnce(CancellationToken);

impl Clock for StopAtOnce {
    fn now(&self) -> jiff::Timestamp {
        self.0.cancel();
        now()
    }
}

/// Runs the pipeline until nothing is left to do.
async fn run_until_settled(folder: &Path, log: Arc<EmbeddedLog>) {
    run_at(folder, log, now()).await;
}

/// The same while the clock stands at `time`.
async fn run_at(folder: &Path, log: Arc<EmbeddedLog>, time: jiff::Timestamp) {
    let (progress, mut seen) = watch::channel(Position::default());
    let stop = CancellationToken::new();
    let pipeline = pipeline(
        folder,
        log.clone(),
        Arc::new(ManualClock::at(time)),
        progress,
    );
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
async fn stopping_does_not_wait_for_what_is_left_to_judge() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(folder.path());
    let count = 3 * MOST_CHANGES;
    let waiting = (0..count).map(|number| removal(&format!("e{number}")).to_record(now()));
    log.append(waiting.collect()).await.unwrap();
    let stop = CancellationToken::new();
    let clock = Arc::new(StopAtOnce(stop.clone()));
    let (progress, _seen) = watch::channel(Position::default());
    let pipeline = pipeline(folder.path(), log.clone(), clock, progress);
    let projection = pipeline.open_projection().unwrap();
    pipeline.run(projection, stop).await.unwrap();
    assert_eq!(records(&log, Topic::Outcomes).await.len(), 0);
    run_until_settled(folder.path(), log.clone()).await;
    assert_eq!(records(&log, Topic::Outcomes).await.len(), count);
}
