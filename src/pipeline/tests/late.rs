//! What is learnt after a report was made.

use super::{impacts, key, now, outcomes, owner, removal, run_until_settled, serve};
use crate::{
    domain::{
        ChangeKind, Email, OutcomeResult, Returns, Severity, impact::Successor,
        inventory::SnapshotSummary,
    },
    log::Log as _,
};

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
