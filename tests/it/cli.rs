//! The commands beside a running service.

use offkey::domain::{Record, Topic};

use crate::harness::{Stage, until};

#[test]
fn every_reading_command_works_beside_the_running_service() {
    let stage = Stage::set();
    let _service = stage.start();
    stage.report(stage.leave("msg_1", "ada@example.com"));
    let commands: [(&[&str], &str); 7] = [
        (&["people"], "ada@example.com"),
        (&["keys", "--json"], "live call transcription"),
        (&["tail", "impacts", "--json"], "\"specversion\":\"1.0\""),
        (&["quarantine", "list"], ""),
        (&["check-config"], ""),
        (&["version"], env!("CARGO_PKG_VERSION")),
        (&["completions", "bash"], "offkey"),
    ];
    for (arguments, expected) in commands {
        let output = stage.offkey(arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_preview_in_which_production_keys_die_exits_with_three() {
    let stage = Stage::set();
    let _service = stage.start();
    let fatal = stage.offkey(&["preview", "--person", "ada@example.com"]);
    assert_eq!(fatal.status.code(), Some(3), "{fatal:?}");
    let harmless = stage.offkey(&["preview", "--person", "leo@example.com"]);
    assert_eq!(harmless.status.code(), Some(0), "{harmless:?}");
}

#[test]
fn the_check_of_the_log_tells_how_far_the_work_is() {
    let stage = Stage::set();
    let service = stage.start();
    stage.report(stage.leave("msg_1", "ada@example.com"));
    let check = |stage: &Stage| {
        let output = stage.offkey(&["log", "check", "--json"]);
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.success(), found)
    };
    let found = until("all the work to be done", || {
        let (is_well, found) = check(&stage);
        assert!(is_well, "{found}");
        let groups = found["groups"].as_array().unwrap();
        (groups[0]["lag"] == 0).then_some(found)
    });
    assert_eq!(found["takes_records"], true, "{found}");
    assert_eq!(found["waiting"]["changes"], 0, "{found}");
    let names: Vec<_> = (0..3).map(|at| &found["groups"][at]["name"]).collect();
    assert_eq!(names, ["correlation", "sink.rotation", "sink.archive"]);

    // Nobody works: what comes waits, and the check says so.
    drop(service);
    append(&stage);
    let (_, found) = check(&stage);
    assert!(found["groups"][0]["lag"].as_u64().unwrap() > 0, "{found}");
}

/// Puts something nobody can read where changes lie, beside whoever serves the log.
fn append(stage: &Stage) {
    let record = Record::json(Topic::Membership, String::new(), &()).id("stray".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { stage.attach().append(vec![record]).await.unwrap() });
}
