//! The promises of the seam.

use offkey::{
    domain::{Record, Topic},
    log::{LogError, Position},
};
use rstest::rstest;

use crate::engine::{Engine, Place, all, holds, in_time, next, record};

fn numbered(topic: Topic, key: &str, count: usize) -> Vec<Record> {
    (0..count)
        .map(|n| record(topic, key, &n.to_string()))
        .collect()
}

#[rstest]
#[case(Engine::Embedded)]
#[case(Engine::Kafka)]
#[tokio::test]
async fn what_was_appended_is_there_in_order_after_a_restart(#[case] engine: Engine) {
    let place = Place::of(engine);
    let sent = numbered(Topic::Membership, "k", 10);
    let log = place.serve();
    for pair in sent.chunks(2) {
        log.append(pair.to_vec()).await.unwrap();
        log.append(vec![record(Topic::Impacts, "other", "x")])
            .await
            .unwrap();
    }
    drop(log);
    for most in [1, 3, 100] {
        assert_eq!(
            all(&*place.attach(), &[Topic::Membership], most).await,
            sent
        );
    }
}

#[rstest]
#[case(Engine::Embedded)]
#[case(Engine::Kafka)]
#[tokio::test]
async fn a_follower_can_start_within_a_commit(#[case] engine: Engine) {
    let log = Place::of(engine);
    let log = log.serve();
    let sent = numbered(Topic::Impacts, "k", 5);
    log.append(sent.clone()).await.unwrap();
    let topics = [Topic::Impacts];
    let mut position = Position::default();
    let mut found = Vec::new();
    while found.len() < 5 {
        let mut follower = log.follow(&topics, &position).unwrap();
        let batch = in_time("a record", follower.next(2)).await.unwrap();
        assert!(batch.entries.len() <= 2);
        position = batch.through;
        found.extend(batch.entries.into_iter().map(|entry| entry.record));
    }
    assert_eq!(found, sent);
}

#[rstest]
#[case(Engine::Embedded)]
#[case(Engine::Kafka)]
#[tokio::test]
async fn a_group_goes_on_behind_what_it_committed_and_its_outputs_are_there(
    #[case] engine: Engine,
) {
    let place = Place::of(engine);
    let log = place.serve();
    let inputs = numbered(Topic::Membership, "k", 4);
    log.append(inputs.clone()).await.unwrap();
    let mut member = log.join("g", &[Topic::Membership]).unwrap();
    let mut batch = next(member.as_mut(), 3).await;
    let mut taken = batch.entries.len();
    while taken < 3 {
        batch = next(member.as_mut(), 3 - taken).await;
        taken += batch.entries.len();
    }
    let outputs = vec![record(Topic::Outcomes, "k", "done")];
    member
        .commit(&batch.through, outputs.clone())
        .await
        .unwrap();
    next(member.as_mut(), 1).await;
    drop((member, log));

    let log = place.serve();
    let mut member = log.join("g", &[Topic::Membership]).unwrap();
    let again = next(member.as_mut(), 9).await;
    assert_eq!(again.entries.len(), 1);
    assert_eq!(again.entries[0].record, inputs[3]);
    assert_eq!(all(&*log, &[Topic::Outcomes], 9).await, outputs);
}

#[rstest]
#[case(Engine::Embedded)]
#[case(Engine::Kafka)]
#[tokio::test]
async fn whoever_attaches_appends_beside_whoever_serves(#[case] engine: Engine) {
    let place = Place::of(engine);
    let serving = place.serve();
    let beside = place.attach();
    for n in 0..20 {
        let one = record(Topic::Membership, "a", &n.to_string());
        let other = record(Topic::Membership, "b", &n.to_string());
        let (left, right) = tokio::join!(serving.append(vec![one]), beside.append(vec![other]));
        left.unwrap();
        right.unwrap();
    }
    assert_eq!(all(&*serving, &[Topic::Membership], 7).await.len(), 40);
}

#[rstest]
#[case(Engine::Embedded)]
#[case(Engine::Kafka)]
#[tokio::test]
async fn a_second_process_may_not_serve_the_same_folder(#[case] engine: Engine) {
    let place = Place::of(engine);
    let _first = place.serve();
    let second = place.try_serve().err();
    assert!(
        matches!(second, Some(LogError::Unavailable(_))),
        "{second:?}"
    );
}

#[rstest]
#[case(Engine::Embedded)]
#[case(Engine::Kafka)]
#[tokio::test]
async fn a_record_too_large_is_refused_and_the_next_one_taken(#[case] engine: Engine) {
    let place = Place::of(engine);
    let log = place.serve();
    let large = record(Topic::Impacts, "k", &"x".repeat(5 << 20));
    let refused = log.append(vec![large.clone()]).await;
    assert!(
        matches!(refused, Err(LogError::TooLarge { .. })),
        "{refused:?}"
    );
    let mut member = log.join("g", &[Topic::Membership]).unwrap();
    holds(member.as_mut()).await;
    let refused = member.commit(&Position::default(), vec![large]).await;
    assert!(
        matches!(refused, Err(LogError::TooLarge { .. })),
        "{refused:?}"
    );
    let small = vec![record(Topic::Impacts, "k", "small")];
    log.append(small.clone()).await.unwrap();
    assert_eq!(all(&*log, &[Topic::Impacts], 9).await, small);
}

#[rstest]
#[case(Engine::Embedded)]
#[case(Engine::Kafka)]
#[tokio::test]
async fn a_duty_can_be_done_and_what_it_puts_out_is_there(#[case] engine: Engine) {
    let place = Place::of(engine);
    let log = place.serve();
    let mut member = log.take_turns("inventory.somewhere").unwrap();
    holds(member.as_mut()).await;
    let outputs = numbered(Topic::Inventory, "k", 3);
    member
        .commit(&Position::default(), outputs.clone())
        .await
        .unwrap();
    assert_eq!(all(&*log, &[Topic::Inventory], 9).await, outputs);
}

#[rstest]
#[case(Engine::Embedded)]
#[case(Engine::Kafka)]
#[tokio::test]
async fn a_share_says_how_far_the_log_had_come(#[case] engine: Engine) {
    let place = Place::of(engine);
    let log = place.serve();
    log.append(numbered(Topic::Inventory, "k", 7))
        .await
        .unwrap();
    let mut member = log.join("g", &[Topic::Membership]).unwrap();
    holds(member.as_mut()).await;
    let since = member.share().since;
    assert_eq!(since, log.end().unwrap());
    let mut follower = log.follow(&Topic::ALL, &Position::default()).unwrap();
    let mut position = Position::default();
    let mut count = 0;
    in_time("the end", async {
        while !position.has_reached(&since) {
            let batch = follower.next(3).await.unwrap();
            count += batch.entries.len();
            position = batch.through;
        }
    })
    .await;
    assert_eq!(count, 7);
}
