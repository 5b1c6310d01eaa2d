//! What nobody can use is put aside with its bytes, and everything else flows.

use offkey::domain::{MembershipChange, Outcome, Record, Topic, quarantine::Quarantined};

use crate::harness::{Stage, until};

/// Records in the log that this version cannot read, as a newer one may write them.
fn unreadable() -> Vec<Record> {
    let bodies = [
        serde_json::json!({"from": "a newer version"}),
        serde_json::json!([1, 2, 3]),
        serde_json::Value::Null,
    ];
    let topics = [
        (Topic::Membership, MembershipChange::TYPE),
        (Topic::Outcomes, Outcome::TYPE),
    ];
    let mut all = Vec::new();
    for (topic, kind) in topics {
        for (n, body) in bodies.iter().enumerate() {
            let record = Record::json(topic, "anything".to_owned(), body)
                .id(format!("poison-{topic}-{n}"))
                .kind(kind)
                .source("/sources/hr".to_owned());
            all.push(record);
        }
    }
    all
}

#[test]
fn records_that_nobody_can_read_stop_nothing_behind_them_and_are_put_aside() {
    let stage = Stage::set();
    let service = stage.start();
    let poison = unreadable();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for record in &poison {
        let beside = stage.attach();
        until("the record to be taken", || {
            runtime.block_on(beside.append(vec![record.clone()])).ok()
        });
        let change = stage.leave(&record.id, "bo@example.com");
        assert!(!stage.report(change).impacts.is_empty());
    }
    let put_aside = || {
        let records = stage.records(&[Topic::Quarantine]);
        let aside: Vec<Quarantined> = records.iter().map(|it| it.read().unwrap()).collect();
        let count = poison.iter().filter(|record| {
            aside
                .iter()
                .any(|one| one.payload().as_deref() == Some(&record.data[..]))
        });
        (count.count() == poison.len()).then_some(aside.len())
    };
    let count = until("the quarantine", put_aside);
    // It is read again by a read model that is built anew, and put aside once all the same.
    service.kill();
    std::fs::remove_file(stage.data().join("projection.db")).unwrap();
    let _service = stage.start();
    stage.report(stage.leave("after", "bo@example.com"));
    assert_eq!(put_aside(), Some(count));
}

#[test]
fn poison_is_put_aside_with_its_bytes_and_can_be_tried_again() {
    let stage = Stage::set();
    let _service = stage.start();
    let nobody = br#"{"type":"membership.changed","timestamp":"2026-03-01T00:00:00Z",
        "data":{"change":"removed","person":{}}}"#;
    for round in 0..5 {
        assert_eq!(stage.deliver(&format!("bad_{round}"), nobody).status, 202);
        assert_eq!(
            stage
                .send(&format!("broken_{round}"), b"{\"type\":")
                .unwrap()
                .status,
            400
        );
        let change = stage.leave(&format!("good_{round}"), "bo@example.com");
        assert!(!stage.report(change).impacts.is_empty());
    }
    let aside: Vec<Quarantined> = until("the quarantine", || {
        let records = stage.records(&[Topic::Quarantine]);
        (records.len() >= 10).then(|| records.iter().map(|it| it.read().unwrap()).collect())
    });
    let found = aside
        .iter()
        .find(|one| one.payload().as_deref() == Some(nobody.as_slice()));
    let id = found.unwrap().id.to_string();

    until("the list to show it", || {
        let list = stage.offkey(&["quarantine", "list", "--json"]);
        String::from_utf8_lossy(&list.stdout)
            .contains(&id)
            .then_some(())
    });
    let shown = stage.offkey(&["quarantine", "show", &id]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("membership.changed"));
    let again = stage.offkey(&["quarantine", "redrive", &id]);
    assert_eq!(
        again.status.code(),
        Some(1),
        "nothing has changed, so it still cannot be used"
    );
    assert!(String::from_utf8_lossy(&again.stderr).contains("person"));
}
