//! The commands beside a running service.

use crate::harness::Stage;

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
