//! What another version has left: a folder of its making, records of its making.

use std::fs;

use offkey::{
    domain::{ChangeId, Key, MembershipChange, Record, Topic, quarantine::Quarantined},
    projection,
};
use rusqlite::Connection;

use crate::harness::{Service, Stage, is_over_kafka, until};

fn append(stage: &Stage, record: Record) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(stage.attach().append(vec![record]))
        .unwrap();
}

fn dump(stage: &Stage) -> Option<String> {
    stage.read(|reader| reader.dump().unwrap())
}

/// The newest record of `topic` that `is_it`.
fn find(stage: &Stage, topic: Topic, is_it: impl Fn(&Record) -> bool) -> Record {
    let records = stage.records(&[topic]);
    records.into_iter().rev().find(is_it).unwrap()
}

/// The record, with more in it than this version knows.
fn with_more(record: &Record, id: &str) -> Record {
    let mut data: serde_json::Value = record.read().unwrap();
    data["of_a_newer_version"] = serde_json::json!({"what": ["nobody", "knows", "here"]});
    let mut newer = record.clone();
    newer.data = serde_json::to_vec(&data).unwrap().into();
    newer.id(id.to_owned())
}

#[test]
fn fields_of_a_newer_version_change_nothing() {
    let stage = Stage::set();
    let _service = stage.start();
    let change = stage.leave("msg_1", "ada@example.com");
    let known = stage.report(change);
    let record = find(&stage, Topic::Membership, |_| true);
    let mut newer = with_more(&record, &record.id);
    let other = ChangeId::derive("hr", "msg_2");
    let text = String::from_utf8(newer.data.to_vec()).unwrap();
    newer.data = text.replace(&change.to_string(), &other.to_string()).into();
    let newer = newer.id(other.to_string()).correlation(other);
    append(&stage, newer);
    let key = find(&stage, Topic::Inventory, |it| it.kind == Key::TYPE);
    append(&stage, with_more(&key, "a-newer-key"));
    let report = stage.report(other);
    assert_eq!(report.impacts.len(), known.impacts.len());
    stage.report(stage.leave("msg_3", "bo@example.com"));
    assert!(stage.records(&[Topic::Quarantine]).is_empty());
}

#[test]
fn a_newer_type_of_record_is_not_read_as_if_it_were_ours() {
    let stage = Stage::set();
    let _service = stage.start();
    let change = stage.leave("msg_1", "ada@example.com");
    stage.report(change);
    let record = find(&stage, Topic::Membership, |_| true);
    let other = ChangeId::derive("hr", "msg_2");
    let text = String::from_utf8(record.data.to_vec()).unwrap();
    let mut newer = record;
    newer.data = text.replace(&change.to_string(), &other.to_string()).into();
    let kind = MembershipChange::TYPE.replace("v1", "v2");
    let newer = newer.id(other.to_string()).correlation(other).kind(&kind);
    let bytes = newer.data.clone();
    append(&stage, newer);
    // It is put aside with its bytes and the reason, and what comes behind it flows.
    let aside = until("the quarantine", || {
        let records = stage.records(&[Topic::Quarantine]);
        let mut aside = records.iter().map(|it| it.read::<Quarantined>().unwrap());
        aside.find(|one| one.payload().as_deref() == Some(&bytes[..]))
    });
    assert!(aside.why.contains(&kind), "{}", aside.why);
    stage.report(stage.leave("msg_3", "bo@example.com"));
    let found = stage.read(|reader| reader.report(&other.to_string()).unwrap());
    assert!(found.flatten().is_none());
}

#[test]
fn a_read_model_of_another_version_is_built_anew() {
    let stage = Stage::set();
    let service = stage.start();
    let report = stage.report(stage.leave("msg_1", "ada@example.com"));
    // Each impact goes to two sinks.
    let deliveries = 2 * report.impacts.len();
    let known = until("everything to be delivered and known", || {
        let is_over = stage.records(&[Topic::Deliveries]).len() == deliveries;
        let end = stage.attach().end().unwrap();
        let is_known = stage.read(|reader| reader.position().unwrap().has_reached(&end));
        (is_over && is_known == Some(true)).then(|| dump(&stage))?
    });
    assert!(service.stop().0.success());
    let file = projection::Projection::file_in(&stage.data());
    let db = Connection::open(&file).unwrap();
    db.execute_batch(
        "UPDATE meta SET value = 'of another version' WHERE name = 'stamp';
         ALTER TABLE changes ADD COLUMN of_a_newer_version TEXT;
         UPDATE changes SET body = 'what this version cannot read';",
    )
    .unwrap();
    drop(db);
    // The look at the provider that a start begins with would be in the new one only.
    fs::write(stage.path("deepgram.key"), "no-longer-the-key").unwrap();
    let _service = stage.start();
    until("the same read model", || {
        (dump(&stage)? == known).then_some(())
    });
}

#[test]
fn a_log_of_a_newer_layout_is_refused_in_plain_words_and_left_as_it_is() {
    if is_over_kafka() {
        return;
    }
    let stage = Stage::set();
    let service = stage.start();
    let change = stage.leave("msg_1", "ada@example.com");
    stage.report(change);
    assert!(service.stop().0.success());
    let file = stage.data().join("log.db");
    let db = Connection::open(&file).unwrap();
    // Everything into the file itself, so that its bytes can be compared.
    db.execute_batch("PRAGMA user_version = 2; PRAGMA wal_checkpoint(TRUNCATE);")
        .unwrap();
    drop(db);
    let before = fs::read(&file).unwrap();
    let mut refused = Service::spawn(&stage, &[]);
    assert!(!refused.wait().success());
    assert!(refused.messages().contains("layout 2"));
    let beside = stage.offkey(&["log", "check"]);
    let said = String::from_utf8_lossy(&beside.stderr).into_owned();
    assert!(
        !beside.status.success() && said.contains("layout 2"),
        "{said}"
    );
    assert!(before == fs::read(&file).unwrap(), "the log was written to");
    let db = Connection::open(&file).unwrap();
    db.execute_batch("PRAGMA user_version = 1;").unwrap();
    drop(db);
    let _service = stage.start();
    assert!(!stage.report(change).impacts.is_empty());
    stage.report(stage.leave("msg_2", "bo@example.com"));
}

#[test]
fn an_instance_file_and_notes_that_this_version_does_not_know_stop_nothing() {
    let stage = Stage::set();
    let service = stage.start();
    stage.report(stage.leave("msg_1", "ada@example.com"));
    assert!(service.stop().0.success());
    fs::write(
        stage.data().join("marks.json"),
        "{\"of\": \"a newer version\"}",
    )
    .unwrap();
    fs::write(stage.data().join("of-a-newer-version"), "anything").unwrap();
    let _service = stage.start();
    stage.report(stage.leave("msg_2", "bo@example.com"));
}
