//! A cluster that wants to know who comes, and topics that change under our hands.

use std::{path::Path, sync::LazyLock};

use offkey::{
    domain::{Record, Topic},
    log::{Follower, Log, LogError, Position},
};

use crate::{
    broker::{Cluster, prefix},
    engine::{Place, all, holds, in_time, next, record},
};

/// A cluster with users and rights, for the tests of this file.
static SECURED: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&["--sasl"]));

/// A place on `brokers`.
fn place(brokers: &str, more: &str) -> Place {
    let text = format!(
        "brokers = {brokers:?}\nprefix = {:?}\npartitions = 4\nsession_timeout = \"6s\"\n{more}",
        prefix()
    );
    Place {
        folder: tempfile::tempdir().unwrap(),
        kafka: Some(toml::from_str(&text).unwrap()),
    }
}

/// A place that is reached as a user.
fn with_password(password: &Path) -> Place {
    let ca = SECURED.folder.join("ca.pem");
    let user = SECURED.note("user");
    let more = format!(
        "[tls]\nca = {ca:?}\n[sasl]\nmechanism = \"scram-sha-512\"\nusername = {user:?}\n\
         password = {{ file = {password:?} }}"
    );
    place(&SECURED.note("sasl.bootstrap"), &more)
}

fn as_user() -> Place {
    with_password(&SECURED.folder.join("password"))
}

fn topic(place: &Place, topic: Topic) -> String {
    format!("{}{topic}", place.kafka.as_ref().unwrap().prefix)
}

/// Everything a log does.
async fn works(log: &dyn Log) {
    let sent = vec![record(Topic::Membership, "k", "1")];
    log.append(sent.clone()).await.unwrap();
    let mut member = log.join("g", &[Topic::Membership]).unwrap();
    let batch = next(member.as_mut(), 9).await;
    assert_eq!(batch.entries[0].record, sent[0]);
    let outputs = vec![record(Topic::Outcomes, "k", "1")];
    member
        .commit(&batch.through, outputs.clone())
        .await
        .unwrap();
    assert_eq!(all(log, &[Topic::Outcomes], 9).await, outputs);
}

/// Appends until it is taken.
async fn append(log: &dyn Log, what: &Record) {
    in_time("the log to take a record", async {
        while let Err(error) = log.append(vec![what.clone()]).await {
            assert!(error.is_retriable(), "{error}");
        }
    })
    .await;
}

/// Reads until `what` comes.
async fn comes(follower: &mut dyn Follower, what: &Record) {
    in_time("the record", async {
        loop {
            let batch = follower.next(99).await.unwrap();
            if batch.entries.iter().any(|entry| entry.record == *what) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_with_scram_over_tls_can_do_everything() {
    works(&*as_user().serve()).await;
}

#[tokio::test]
async fn a_client_certificate_is_enough() {
    let file = |name: &str| SECURED.folder.join(name);
    let more = format!(
        "[tls]\nca = {:?}\ncertificate = {:?}\nkey = {:?}",
        file("ca.pem"),
        file("client.pem"),
        file("client.key")
    );
    works(&*place(&SECURED.note("ssl.bootstrap"), &more).serve()).await;
}

#[test]
fn a_wrong_password_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "not the password").unwrap();
    let error = with_password(&password).try_serve().err().unwrap();
    let text = error.to_string();
    assert!(text.contains("uthentication"), "{text}");
    assert!(!text.contains("not the password"), "{text}");
}

#[test]
fn an_authority_nobody_knows_is_told() {
    let more = format!("[tls]\nca = {:?}", SECURED.folder.join("client.pem"));
    let place = place(&SECURED.note("ssl.bootstrap"), &more);
    let text = place.try_serve().err().unwrap().to_string();
    assert!(text.contains("certificate"), "{text}");
}

#[tokio::test]
async fn a_right_that_was_taken_and_given_back_needs_no_restart() {
    let place = as_user();
    let log = place.serve();
    let first = record(Topic::Membership, "k", "1");
    append(&*log, &first).await;
    let mut follower = log
        .follow(&[Topic::Membership], &Position::default())
        .unwrap();
    comes(follower.as_mut(), &first).await;
    let name = topic(&place, Topic::Membership);
    let rights = |how: &str, more: &[&str]| {
        let always = [
            "acls",
            how,
            "--deny-principal",
            "User:offkey",
            "--operation",
            "All",
            "--topic",
            &name,
        ];
        SECURED.run("tool", &[&always, more].concat());
    };
    rights("--add", &[]);
    in_time("the refusal", async {
        let lost = record(Topic::Membership, "k", "refused");
        while log.append(vec![lost.clone()]).await.is_ok() {}
    })
    .await;
    rights("--remove", &["--force"]);
    let second = record(Topic::Membership, "k", "2");
    append(&*log, &second).await;
    comes(follower.as_mut(), &second).await;
}

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
    let name = topic(&place, Topic::Impacts);
    SECURED.run("tool", &["topics", "--delete", "--topic", &name]);
    // As an operator does who sees what is missing.
    in_time("the topic", async {
        while place.another().try_serve().is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
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
