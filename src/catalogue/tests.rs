use std::{collections::BTreeSet, fs, path::PathBuf};

use rstest::rstest;

use super::{Catalogue, CatalogueError, Fault, Returns, Situation};
use crate::domain::{Fate, impact::Symptom};

const MINE: &str = r#"
version = "2026-11-26"
[[provider]]
kind = "acme"
name = "Acme"
[[provider.class]]
name = "key"
what = "Key of a user"
symptom = { status = 403, code = "NO", message = "no" }
[[rule]]
provider = "acme"
class = "key"
on = ["member_removed", "suspended"]
fate = "dies"
action = "Make another."
says = "It ends."
url = "https://acme.example/keys"
checked = "2026-11-20"
"#;

/// The files of a user, who lives in the folder for as long as the test does.
fn files(texts: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(number, text): (usize, &&str)| {
        let path = folder.path().join(format!("{number}.toml"));
        fs::write(&path, text).unwrap();
        path
    };
    let paths = texts.iter().enumerate().map(write).collect();
    (folder, paths)
}

fn load(texts: &[&str]) -> Result<Catalogue, CatalogueError> {
    let (_folder, paths) = files(texts);
    Catalogue::load(&paths)
}

/// The first fault of a file that cannot be used.
fn fault(text: &str) -> Fault {
    match load(&[text]) {
        Err(CatalogueError::Broken { first, .. }) => first,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the file was taken in"),
    }
}

#[test]
fn nothing_is_wrong_in_the_files_that_come_with_this_version() {
    assert_eq!(Catalogue::check(), []);
    let catalogue = Catalogue::built_in().unwrap();
    assert!(catalogue.version.parse::<jiff::civil::Date>().is_ok());
}

#[test]
fn every_class_is_answered_in_every_situation() {
    let catalogue = Catalogue::built_in().unwrap();
    for provider in catalogue.providers() {
        for class in provider.classes() {
            for on in Situation::ANSWERED {
                let place = format!("{} {} {on}", provider.kind, class.name);
                assert!(class.rule(on).is_some(), "{place}");
            }
        }
    }
}

#[test]
fn every_rule_is_found_by_its_id_and_stands_alone() {
    let catalogue = Catalogue::built_in().unwrap();
    let mut ids = BTreeSet::new();
    for rule in catalogue.rules() {
        assert!(ids.insert(&rule.id), "{}", rule.id);
        assert_eq!(catalogue.rule_named(&rule.id), Some(rule));
        assert!(rule.replaces.is_empty(), "{}", rule.id);
    }
}

#[test]
fn an_unknown_fate_says_what_was_looked_at() {
    let catalogue = Catalogue::built_in().unwrap();
    for rule in catalogue.rules().filter(|rule| rule.fate == Fate::Unknown) {
        assert!(rule.says.len() > 40, "{}: {}", rule.id, rule.says);
    }
}

#[rstest]
#[case("deepgram", "project-key", Situation::MemberRemoved, Fate::Dies)]
#[case("deepgram", "project-key", Situation::Suspended, Fate::Survives)]
#[case("github", "fine-grained-pat", Situation::Suspended, Fate::Dormant)]
#[case("github", "deploy-key", Situation::MemberRemoved, Fate::Survives)]
#[case(
    "aws",
    "service-specific-credential",
    Situation::AccountDeleted,
    Fate::Blocks
)]
#[case("datadog", "application-key", Situation::MemberRemoved, Fate::Dies)]
#[case("datadog", "api-key", Situation::MemberRemoved, Fate::Survives)]
#[case("anthropic", "workspace-key", Situation::MemberRemoved, Fate::Survives)]
#[case("anthropic", "member-key", Situation::ProjectLost, Fate::Dies)]
#[case("okta", "api-token", Situation::RoleLowered, Fate::Shrinks)]
#[case("stripe", "secret-key", Situation::MemberRemoved, Fate::Unknown)]
fn what_the_references_say(
    #[case] kind: &str,
    #[case] class: &str,
    #[case] on: Situation,
    #[case] fate: Fate,
) {
    let catalogue = Catalogue::built_in().unwrap();
    assert_eq!(
        catalogue.rule(kind, class, on).map(|rule| rule.fate),
        Some(fate)
    );
}

