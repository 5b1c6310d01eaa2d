//! What only many instances can show.

use offkey::{
    domain::Topic,
    log::{Log, LogError, Member, Position},
};

use crate::engine::{Engine, Place, all, holds, in_time, next, record};

/// Waits until `members` hold all four partitions between them, and each holds one.
async fn settle(members: &mut [Box<dyn Member>]) {
    in_time("everybody's share", async {
        loop {
            let held: Vec<usize> = members
                .iter_mut()
                .map(|member| member.share().held.len())
                .collect();
            if held.iter().sum::<usize>() == 4 && held.iter().all(|count| *count > 0) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn join(log: &dyn Log) -> Box<dyn Member> {
    log.join("g", &[Topic::Membership]).unwrap()
}

#[tokio::test]
async fn two_instances_share_the_partitions_and_one_takes_over_all_of_them() {
    let one = Place::of(Engine::Kafka);
    let other = one.another();
    let (first, second) = (one.serve(), other.serve());
    let mut members = vec![join(&*first), join(&*second)];
    settle(&mut members).await;
    members.remove(0);
    settle(&mut members).await;
}

#[tokio::test]
async fn what_was_decided_under_a_share_that_moved_is_not_committed() {
    let one = Place::of(Engine::Kafka);
    let other = one.another();
    let (first, second) = (one.serve(), other.serve());
    let mut member = join(&*first);
    holds(member.as_mut()).await;
    let newcomer = join(&*second);
    in_time("the move", member.moved()).await;
    let outputs = vec![record(Topic::Outcomes, "k", "stale")];
    let refused = member.commit(&Position::default(), outputs).await;
    assert!(matches!(refused, Err(LogError::Moved)), "{refused:?}");
    let mut members = vec![member, newcomer];
    settle(&mut members).await;
    let outputs = vec![record(Topic::Outcomes, "k", "fresh")];
    for number in 0..members.len() {
        // The group may share out once more, which refuses a commit as above.
        loop {
            let start = Position::default();
            match members[number].commit(&start, outputs.clone()).await {
                Ok(()) => break,
                Err(LogError::Moved) => settle(&mut members).await,
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert_eq!(
        all(&*first, &[Topic::Outcomes], 9).await,
        [outputs.clone(), outputs].concat()
    );
}

#[tokio::test]
async fn a_duty_is_one_instances_and_another_takes_over() {
    let one = Place::of(Engine::Kafka);
    let other = one.another();
    let (first, second) = (one.serve(), other.serve());
    let mut members = vec![
        first.take_turns("poll").unwrap(),
        second.take_turns("poll").unwrap(),
    ];
    let holder = in_time("a holder", async {
        loop {
            let held = members.iter_mut().position(|it| !it.share().is_empty());
            if let Some(holder) = held {
                return holder;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    members.remove(holder);
    holds(members[0].as_mut()).await;
}

#[tokio::test]
async fn what_the_group_noted_beside_its_offsets_reaches_the_next_holder() {
    let place = Place::of(Engine::Kafka);
    let log = place.serve();
    log.append(vec![record(Topic::Inventory, "k", "1")])
        .await
        .unwrap();
    let settled = log.end().unwrap();
    let mut member = join(&*log);
    holds(member.as_mut()).await;
    member.commit(&settled, Vec::new()).await.unwrap();
    drop(member);
    let mut member = join(&*log);
    holds(member.as_mut()).await;
    let share = member.share();
    assert_eq!(share.held.len(), 4);
    for noted in share.held.values() {
        assert!(noted.has_reached(&settled), "{noted:?}");
    }
}

#[tokio::test]
async fn a_log_that_never_came_that_far_is_not_read() {
    let place = Place::of(Engine::Kafka);
    let log = place.serve();
    log.append(vec![record(Topic::Impacts, "k", "1")])
        .await
        .unwrap();
    let far: Vec<_> = log
        .end()
        .unwrap()
        .parts()
        .map(|(partition, next)| (partition, next + 100))
        .collect();
    let mut follower = log.follow(&[Topic::Impacts], &far.into()).unwrap();
    let refused = in_time("the refusal", follower.next(9)).await;
    assert!(matches!(refused, Err(LogError::Replaced(_))), "{refused:?}");
}

#[tokio::test]
async fn a_member_reads_its_share_again_after_a_commit_that_failed() {
    let place = Place::of(Engine::Kafka);
    let log = place.serve();
    let sent = vec![record(Topic::Membership, "k", "1")];
    log.append(sent.clone()).await.unwrap();
    let mut member = join(&*log);
    let batch = next(member.as_mut(), 9).await;
    let twin = log.join("g", &[Topic::Membership]).unwrap();
    let outputs = vec![record(Topic::Outcomes, "k", "1")];
    // Whoever joins moves the share under a commit that is on its way.
    drop(member.commit(&batch.through, outputs).await);
    drop(twin);
    holds(member.as_mut()).await;
    let found = all(&*log, &[Topic::Outcomes], 9).await.len();
    assert!(found <= 1, "{found}");
    if found == 0 {
        assert_eq!(next(member.as_mut(), 9).await.entries[0].record, sent[0]);
    }
}
