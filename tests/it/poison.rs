//! What nobody can use is put aside with its bytes, and everything else flows.

use offkey::domain::{Topic, quarantine::Quarantined};

use crate::harness::{Stage, until};

#[test]
fn poison_is_put_aside_with_its_bytes_and_can_be_tried_again() {
    let stage = Stage::set();
    let _service = stage.start();
    let nobody = br#"{"type":"membership.changed","timestamp":"2026-03-01T00:00:00Z",
        "data":{"change":"removed","person":{}}}"#;
    for round in 0..5 {
        assert_eq!(
            stage.send(&format!("bad_{round}"), nobody).unwrap().status,
            202
        );
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