#[test]
fn what_goes_along_and_what_contradicts_is_told() {
    let catalogue = Catalogue::built_in().unwrap();
    let pat = catalogue
        .rule_named("github.classic-pat.member-removed")
        .unwrap();
    let keys = pat
        .takes_along
        .iter()
        .find(|along| along.what.contains("deploy keys"));
    assert_eq!(keys.map(|along| along.fate), Some(Fate::Dies));
    let fastly = catalogue
        .rule_named("fastly.user-token.member-removed")
        .unwrap();
    assert_eq!(fastly.conflicts.len(), 1);
}

#[rstest]
#[case("octopus", "api-key", Returns::ComesBack)]
#[case("okta", "api-token", Returns::GoneForGood)]
#[case("github", "deploy-key", Returns::NeverStopped)]
#[case("deepgram", "project-key", Returns::Unknown)]
fn who_comes_back_gets_or_does_not_get_the_keys_back(
    #[case] kind: &str,
    #[case] class: &str,
    #[case] returns: Returns,
) {
    let catalogue = Catalogue::built_in().unwrap();
    let rule = catalogue.rule(kind, class, Situation::Reinstated).unwrap();
    assert_eq!(rule.returns, Some(returns));
    assert_eq!(rule.fate, returns.fate());
}

#[test]
fn an_ended_key_shows_what_its_class_says_and_a_living_one_nothing() {
    let catalogue = Catalogue::built_in().unwrap();
    let rule = |on| catalogue.rule("deepgram", "project-key", on).unwrap();
    let code = |on| rule(on).symptom.as_ref().map(|seen| seen.code.as_str());
    assert_eq!(code(Situation::MemberRemoved), Some("INVALID_AUTH"));
    assert_eq!(
        code(Situation::RoleLowered),
        Some("INSUFFICIENT_PERMISSIONS")
    );
    assert_eq!(code(Situation::Suspended), None);
}

#[test]
fn no_rule_is_made_up_for_a_class_that_nobody_lists() {
    let catalogue = Catalogue::built_in().unwrap();
    let rule = |kind, class| catalogue.rule(kind, class, Situation::MemberRemoved);
    assert!(rule("deepgram", "other").is_none() && rule("other", "project-key").is_none());
}

#[test]
fn a_users_file_adds_providers_with_a_rule_for_each_situation_it_names() {
    let catalogue = load(&[MINE]).unwrap();
    let rule = catalogue.rule("acme", "key", Situation::Suspended).unwrap();
    assert_eq!(
        (rule.id.as_str(), rule.fate),
        ("acme.key.suspended", Fate::Dies)
    );
    assert!(rule.file.ends_with("0.toml") && rule.replaces.is_empty());
    let seen = Symptom {
        status: 403,
        code: "NO".to_owned(),
        message: "no".to_owned(),
    };
    assert_eq!(rule.symptom, Some(seen.into()));
    assert!(
        catalogue
            .rule("acme", "key", Situation::MemberLeft)
            .is_none()
    );
    let built_in = Catalogue::built_in().unwrap();
    assert_eq!(catalogue.rules().count(), built_in.rules().count() + 2);
    assert_eq!(catalogue.version, built_in.version);
}

const OTHERWISE: &str = r#"
[[rule]]
id = "ours.deploy-key"
provider = "github"
class = "deploy-key"
on = "suspended"
fate = "unknown"
action = "Look."
says = "We saw both."
url = "https://wiki.example/deploy-keys"
checked = "2026-11-20"
"#;

