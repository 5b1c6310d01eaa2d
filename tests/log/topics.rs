//! Topics that change under our hands.

use offkey::{
    domain::{Record, Topic},
    log::{Follower, LogError, Position},
};

use crate::engine::{Place, holds, in_time, record};
use crate::security::{SECURED, append, comes, place, topic};

#[tokio::test]
async fn a_topic_that_was_deleted_and_made_anew_needs_no_restart() {
    let place = place(&SECURED.brokers, "");
    let log = place.serve();
    let topics = [Topic::Impacts];
    // More than what the new topic gets, repeats of a record that was not answered included.
    let old: Vec<Record> = (0..500)
        .map(|n| record(Topic::Impacts, "k", &n.to_string()))
        .collect();
    log.append(old.clone()).await.unwrap();
    let mut follower = log.follow(&topics, &Position::default()).unwrap();
    comes(follower.as_mut(), &old[499]).await;
    make_anew(&place, Topic::Impacts).await;
    let fresh = record(Topic::Impacts, "k", "fresh");
    append(&*log, &fresh).await;
    let replaced = in_time("the news", async {
        loop {
            if let Err(error) = follower.next(9).await {
                return error;
            }
        }
    })
    .await;
    assert!(matches!(replaced, LogError::Replaced(_)), "{replaced:?}");
    let mut follower = log.follow(&topics, &Position::default()).unwrap();
    comes(follower.as_mut(), &fresh).await;
}

#[tokio::test]
async fn partitions_that_are_added_are_read_and_worked_on() {
    let place = place(&SECURED.brokers, "");
    let log = place.serve();
    let mut member = log.join("g", &[Topic::Membership]).unwrap();
    holds(member.as_mut()).await;
    let mut follower = log
        .follow(&[Topic::Membership], &Position::default())
        .unwrap();
    let name = topic(&place, Topic::Membership);
    let wider = ["topics", "--alter", "--topic", &name, "--partitions", "12"];
    SECURED.run("tool", &wider);
    in_time("the new partitions", async {
        while member.share().held.len() < 12 {
            member.moved().await;
        }
    })
    .await;
    for n in 0..30 {
        let one = record(Topic::Membership, &format!("k{n}"), "x");
        append(&*log, &one).await;
        comes(follower.as_mut(), &one).await;
    }
}

#[tokio::test]
async fn a_compacted_topic_that_deletes_is_refused_with_the_command_that_mends_it() {
    let place = place(&SECURED.brokers, "");
    drop(place.serve());
    let name = topic(&place, Topic::Inventory);
    SECURED.run(
        "tool",
        &[
            "configs",
            "--alter",
            "--entity-type",
            "topics",
            "--entity-name",
            &name,
            "--add-config",
            "cleanup.policy=delete",
        ],
    );
    // A broker hears of it a moment after the tool was answered.
    let error = in_time("the refusal", async {
        loop {
            if let Err(error) = place.another().try_serve() {
                return error;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(matches!(error, LogError::Configured(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("kafka-configs.sh"), "{text}");
    assert!(text.contains(&name), "{text}");
    let faults = place.attach().faults().unwrap();
    assert!(faults[0].contains("cleanup.policy=compact"), "{faults:?}");
}

#[test]
fn absent_topics_that_may_not_be_created_are_told_with_the_command_that_does() {
    let place = place(&SECURED.brokers, "create_topics = false");
    let error = place.try_serve().err().unwrap();
    assert!(matches!(error, LogError::Configured(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("kafka-topics.sh"), "{text}");
    assert!(text.contains(&topic(&place, Topic::Impacts)), "{text}");
    assert_eq!(place.attach().faults().unwrap().len(), Topic::ALL.len());
}

/// Deletes the topic, and makes it anew as an operator does who sees what is missing.
async fn make_anew(place: &Place, which: Topic) {
    let name = topic(place, which);
    SECURED.run("tool", &["topics", "--delete", "--topic", &name]);
    // A broker hears of it a moment after the tool was answered. Until then nobody makes it anew.
    in_time("the topic to be gone", async {
        while place.attach().faults().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    in_time("the topic", async {
        while place.another().try_serve().is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn numbered(name: &str, count: usize) -> Vec<Record> {
    (0..count)
        .map(|n| record(Topic::Impacts, "k", &format!("{name}{n}")))
        .collect()
}

/// Reads until `what` comes, and says how far that is.
async fn read_to(follower: &mut dyn Follower, what: &Record) -> Position {
    in_time("the record", async {
        loop {
            let batch = follower.next(99).await.unwrap();
            if batch.entries.iter().any(|entry| entry.record == *what) {
                return batch.through;
            }
        }
    })
    .await
}

async fn news(follower: &mut dyn Follower) -> LogError {
    in_time("the news", async {
        loop {
            if let Err(error) = follower.next(9).await {
                return error;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_topic_that_was_made_anew_and_filled_past_what_was_read_is_not_taken_for_the_old_one() {
    let place = place(&SECURED.brokers, "");
    let log = place.serve();
    let old = numbered("old", 20);
    log.append(old.clone()).await.unwrap();
    let topics = [Topic::Impacts];
    let mut follower = log.follow(&topics, &Position::default()).unwrap();
    let position = read_to(follower.as_mut(), &old[19]).await;
    let marks = place.folder.path().join("marks.json");
    in_time("the marks", async {
        while !std::fs::read_to_string(&marks).is_ok_and(|text| text.contains("impacts")) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop((follower, log));
    // As long as it is the same, nothing is to be told, whatever came meanwhile.
    let log = place.serve();
    let more = numbered("more", 5);
    log.append(more.clone()).await.unwrap();
    let mut follower = log.follow(&topics, &position).unwrap();
    let position = read_to(follower.as_mut(), &more[4]).await;
    drop((follower, log));

    make_anew(&place, Topic::Impacts).await;
    let fresh = numbered("fresh", 60);
    let log = place.serve();
    log.append(fresh.clone()).await.unwrap();
    let mut follower = log.follow(&topics, &position).unwrap();
    let replaced = news(follower.as_mut()).await;
    assert!(matches!(replaced, LogError::Replaced(_)), "{replaced:?}");
    // From the beginning it is read like any other.
    let mut follower = log.follow(&topics, &Position::default()).unwrap();
    let position = read_to(follower.as_mut(), &fresh[59]).await;
    let mut follower = log.follow(&topics, &position).unwrap();
    let last = numbered("last", 1);
    log.append(last.clone()).await.unwrap();
    read_to(follower.as_mut(), &last[0]).await;
}

#[tokio::test]
async fn a_topic_that_is_made_anew_while_it_is_read_is_noticed_whatever_is_put_into_it() {
    let place = place(&SECURED.brokers, "");
    let log = place.serve();
    let old = numbered("old", 20);
    log.append(old.clone()).await.unwrap();
    let mut follower = log.follow(&[Topic::Impacts], &Position::default()).unwrap();
    read_to(follower.as_mut(), &old[19]).await;
    make_anew(&place, Topic::Impacts).await;
    for one in numbered("fresh", 60) {
        append(&*log, &one).await;
    }
    let replaced = news(follower.as_mut()).await;
    assert!(matches!(replaced, LogError::Replaced(_)), "{replaced:?}");
}
