//! Keys of a provider without a connector, out of a file.

use std::{fs, process::Output};

use offkey::domain::Fate;

use crate::harness::{Stage, until};

const KEYS: &str = "project,key,class,creator,creator_email,tags,last_used_at
acme/web,dk-1,deploy-key,ada-gh,ada@example.com,prod,
acme/web,pat-1,classic-pat,ada-gh,ada@example.com,prod,
acme/web,pat-2,classic-pat,leo-gh,leo@example.com,,
";

fn with_github() -> Stage {
    Stage::set_with("1h", |_| {
        "[[provider]]\nname = \"gh\"\nkind = \"import\"\ncatalogue = \"github\"\n".to_owned()
    })
}

fn import(stage: &Stage, text: &str, more: &[&str]) -> Output {
    let file = stage.path("keys.csv");
    fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let arguments = ["keys", "import", &file, "--provider", "gh"];
    stage.offkey(&[&arguments, more].concat())
}

/// The keys of the provider that are known, by id.
fn known(stage: &Stage) -> Vec<String> {
    let keys = stage.read(|reader| reader.keys_of("gh").unwrap()).unwrap();
    keys.into_iter().map(|key| key.id).collect()
}

#[test]
fn imported_keys_are_judged_by_the_catalogue() {
    let stage = with_github();
    let _service = stage.start();
    let output = import(&stage, KEYS, &["--json"]);
    assert!(output.status.success(), "{output:?}");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&said["keys"]["added"], &said["dry_run"]),
        (&3.into(), &false.into())
    );
    until("the keys", || (known(&stage).len() == 3).then_some(()));
    let report = stage.report(stage.leave("msg_1", "ada@example.com"));
    let fate = |id: &str| {
        let mut impacts = report.impacts.iter();
        impacts
            .find(|impact| impact.key.id == id)
            .map(|impact| impact.fate)
    };
    assert_eq!(fate("dk-1"), Some(Fate::Survives));
    assert_eq!(fate("pat-1"), Some(Fate::Dormant));
    assert_eq!(fate("pat-2"), None);
    let listed = stage.offkey(&["keys"]);
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains("gh"),
        "{listed:?}"
    );
}

#[test]
fn nothing_of_a_file_with_a_bad_row_is_taken_in() {
    let stage = with_github();
    let _service = stage.start();
    let broken = format!("{KEYS}acme/web,x,no-such-class,ada-gh,ada@example.com,,\n");
    let output = import(&stage, &broken, &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("line 5: ") && text.contains("no-such-class"),
        "{text}"
    );
    assert!(text.contains("1 of 4 rows"), "{text}");
    // What comes after it in the log is known, so that it would be as well.
    assert!(import(&stage, KEYS, &[]).status.success());
    until("the keys", || (known(&stage).len() == 3).then_some(()));
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_not() {
    let stage = with_github();
    let _service = stage.start();
    let tried = import(&stage, KEYS, &["--dry-run"]);
    let text = String::from_utf8_lossy(&tried.stdout);
    assert!(text.contains("3 would be new"), "{text}");
    let again = import(&stage, KEYS, &[]);
    let text = String::from_utf8_lossy(&again.stdout);
    assert!(text.contains("3 new"), "{text}");
    let third = import(&stage, KEYS, &[]);
    let text = String::from_utf8_lossy(&third.stdout);
    assert!(text.contains("0 new, 0 changed, 0 gone"), "{text}");
}

#[test]
fn only_providers_of_kind_import_take_files_and_the_catalogue_must_know_them() {
    let stage = with_github();
    let file = stage.path("keys.csv");
    fs::write(&file, KEYS).unwrap();
    let file = file.display().to_string();
    for provider in ["deepgram", "nobody"] {
        let output = stage.offkey(&["keys", "import", &file, "--provider", provider]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("kind = \"import\"") || text.contains("kind \"import\""),
            "{text}"
        );
    }
    let config = fs::read_to_string(stage.config()).unwrap();
    fs::write(stage.config(), config.replace("\"github\"", "\"githab\"")).unwrap();
    let output = stage.offkey(&["check-config"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("githab"), "{text}");
}
