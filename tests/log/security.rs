//! A cluster that wants to know who comes.

use std::{path::Path, sync::LazyLock};

use offkey::{
    domain::{Record, Topic},
    log::{Follower, Log, Position},
};

use crate::{
    broker::{Cluster, prefix},
    engine::{Place, all, in_time, next, record},
};

/// A cluster with users and rights, for the tests of this file.
pub(crate) static SECURED: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&["--sasl"]));

/// A place on `brokers`.
pub(crate) fn place(brokers: &str, more: &str) -> Place {
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

pub(crate) fn topic(place: &Place, topic: Topic) -> String {
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
pub(crate) async fn append(log: &dyn Log, what: &Record) {
    in_time("the log to take a record", async {
        while let Err(error) = log.append(vec![what.clone()]).await {
            assert!(error.is_retriable(), "{error}");
        }
    })
    .await;
}

/// Reads until `what` comes.
pub(crate) async fn comes(follower: &mut dyn Follower, what: &Record) {
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