#[test]
fn a_users_rule_stands_in_place_of_the_one_for_the_same_situation() {
    let catalogue = load(&[OTHERWISE]).unwrap();
    let rule = catalogue
        .rule("github", "deploy-key", Situation::Suspended)
        .unwrap();
    assert_eq!(
        (rule.id.as_str(), rule.fate),
        ("ours.deploy-key", Fate::Unknown)
    );
    let old = rule.replaces.first().unwrap();
    assert_eq!(
        (old.id.as_str(), &*old.file),
        ("github.deploy-key.suspended", "github.toml")
    );
    assert!(
        catalogue
            .rule_named("github.deploy-key.suspended")
            .is_none()
    );
    let other = catalogue
        .rule("github", "deploy-key", Situation::MemberLeft)
        .unwrap();
    assert_eq!(&*other.file, "github.toml");
}

#[test]
fn a_users_rule_stands_in_place_of_the_one_of_the_same_name() {
    let moved = OTHERWISE.replace("ours.deploy-key", "github.deploy-key.member-left");
    let catalogue = load(&[&moved]).unwrap();
    let rule = catalogue
        .rule("github", "deploy-key", Situation::Suspended)
        .unwrap();
    let replaced: Vec<&str> = rule.replaces.iter().map(|old| old.id.as_str()).collect();
    assert_eq!(
        replaced,
        [
            "github.deploy-key.member-left",
            "github.deploy-key.suspended"
        ]
    );
    assert!(
        catalogue
            .rule("github", "deploy-key", Situation::MemberLeft)
            .is_none()
    );
}

#[test]
fn a_later_file_counts_more() {
    let later = MINE.replace("fate = \"dies\"", "fate = \"dormant\"");
    let catalogue = load(&[MINE, &later]).unwrap();
    let rule = catalogue.rule("acme", "key", Situation::Suspended).unwrap();
    assert_eq!(rule.fate, Fate::Dormant);
    assert!(rule.file.ends_with("1.toml"));
    assert!(rule.replaces.first().unwrap().file.ends_with("0.toml"));
}

#[rstest]
#[case("fate = \"dies\"", "fate = \"perishes\"", "perishes")]
#[case("fate = \"dies\"", "fat = \"dies\"", "fat")]
#[case("\"suspended\"]", "\"asleep\"]", "asleep")]
#[case("on = [\"member_removed\", \"suspended\"]", "on = []", "no situation")]
#[case("url = \"https://acme.example/keys\"\n", "", "url")]
#[case(
    "https://acme.example/keys",
    "http://acme.example/keys",
    "https address"
)]
#[case("https://acme.example/keys", "the wiki", "https address")]
#[case("2026-11-20", "20.11.2026", "YYYY-MM-DD")]
#[case("2026-11-20", "2026-02-30", "YYYY-MM-DD")]
#[case("2026-11-20", "20261120", "YYYY-MM-DD")]
#[case("says = \"It ends.\"", "says = \" \"", "says is empty")]
#[case("action = \"Make another.\"", "action = \"\"", "action is empty")]
#[case("class = \"key\"", "class = \"kee\"", "no class \"kee\"")]
#[case("provider = \"acme\"", "provider = \"acne\"", "no provider \"acne\"")]
#[case("checked", "returns = \"unknown\"\nchecked", "reinstated only")]
#[case("\"suspended\"]", "\"reinstated\"]", "stands alone")]
#[case(
    "[\"member_removed\", \"suspended\"]",
    "\"reinstated\"",
    "says what returns"
)]
#[case(
    "\"suspended\"]",
    "\"member_removed\"]",
    "another rule for member_removed"
)]
#[case(
    "fate = \"dies\"",
    "fate = \"survives\"\nsymptom = { status = 401, code = \"\", message = \"\" }",
    "no symptom"
)]
#[case(
    "checked",
    "conflicts = [{ says = \"no\", url = \"nowhere\", checked = \"2026-11-20\" }]\nchecked",
    "a conflict is not cited"
)]
#[case(
    "checked",
    "takes_along = [{ what = \"\", fate = \"dies\", says = \"x\", url = \"https://a.example\", checked = \"2026-11-20\" }]\nchecked",
    "goes along"
)]
fn a_broken_rule_is_named_with_its_file_and_line(
    #[case] right: &str,
    #[case] wrong: &str,
    #[case] said: &str,
) {
    // Only the rule: the class above it is named the same way.
    let (head, rule) = MINE.split_once("[[rule]]").unwrap();
    let text = format!("{head}[[rule]]{}", rule.replacen(right, wrong, 1));
    assert_ne!(text, MINE);
    let fault = fault(&text);
    assert!(fault.why.contains(said), "{fault}");
    assert!(fault.file.ends_with("0.toml"), "{fault}");
    let rule = fault.rule.as_deref().unwrap_or_default();
    assert!(rule.starts_with("ac") && rule.contains(".k"), "{fault}");
    assert!((10..=20).contains(&fault.line), "{fault}");
}

