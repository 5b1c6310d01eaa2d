//! The report of a real change says whether it came as it was previewed.

use std::fs;

use offkey::domain::{Outcome, Topic, preview::Preview};

use crate::harness::{Stage, until};

/// Records a preview of the person's removal.
fn record(stage: &Stage, person: &str) -> Preview {
    let output = stage.offkey(&["preview", "--record", "--json", "--person", person]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("1 previews are recorded"), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let records = stage.records(&[Topic::Curation]);
    let preview: Preview = records.last().unwrap().read().unwrap();
    assert_eq!(report["outcome"]["digest"], preview.digest);
    preview
}

/// Every outcome in the log.
fn outcomes(stage: &Stage) -> Vec<Outcome> {
    let records = stage.records(&[Topic::Outcomes]);
    records
        .iter()
        .map(|record| record.read().unwrap())
        .collect()
}

#[test]
fn a_change_that_comes_as_it_was_previewed_cites_the_preview() {
    let stage = Stage::set();
    let _service = stage.start();
    let first = record(&stage, "ada@example.com");
    let latest = record(&stage, "ada@example.com");
    assert!(first.made_at < latest.made_at);
    record(&stage, "bo@example.com");
    let report = stage.report(stage.leave("msg_1", "ada@example.com"));
    let previewed = until("the citation", || {
        let report = stage.report(report.outcome.change_id);
        report.outcome.previewed
    });
    assert_eq!(
        (previewed.at, previewed.digest),
        (latest.made_at, latest.digest)
    );
    assert!(previewed.same, "{:?}", previewed.differs);
    // One whom nobody previewed cites nothing.
    let other = stage.report(stage.leave("msg_2", "chidi@example.com"));
    assert_eq!(other.outcome.previewed, None);
}

#[test]
fn what_changed_since_the_preview_is_said_of_each_key() {
    let stage = Stage::set_with("1h", |_| {
        "[[provider]]\nname = \"gh\"\nkind = \"import\"\ncatalogue = \"github\"\n".to_owned()
    });
    let _service = stage.start();
    let import = |rows: &str| {
        let file = stage.path("keys.csv");
        let head = "project,key,class,creator,creator_email,tags\n";
        fs::write(&file, format!("{head}{rows}")).unwrap();
        let file = file.display().to_string();
        let output = stage.offkey(&["keys", "import", &file, "--provider", "gh", "--partial"]);
        assert!(output.status.success(), "{output:?}");
    };
    let known = |keys: usize| {
        until("the keys", || {
            let all = stage.read(|reader| reader.keys_of("gh").unwrap().len());
            (all == Some(keys)).then_some(())
        });
    };
    import("acme/web,k1,classic-pat,kim-gh,kim@example.com,prod\n");
    known(1);
    record(&stage, "kim@example.com");
    import("acme/web,k2,deploy-key,kim-gh,kim@example.com,prod\n");
    known(2);
    let change = stage.leave("msg_1", "kim@example.com");
    let differs = until("the citation", || stage.report(change).outcome.previewed);
    assert!(!differs.same);
    let [one] = &differs.differs[..] else {
        panic!("{differs:?}");
    };
    assert_eq!((one.key.as_str(), one.what.label()), ("k2", "fate"));
    assert_eq!(
        (one.before.as_deref(), one.now.as_deref()),
        (None, Some("survives"))
    );
    // A preview of now is held against the one before as well.
    let again = stage.offkey(&["preview", "--person", "kim@example.com"]);
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(text.contains("otherwise than previewed"), "{text}");
    assert!(text.contains("k2: fate was nothing, is survives"), "{text}");
}

#[test]
fn a_preview_that_becomes_known_late_is_cited_in_a_revision_that_sends_no_impact_again() {
    let stage = Stage::set();
    let _service = stage.start();
    let preview = record(&stage, "ada@example.com");
    let change = stage.leave("msg_1", "ada@example.com");
    until("the citation", || stage.report(change).outcome.previewed);
    let impacts = stage.records(&[Topic::Impacts]).len();
    // As if an earlier moment's preview had been held up on its way into the log.
    let late = Preview {
        digest: "f".repeat(64),
        made_at: preview.made_at + std::time::Duration::from_micros(1),
        ..preview
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let log = stage.attach();
    let append = || log.append(vec![late.to_record()]);
    runtime.unwrap().block_on(append()).unwrap();
    until("the other citation", || {
        let cited = stage.report(change).outcome.previewed?;
        (cited.digest == late.digest).then_some(())
    });
    let revisions: Vec<u32> = outcomes(&stage)
        .iter()
        .map(|outcome| outcome.revision)
        .collect();
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
    assert_eq!(stage.records(&[Topic::Impacts]).len(), impacts);
}
