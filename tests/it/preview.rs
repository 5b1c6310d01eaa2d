//! Previews of several people at once.

use std::{fs, process::Output};

use serde_json::Value;

use crate::harness::Stage;

/// A preview of the people in a file that reads `text`.
fn of_file(stage: &Stage, text: &[u8], more: &[&str]) -> Output {
    let file = stage.path("people");
    fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    stage.offkey(&[&["preview", "--file", &file], more].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The reports on stdout.
fn reports(output: &Output) -> Vec<Value> {
    let lines = text(&output.stdout);
    let read = |line| serde_json::from_str(line).unwrap();
    lines.lines().map(read).collect()
}

/// Whose they are; each has a whole digest.
fn people(reports: &[Value]) -> Vec<&str> {
    let digests = reports.iter().map(|report| &report["outcome"]["digest"]);
    for digest in digests {
        assert_eq!(digest.as_str().unwrap().len(), 64);
    }
    let people = reports
        .iter()
        .map(|report| &report["outcome"]["person"]["id"]);
    people.map(|id| id.as_str().unwrap()).collect()
}

/// Who takes over the first key of the report, or why nobody does.
fn successor(report: &Value) -> String {
    report["impacts"][0]["successor"].to_string()
}

#[test]
fn several_people_are_each_shown_in_full_and_summed_up() {
    let stage = Stage::set();
    let _service = stage.start();
    let both = ["--person", "leo@example.com", "--person", "ada@example.com"];
    let output = stage.offkey(&[&["preview"], &both[..]].concat());
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let shown = text(&output.stdout);
    assert!(shown.contains("live call transcription"), "{shown}");
    assert!(
        shown.contains("2 changes: 1 kill production keys"),
        "{shown}"
    );
    let table = shown.rfind("would die").unwrap();
    let (_, summary) = shown.split_at(table);
    assert!(summary.find("ada@") < summary.find("leo@"), "{summary}");

    let output = stage.offkey(&[&["preview", "--json"], &both[..]].concat());
    assert_eq!(
        people(&reports(&output)),
        ["leo@example.com", "ada@example.com"]
    );
    assert!(
        text(&output.stderr).contains("2 changes: 1 kill"),
        "{output:?}"
    );
}

#[test]
fn a_file_of_addresses_may_have_a_byte_order_mark_windows_lines_and_comments() {
    let stage = Stage::set();
    let _service = stage.start();
    let file = "\u{feff}# who leaves\r\nLeo@example.com\r\n\r\n  # and\r\nnobody@example.com\r\nleo@example.com\r\n";
    let output = of_file(&stage, file.as_bytes(), &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        people(&reports(&output)),
        ["leo@example.com", "nobody@example.com"]
    );
    let said = text(&output.stderr);
    assert!(
        said.contains("1 are of people whom no inventory knows"),
        "{said}"
    );
    assert!(said.contains("1 repeats were left out"), "{said}");
}

#[test]
fn a_table_says_what_happens_to_whom_and_when() {
    let stage = Stage::set();
    let _service = stage.start();
    let file = "Email,at,change,scope\n\
                ada@example.com,2030-01-31,suspended,\n\
                \"ada@example.com\",,,provider:deepgram\n";
    let output = of_file(&stage, file.as_bytes(), &["--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let reports = reports(&output);
    let header = |at: usize, name: &str| reports[at]["outcome"][name].to_string();
    assert_eq!(header(0, "change"), "\"suspended\"");
    assert_eq!(header(0, "effective_at"), "\"2030-01-31T00:00:00Z\"");
    assert_eq!(header(1, "change"), "\"removed\"");
    assert!(header(1, "scope").contains("deepgram"));
}

#[test]
fn every_line_that_cannot_be_used_is_named_and_nothing_is_reported() {
    let stage = Stage::set();
    let _service = stage.start();
    let bad: [(&[u8], &[&str]); 5] = [
        (b"ada@example.com\nada\nleo@example.com,removed\n", &["line 2: ", "line 3: "]),
        (
            b"email,change,scope,at\n,,,\nada@example.com,sacked,,\nada@example.com,,provider:nobody,\nada@example.com,,,soon\nada@example.com\n\"ada@example.com,,,\n",
            &["line 2: email is empty", "line 3: ", "line 4: ", "line 5: at is", "line 6: ", "line 7: a quote"],
        ),
        (b"email,reason\nada@example.com,x\n", &["line 1: nobody knows the column \"reason\""]),
        (b"ada@example.com\n\xff\xfe@example.com\n", &["line 2: it is not UTF-8"]),
        (b"# nobody\n", &["names nobody"]),
    ];
    for (file, expected) in bad {
        let output = of_file(&stage, file, &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty(), "{output:?}");
        for line in expected {
            assert!(said.contains(line), "{line}: {said}");
        }
    }
    let nowhere = [
        "preview",
        "--person",
        "ada@example.com",
        "--scope",
        "provider:nobody",
    ];
    assert_eq!(stage.offkey(&nowhere).status.code(), Some(2));
}

#[test]
fn whoever_leaves_in_the_same_preview_takes_no_key_over() {
    let stage = Stage::set();
    let _service = stage.start();
    let alone = reports(&of_file(&stage, b"ada@example.com\n", &["--json"]));
    assert!(successor(&alone[0]).contains("nadia@"), "{alone:?}");
    let both = b"ada@example.com\nnadia@example.com\n";
    let together = reports(&of_file(&stage, both, &["--json"]));
    assert!(!successor(&together[0]).contains("nadia@"), "{together:?}");
    // One who comes back leaves nobody.
    let one_returns = b"email,change\nada@example.com,\nnadia@example.com,reinstated\n";
    let apart = reports(&of_file(&stage, one_returns, &["--json"]));
    assert_eq!(successor(&apart[0]), successor(&alone[0]));
}
