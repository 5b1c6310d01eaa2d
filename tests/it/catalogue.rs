//! The catalogue from outside: what comes with the program, and what a user adds.

use std::{fs, process::Output};

use crate::harness::Stage;

/// A rule that says otherwise than the one that comes with the program.
pub(crate) const OURS: &str = r#"
[[rule]]
id = "ours.project-key"
provider = "deepgram"
class = "project-key"
on = "member_removed"
fate = "dormant"
action = "Ask the platform team."
says = "We had one come back."
url = "https://wiki.example/deepgram"
checked = "2026-11-20"
"#;

/// A configuration that names one catalogue file, which reads `text`.
pub(crate) fn with_ours(text: &str) -> Stage {
    Stage::set_with("1h", |stage| {
        let file = stage.path("ours.toml");
        fs::write(&file, text).unwrap();
        format!("[catalogue]\nfiles = [{file:?}]\n")
    })
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Vec<serde_json::Value> {
    let lines = printed(output);
    let read = |line| serde_json::from_str(line).unwrap();
    lines.lines().map(read).collect()
}

#[test]
fn every_kind_of_key_is_listed_with_what_becomes_of_it() {
    let stage = Stage::set();
    let all = printed(&stage.offkey(&["catalogue", "list"]));
    for key in [
        "deepgram/project-key",
        "aws/iam-access-key",
        "github/deploy-key",
    ] {
        assert!(all.contains(key), "{all}");
    }
    let rules = json(&stage.offkey(&["catalogue", "list", "--provider", "okta", "--json"]));
    assert!(!rules.is_empty() && rules.iter().all(|rule| rule["provider"] == "okta"));
    let nobody = stage.offkey(&["catalogue", "list", "--provider", "nobody"]);
    assert!(!nobody.status.success());
}

#[test]
fn a_rule_is_shown_with_all_it_rests_on() {
    let stage = Stage::set();
    let rule = printed(&stage.offkey(&["catalogue", "show", "deepgram.member-removed"]));
    for text in [
        "dies",
        "INVALID_AUTH",
        "https://developers.deepgram.com",
        "takes along",
        "but",
    ] {
        assert!(rule.contains(text), "{text}: {rule}");
    }
    let class = printed(&stage.offkey(&["catalogue", "show", "github/deploy-key"]));
    assert!(class.contains("github.deploy-key.reinstated") && !class.contains("classic"));
    let provider = json(&stage.offkey(&["catalogue", "show", "github", "--json"]));
    let classes = provider.iter().map(|rule| rule["class"].as_str().unwrap());
    let classes: std::collections::BTreeSet<_> = classes.collect();
    assert!(classes.contains("deploy-key") && classes.contains("classic-pat"));
    assert!(
        !stage
            .offkey(&["catalogue", "show", "github/none"])
            .status
            .success()
    );
}

#[test]
fn a_users_rule_counts_and_says_where_it_is_from() {
    let stage = with_ours(OURS);
    let shown = json(&stage.offkey(&["catalogue", "show", "ours.project-key", "--json"]));
    let rule = shown.first().unwrap();
    assert!(
        rule["file"].as_str().unwrap().ends_with("ours.toml"),
        "{rule}"
    );
    assert_eq!(rule["replaces"][0]["id"], "deepgram.member-removed");
    let checked = printed(&stage.offkey(&["catalogue", "check"]));
    assert!(checked.contains("can be used"), "{checked}");
}

#[test]
fn the_service_judges_by_the_users_rule() {
    let stage = with_ours(OURS);
    let _service = stage.start();
    let report = stage.report(stage.leave("msg_1", "ada@example.com"));
    let rules: Vec<&str> = report
        .impacts
        .iter()
        .map(|impact| impact.rule.rule.as_str())
        .collect();
    assert!(rules.contains(&"ours.project-key"), "{rules:?}");
}

#[test]
fn an_impact_is_explained_with_its_reasons_its_rule_and_the_row_that_decided() {
    let stage = Stage::set();
    let _service = stage.start();
    let report = stage.report(stage.leave("msg_1", "ada@example.com"));
    let worst = report.impacts.iter().max_by_key(|one| one.severity.level);
    let worst = worst.unwrap();
    let id = worst.impact_id.to_string();
    let told = printed(&stage.offkey(&["explain", &id]));
    let texts = [
        &worst.severity.reasons[0],
        "row 6",
        "deepgram.member-removed",
    ];
    for text in texts
        .iter()
        .map(|text| text.split_whitespace().next().unwrap())
    {
        assert!(told.contains(text), "{text}: {told}");
    }
    for name in ["decided by", "takes along", "https://", "but"] {
        assert!(told.contains(name), "{name}: {told}");
    }
    let told = json(&stage.offkey(&["explain", id.get(..13).unwrap(), "--json"]));
    let told = told.first().unwrap();
    assert_eq!(told["impact"], serde_json::to_value(worst).unwrap());
    assert_eq!(told["rule"]["id"], worst.rule.rule.as_str());
    let said = |id: &str| {
        let output = stage.offkey(&["explain", id]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(said("zz").contains("no impact has the id"));
    assert!(said("").contains("several"));
}

#[test]
fn a_broken_file_is_named_with_its_line_and_rule_and_ends_with_two() {
    let broken = OURS
        .replace("https:", "http:")
        .replace("2026-11-20", "lately");
    let stage = with_ours(&broken);
    for arguments in [&["serve"][..], &["check-config"], &["catalogue", "list"]] {
        let output = stage.offkey(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {text}");
        assert_eq!(text.trim().lines().count(), 1, "{text}");
        assert!(
            text.contains("ours.toml line 2, rule ours.project-key"),
            "{text}"
        );
    }
    let output = stage.offkey(&["catalogue", "check"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        (output.status.code(), text.lines().count()),
        (Some(2), 2),
        "{text}"
    );
}

#[test]
fn a_file_is_checked_before_it_is_configured() {
    let stage = Stage::set();
    let file = stage.path("next.toml");
    let check = || stage.offkey(&["catalogue", "check", &file.display().to_string(), "--json"]);
    fs::write(&file, OURS).unwrap();
    assert_eq!(json(&check()).first().unwrap()["usable"], true);
    fs::write(&file, OURS.replace("fate", "fade")).unwrap();
    let output = check();
    assert_eq!(output.status.code(), Some(2));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["faults"][0]["rule"], "ours.project-key");
    fs::remove_file(&file).unwrap();
    assert_eq!(check().status.code(), Some(2));
}