#[rstest]
#[case("kind = \"acme\"", "kind = \"Ac/me\"", "is no provider", 3)]
#[case("name = \"key\"", "name = \"a key\"", "is no class", 6)]
#[case("what = \"Key of a user\"", "what = \"\"", "what it is", 6)]
#[case("status = 403", "status = 40", "none of HTTP", 6)]
#[case("symptom = {", "no_symptom = \"\"\nno = {", "unknown field", 10)]
#[case("what =", "no_symptom = \"nobody says\"\nwhat =", "both a symptom", 6)]
#[case(
    "name = \"Acme\"",
    "name = \"Acme\"\n[[provider.role]]\nname = \"boss\"\nscopes = []",
    "no scopes",
    3
)]
#[case("version = \"2026-11-26\"", "version = \"today\"", "no day", 1)]
#[case("kind = \"acme\"", "kind = acme", "", 4)]
fn a_broken_provider_is_named_with_its_line(
    #[case] right: &str,
    #[case] wrong: &str,
    #[case] said: &str,
    #[case] line: usize,
) {
    let fault = fault(&MINE.replacen(right, wrong, 1));
    assert!(fault.why.contains(said), "{fault}");
    assert_eq!((fault.line, fault.rule.as_deref()), (line, None), "{fault}");
}

#[test]
fn what_is_broken_behind_a_rule_is_not_blamed_on_it() {
    let fault = fault(&format!("{MINE}[[provider]]\nkind = \"b\"\nnam = \"B\"\n"));
    assert_eq!((fault.line, fault.rule), (21, None));
}

#[test]
fn where_calls_fail_somebody_has_to_say_how_or_that_nobody_knows() {
    let silent = MINE.replace(
        "symptom = { status = 403, code = \"NO\", message = \"no\" }\n",
        "",
    );
    assert!(fault(&silent).why.contains("no_symptom"));
    let honest = silent.replace("what =", "no_symptom = \"nobody says\"\nwhat =");
    let catalogue = load(&[&honest]).unwrap();
    assert_eq!(
        catalogue
            .rule("acme", "key", Situation::Suspended)
            .unwrap()
            .symptom,
        None
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = Catalogue::load(&[PathBuf::from("nowhere.toml")])
        .unwrap_err()
        .to_string();
    assert!(said.contains("nowhere.toml"), "{said}");
}

#[test]
fn several_faults_are_counted_and_listed() {
    let text = MINE
        .replace("https:", "http:")
        .replace("2026-11-20", "yesterday");
    let (_folder, paths) = files(&[&text]);
    let said = Catalogue::load(&paths).unwrap_err().to_string();
    assert!(said.contains("1 more"), "{said}");
    let catalogue = Catalogue::built_in().unwrap();
    assert_eq!(catalogue.check_file(&paths[0]).unwrap().len(), 2);
}
