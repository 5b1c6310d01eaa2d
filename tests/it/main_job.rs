//! The main job.

use offkey::domain::{Fate, OutcomeResult};

use crate::harness::{Stage, until};

#[test]
fn a_signed_leaver_comes_in_and_a_report_and_signed_webhooks_go_out() {
    let stage = Stage::set();
    let _service = stage.start();

    let change = stage.leave("msg_1", "ada@example.com");

    let report = stage.report(change);
    assert_eq!(report.outcome.result, OutcomeResult::Report);
    assert_eq!(report.impacts.len(), 3);
    let is_fatal = |impact: &offkey::domain::Impact| impact.fate == Fate::Dies;
    assert!(report.impacts.iter().all(is_fatal));
    assert!(report.impacts.iter().all(|impact| !impact.reconciled));

    let webhooks = until("a webhook for each key", || {
        let stored = stage.rotation.stored();
        (stored.len() >= 3).then_some(stored)
    });
    let mut keys: Vec<_> = webhooks
        .iter()
        .map(|webhook| webhook.body["data"]["key"]["label"].as_str().unwrap())
        .collect();
    keys.sort_unstable();
    let expected = [
        "live call transcription",
        "staging transcription",
        "voicemail batch",
    ];
    assert_eq!(keys, expected);
    assert_eq!(stage.rotation.forged(), 0);
    until("a line for each key in the file", || {
        let text = std::fs::read_to_string(stage.path("archive.jsonl")).ok()?;
        (text.lines().count() == 3).then_some(())
    });
}
