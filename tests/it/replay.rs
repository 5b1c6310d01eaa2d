//! Changes that were reported, judged again with another catalogue.

use std::{fs, process::Output};

use offkey::domain::{ChangeId, Fate, Report};
use serde_json::Value;

use crate::{
    catalogue::{OURS, with_ours},
    harness::{Stage, until},
};

fn replay(stage: &Stage, more: &[&str]) -> Output {
    let output = stage.offkey(&[&["replay", "--from", "2020-01-01"], more].concat());
    assert!(output.status.success(), "{output:?}");
    output
}

fn differing(output: &Output) -> Vec<Value> {
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let read = |line| serde_json::from_str(line).unwrap();
    lines.lines().map(read).collect()
}

fn is_all(report: &Report, fate: Fate) -> bool {
    report.impacts.iter().all(|impact| impact.fate == fate)
}

#[test]
fn what_todays_catalogue_says_otherwise_is_shown_and_published_only_on_request() {
    let stage = with_ours("");
    let service = stage.start();
    let change: ChangeId = stage.leave("msg_1", "ada@example.com");
    assert!(is_all(&stage.report(change), Fate::Dies));
    stage.report(stage.leave("msg_2", "leo@example.com"));
    let same = replay(&stage, &["--json"]);
    assert!(same.stdout.is_empty(), "{same:?}");
    let said = String::from_utf8_lossy(&same.stderr).into_owned();
    assert!(
        said.contains("2 changes judged again: 0 would be"),
        "{said}"
    );

    fs::write(stage.path("ours.toml"), OURS).unwrap();
    let first = replay(&stage, &["--json"]);
    let differing = differing(&first);
    let changes: Vec<&Value> = differing.iter().map(|one| &one["change_id"]).collect();
    assert_eq!(changes, [&Value::from(change.to_string())], "{differing:?}");
    let one = &differing[0]["impacts"][0];
    assert_eq!(one["before"]["fate"], "dies");
    assert_eq!(one["now"]["fate"], "dormant");
    assert_eq!(one["now"]["rule"], "ours.project-key");
    let again = replay(&stage, &["--json"]);
    assert_eq!(
        (&first.stdout, &first.stderr),
        (&again.stdout, &again.stderr)
    );
    let shown = String::from_utf8_lossy(&replay(&stage, &[]).stdout).into_owned();
    assert!(shown.contains("dies -> dormant"), "{shown}");
    let earlier = replay(&stage, &["--to", "2021-01-01"]);
    let text = String::from_utf8_lossy(&earlier.stdout).into_owned();
    assert!(text.contains("0 changes judged again"), "{text}");
    assert_eq!(stage.report(change).outcome.revision, 1);

    // The service judges by the catalogue it was started with.
    drop(service);
    let _service = stage.start();
    assert!(is_all(&stage.report(change), Fate::Dies));
    replay(&stage, &["--publish"]);
    until("the revision", || {
        let report = stage.report(change);
        (report.outcome.revision == 2 && is_all(&report, Fate::Dormant)).then_some(())
    });
    let none_left = replay(&stage, &["--json"]);
    assert!(none_left.stdout.is_empty(), "{none_left:?}");
}

#[test]
fn a_range_that_ends_before_it_begins_is_refused() {
    let stage = Stage::set();
    let range = ["replay", "--from", "2021-01-01", "--to", "2020-01-01"];
    assert_eq!(stage.offkey(&range).status.code(), Some(1));
    assert_eq!(
        stage.offkey(&["replay", "--from", "soon"]).status.code(),
        Some(2)
    );
}
