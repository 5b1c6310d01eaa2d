//! Whether a removal is safe, as an exit code.

use std::{collections::BTreeMap, fs, process::Output};

use offkey::clock::{Clock as _, SystemClock};
use serde_json::Value;

use crate::harness::{Stage, until};

fn gate(stage: &Stage, person: &str, more: &[&str]) -> Output {
    stage.offkey(&[&["gate", "--person", person], more].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The answer about the first person.
fn answer(output: &Output) -> Value {
    let first = text(&output.stdout);
    serde_json::from_str(first.lines().next().unwrap()).unwrap()
}

/// What each key says, by its id.
fn verdicts(answer: &Value) -> BTreeMap<String, String> {
    let keys = answer["keys"].as_array().unwrap().iter();
    keys.map(|judged| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&judged["key"]["id"]), text(&judged["verdict"]))
    })
    .collect()
}

#[test]
fn a_removal_is_safe_when_every_production_key_in_use_is_accepted() {
    let stage = Stage::set();
    let _service = stage.start();
    let refused = gate(&stage, "ada@example.com", &["--format", "json"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let answer = answer(&refused);
    assert_eq!(
        (&answer["answer"], &answer["days"]),
        (&"not_safe".into(), &7.into())
    );
    let keys = answer["keys"].as_array().unwrap();
    let blocking = keys.iter().filter(|judged| judged["verdict"] == "blocks");
    let paths: Vec<String> = blocking
        .map(|judged| {
            let part = |name: &str| judged["key"][name].as_str().unwrap();
            format!("{}/{}/{}", part("provider"), part("project"), part("id"))
        })
        .collect();
    assert_eq!(paths.len(), 2, "{answer}");
    let (_, id) = paths[1].rsplit_once('/').unwrap();

    let one = gate(&stage, "ada@example.com", &["--accept", &paths[0]]);
    assert_eq!(one.status.code(), Some(3), "{one:?}");
    let both = gate(
        &stage,
        "ada@example.com",
        &["--accept", &paths[0], "--accept", id],
    );
    assert_eq!(both.status.code(), Some(0), "{both:?}");
    let shown = text(&both.stdout);
    assert!(
        shown.contains("safe") && shown.contains("2 are accepted"),
        "{shown}"
    );
    let mistyped = gate(&stage, "leo@example.com", &["--accept", "k-0"]);
    assert!(
        text(&mistyped.stderr).contains("k-0 is none of these keys"),
        "{mistyped:?}"
    );
}

#[test]
fn somebody_unknown_is_neither_safe_nor_unsafe_unless_the_caller_says_so() {
    let stage = Stage::set();
    let _service = stage.start();
    let nobody = gate(&stage, "nobody@example.com", &[]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    let said = text(&nobody.stderr);
    assert!(
        said.contains("no inventory knows nobody@example.com"),
        "{said}"
    );
    let taken = gate(&stage, "nobody@example.com", &["--unknown-is-safe"]);
    assert_eq!(taken.status.code(), Some(0), "{taken:?}");
    // One who is known not to be safe speaks louder.
    let both = gate(
        &stage,
        "nobody@example.com",
        &["--person", "ada@example.com"],
    );
    assert_eq!(both.status.code(), Some(3), "{both:?}");
    assert_eq!(gate(&stage, "leo@example.com", &[]).status.code(), Some(0));
    // Nobody knows which keys a group opens.
    let group = gate(&stage, "leo@example.com", &["--scope", "group:g1"]);
    assert_eq!(group.status.code(), Some(1), "{group:?}");
    for wrong in [
        ["--days", "0"],
        ["--scope", "provider:nobody"],
        ["--format", "xml"],
    ] {
        assert_eq!(
            gate(&stage, "leo@example.com", &wrong).status.code(),
            Some(2),
            "{wrong:?}"
        );
    }
}

#[test]
fn workflow_commands_name_what_blocks_and_end_with_the_answer() {
    let stage = Stage::set();
    let _service = stage.start();
    let output = gate(&stage, "ada@example.com", &["--format", "github"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let lines = text(&output.stdout);
    let errors = lines
        .lines()
        .filter(|line| line.starts_with("::error title=offkey gate::"));
    assert_eq!(errors.count(), 3, "{lines}");
    assert!(
        lines.contains("live call transcription (deepgram/"),
        "{lines}"
    );
    assert!(
        lines.lines().last().unwrap().contains("not safe"),
        "{lines}"
    );
    let safe = gate(&stage, "leo@example.com", &["--format", "github"]);
    let lines = text(&safe.stdout);
    assert!(
        lines.lines().all(|line| line.starts_with("::notice")),
        "{lines}"
    );
}

#[test]
fn fate_environment_and_traffic_decide_together() {
    let stage = Stage::set_with("1h", |_| {
        "[[provider]]\nname = \"gh\"\nkind = \"import\"\ncatalogue = \"github\"\n".to_owned()
    });
    let _service = stage.start();
    let (now, file) = (SystemClock.now(), stage.path("keys.csv"));
    let rows = [
        ("survives", "deploy-key", "prod", "9", Some(now)),
        ("used", "classic-pat", "prod", "9", Some(now)),
        ("idle", "classic-pat", "prod", "0", None),
        ("unseen", "classic-pat", "prod", "", None),
        ("untagged", "classic-pat", "", "9", Some(now)),
        ("elsewhere", "classic-pat", "dev", "9", Some(now)),
    ];
    let mut table =
        "project,key,class,creator,creator_email,tags,requests_7d,last_used_at\n".to_owned();
    for (key, class, tags, requests, last) in rows {
        let last = last.map_or_else(String::new, |at| at.to_string());
        table +=
            &format!("acme/web,{key},{class},kim-gh,kim@example.com,{tags},{requests},{last}\n");
    }
    fs::write(&file, table).unwrap();
    let import = [
        "keys",
        "import",
        &file.display().to_string(),
        "--provider",
        "gh",
    ];
    assert!(stage.offkey(&import).status.success());
    until("the keys", || {
        let keys = stage.read(|reader| reader.keys_of("gh").unwrap().len());
        (keys == Some(rows.len())).then_some(())
    });
    let ask = |more: &[&str]| gate(&stage, "kim@example.com", &[&["--json"], more].concat());
    let expected = |unseen: &str, idle: &str| -> BTreeMap<String, String> {
        let verdicts = [
            ("survives", "clear"),
            ("used", "blocks"),
            ("idle", idle),
            ("unseen", unseen),
            ("untagged", "doubtful"),
            ("elsewhere", "clear"),
        ];
        verdicts
            .map(|(key, verdict)| (key.to_owned(), verdict.to_owned()))
            .into()
    };
    assert_eq!(verdicts(&answer(&ask(&[]))), expected("blocks", "clear"));
    // Nobody looked for so long.
    assert_eq!(
        verdicts(&answer(&ask(&["--days", "90"]))),
        expected("blocks", "blocks")
    );
    let accepted = ["--accept", "used", "--accept", "unseen"];
    assert_eq!(ask(&accepted).status.code(), Some(0));
    assert_eq!(
        ask(&[&accepted[..], &["--strict"]].concat()).status.code(),
        Some(3)
    );
}
