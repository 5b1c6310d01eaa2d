//! Who is who, as it is learnt and as somebody decides it, while the service runs.

use std::{fs, process::Output};

use offkey::{
    clock::{Clock as _, SystemClock},
    domain::{ChangeId, Fate, Impact, OutcomeResult, Report, Status, Topic},
};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};

use crate::harness::{Stage, seed, until};

/// Sends a change with whatever the person is known by, `days` ago.
fn tell(stage: &Stage, id: &str, change: &str, person: &Value, days: i64) -> ChangeId {
    let now = SystemClock.now();
    let at = now - jiff::SignedDuration::from_hours(24 * days);
    let data = json!({"change": change, "person": person, "effective_at": at});
    let body = json!({"type": "membership.changed", "timestamp": now, "data": data});
    let answer = stage.deliver(id, body.to_string().as_bytes());
    assert_eq!(answer.status, 202, "{answer:?}");
    ChangeId::derive("hr", id)
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until the report of a change is as `is_so` wants it.
fn until_report(stage: &Stage, change: ChangeId, is_so: impl Fn(&Report) -> bool) -> Report {
    until("the report to be made again", || {
        Some(stage.report(change)).filter(&is_so)
    })
}

fn holds(report: &Report) -> Vec<&Impact> {
    let all = report.impacts.iter();
    all.filter(|impact| impact.status != Status::Withdrawn)
        .collect()
}

/// Two keys at a provider without a connector, whose account has another address.
fn import(stage: &Stage) {
    let file = stage.path("keys.csv");
    let rows = "project,key,class,creator,creator_email\n\
                acme,g1,classic-pat,ada-gh,ada.private@example.net\n\
                acme,g2,classic-pat,ada-gh,ada.private@example.net\n";
    fs::write(&file, rows).unwrap();
    let file = file.display().to_string();
    let output = stage.offkey(&["keys", "import", &file, "--provider", "gh"]);
    assert!(output.status.success(), "{output:?}");
    until("the keys", || {
        let all = stage.read(|reader| reader.keys_of("gh").unwrap().len());
        (all == Some(2)).then_some(())
    });
}

fn stage_with_import() -> Stage {
    Stage::set_with("1h", |_| {
        "[[provider]]\nname = \"gh\"\nkind = \"import\"\ncatalogue = \"github\"\n".to_owned()
    })
}

#[test]
fn merging_two_makes_their_reports_again_and_undoing_it_takes_that_back() {
    let stage = stage_with_import();
    let _service = stage.start();
    import(&stage);
    let change = stage.leave("msg_1", "ada@example.com");
    let before = stage.report(change);
    assert!(before.impacts.iter().all(|one| one.key.provider != "gh"));

    let merge = ["people", "merge", "ada@example.com", "gh:ada-gh", "--json"];
    let dry = json(&stage.offkey(&[&merge[..], &["--dry-run"]].concat()));
    assert_eq!(dry["dry_run"], true);
    assert!(stage.records(&[Topic::Curation]).is_empty());

    let answer = json(&stage.offkey(&merge));
    let evidence = answer["decision"]["evidence"].to_string();
    assert!(
        evidence.contains("shown with ada.private@example.net"),
        "{evidence}"
    );
    let has_both = |report: &Report| holds(report).len() == before.impacts.len() + 2;
    let merged = until_report(&stage, change, has_both);
    assert_eq!(merged.outcome.revision, before.outcome.revision + 1);
    assert_eq!(merged.outcome.person.id, "ada@example.com");

    let again = stage.offkey(&merge);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(said(&again).contains("one person already"), "{again:?}");

    let id = answer["id"].as_str().unwrap();
    let beginning = id.split('-').next().unwrap();
    json(&stage.offkey(&["people", "undo", beginning, "--json"]));
    let parted = until_report(&stage, change, |report| {
        holds(report).len() == before.impacts.len()
    });
    assert_eq!(parted.outcome.digest, before.outcome.digest);
    let withdrawn: Vec<_> = parted
        .impacts
        .iter()
        .filter(|one| one.status == Status::Withdrawn)
        .map(|one| one.key.id.as_str())
        .collect();
    assert_eq!(withdrawn.len(), 2, "{withdrawn:?}");
}

#[test]
fn splitting_an_account_off_takes_its_keys_out_of_the_report() {
    let stage = stage_with_import();
    let _service = stage.start();
    import(&stage);
    let change = stage.leave("msg_1", "ada.private@example.net");
    let before = stage.report(change);
    assert_eq!(before.impacts.len(), 2);
    let answer = json(&stage.offkey(&["people", "split", "gh:ada-gh", "--json"]));
    let parted = until_report(&stage, change, |report| {
        report.outcome.result == OutcomeResult::UnknownPerson
    });
    assert!(holds(&parted).is_empty());
    let alone = stage.offkey(&["people", "split", "gh:ada-gh"]);
    assert!(said(&alone).contains("gh:ada-gh"), "{alone:?}");
    let id = answer["id"].as_str().unwrap();
    json(&stage.offkey(&["people", "undo", id, "--json"]));
    let whole = until_report(&stage, change, |report| holds(report).len() == 2);
    assert_eq!(whole.outcome.digest, before.outcome.digest);
}

#[test]
fn what_cannot_be_decided_ends_with_one_and_says_why() {
    let stage = Stage::set();
    let _service = stage.start();
    for (arguments, why) in [
        (
            &["merge", "ada@example.com", "who@example.com"][..],
            "nobody is known as who@example.com",
        ),
        (
            &["merge", "ada", "bo@example.com"],
            "neither an address nor an account",
        ),
        (&["show", "who@example.com"], "nobody is known"),
        (&["undo", "abcdef"], "0 decisions begin with"),
        (
            &[
                "service-account",
                "ada@example.com",
                "--behind",
                "ada@example.com",
            ],
            "name a human",
        ),
        (
            &[
                "service-account",
                "ada@example.com",
                "--behind",
                "who@example.com",
            ],
            "nobody is known",
        ),
    ] {
        let output = stage.offkey(&[&["people"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains(why), "{output:?}");
    }
    let usage = stage.offkey(&["people", "merge", "ada@example.com"]);
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
    assert!(stage.records(&[Topic::Curation]).is_empty());
}

#[test]
fn who_leaves_is_reported_with_the_service_accounts_behind_which_they_stand() {
    let stage = Stage::set();
    let _service = stage.start();
    let change = stage.leave("msg_1", "chidi@example.com");
    let before = stage.report(change);
    let robot = "voice-platform@example.com";
    let decide = [
        "people",
        "service-account",
        robot,
        "--behind",
        "chidi@example.com",
        "--json",
    ];
    let answer = json(&stage.offkey(&decide));
    let after = until_report(&stage, change, |report| {
        report.impacts.len() > before.impacts.len()
    });
    let is_robots = |impact: &&Impact| impact.rule.rule == "deepgram.service-account";
    let robots: Vec<_> = after.impacts.iter().filter(is_robots).collect();
    assert_eq!(robots.len(), after.impacts.len() - before.impacts.len());
    for impact in &robots {
        assert_eq!(impact.fate, Fate::Survives);
        let reasons = impact.severity.reasons.join("; ");
        assert!(reasons.contains("loses its human"), "{reasons}");
        assert!(
            reasons.contains("nobody else stands behind it"),
            "{reasons}"
        );
    }
    assert!(
        after.outcome.reason.contains("of service accounts"),
        "{}",
        after.outcome.reason
    );

    let listed = stage.offkey(&["people", "--json"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let row = listed.lines().find(|line| line.contains(robot)).unwrap();
    let row: Value = serde_json::from_str(row).unwrap();
    assert_eq!(
        row["service"]["behind"],
        json!(["chidi@example.com"]),
        "{row}"
    );

    json(&stage.offkey(&["people", "undo", answer["id"].as_str().unwrap(), "--json"]));
    let undone = until_report(&stage, change, |report| {
        holds(report).len() == before.impacts.len()
    });
    assert_eq!(undone.outcome.digest, before.outcome.digest);
}

#[test]
fn a_rename_that_is_told_by_address_keeps_the_history() {
    let stage = Stage::set();
    let _service = stage.start();
    let keys = stage
        .report(stage.leave("msg_1", "ada@example.com"))
        .impacts
        .len();
    let person = json!({"email": "ada.okonjo@example.com", "formerly": "ada@example.com"});
    tell(&stage, "msg_2", "renamed", &person, 2);
    let new = json!({"email": "ada.okonjo@example.com"});
    let change = tell(&stage, "msg_3", "removed", &new, 1);
    let report = until_report(&stage, change, |report| {
        report.outcome.result == OutcomeResult::Report
    });
    assert_eq!(report.impacts.len(), keys);
    assert_eq!(report.outcome.person.id, "ada@example.com");
    // The rename leads from the old address as well, of which nothing else is known.
    let other = json!({"email": "a.zed@example.com", "formerly": "zed@example.com"});
    tell(&stage, "msg_4", "renamed", &other, 2);
    let old = json!({"email": "zed@example.com"});
    let late = tell(&stage, "msg_5", "removed", &old, 1);
    // The two lie in different partitions, and nobody promises an order between those.
    until_report(&stage, late, |report| {
        report.outcome.person.id == "a.zed@example.com"
    });
    let preview = stage.offkey(&["preview", "--person", "ada.okonjo@example.com", "--json"]);
    let preview: Value = serde_json::from_slice(&preview.stdout).unwrap();
    assert_eq!(preview["outcome"]["person"]["id"], "ada@example.com");
}

#[test]
fn where_two_can_be_meant_both_are_told_and_their_keys_are_unknown() {
    let stage = Stage::set();
    let _service = stage.start();
    let ada = |account: &str| json!({"email": "ada@example.com", "account": account});
    tell(&stage, "msg_1", "joined", &ada("1"), 300);
    // The other one comes in although the first has not left.
    tell(&stage, "msg_2", "joined", &ada("2"), 2);
    let change = tell(
        &stage,
        "msg_3",
        "removed",
        &json!({"email": "ada@example.com"}),
        1,
    );
    let both = ["ada@example.com", "ada@example.com (hr:2)"];
    let report = until_report(&stage, change, |report| {
        report.outcome.result == OutcomeResult::Ambiguous
    });
    assert_eq!(report.outcome.candidates, both);
    assert!(report.outcome.reason.contains(&both.join(" or ")));
    assert!(!report.impacts.is_empty());
    for impact in &report.impacts {
        assert_eq!(impact.fate, Fate::Unknown, "{impact:?}");
        assert!(
            impact
                .severity
                .reasons
                .iter()
                .any(|one| one.contains("nobody knows whose"))
        );
    }
    let gate = stage.offkey(&["gate", "--person", "ada@example.com"]);
    assert_eq!(gate.status.code(), Some(3), "{gate:?}");

    // Somebody says that both are one: then it is known again.
    let merge = ["people", "merge", "ada@example.com", "hr:2", "--json"];
    let refused = stage.offkey(&merge);
    assert!(said(&refused).contains("several people"), "{refused:?}");
    json(&stage.offkey(&["people", "merge", "hr:1", "hr:2", "--json"]));
    let report = until_report(&stage, change, |report| {
        report.outcome.result == OutcomeResult::Report
    });
    assert!(
        report
            .impacts
            .iter()
            .any(|impact| impact.fate == Fate::Dies)
    );
}

#[test]
fn a_change_that_names_two_people_or_a_key_is_nobodys_guess() {
    let stage = Stage::set();
    let _service = stage.start();
    let first = json!({"email": "bo@example.com", "account": "7"});
    tell(&stage, "msg_1", "role_changed", &first, 20);
    let torn = json!({"email": "ada@example.com", "account": "7"});
    let change = tell(&stage, "msg_2", "removed", &torn, 1);
    let report = until_report(&stage, change, |report| {
        report.outcome.result == OutcomeResult::Ambiguous
    });
    assert_eq!(
        report.outcome.candidates,
        ["ada@example.com", "bo@example.com"]
    );
    assert!(
        report
            .impacts
            .iter()
            .all(|impact| impact.fate == Fate::Unknown)
    );
    // Both are judged alone as before.
    let bo = stage.report(stage.leave("msg_3", "bo@example.com"));
    assert_eq!(bo.outcome.person.id, "bo@example.com");
    let key = stage
        .read(|reader| reader.keys().unwrap()[0].id.clone())
        .unwrap();
    let change = tell(&stage, "msg_4", "removed", &json!({ "account": key }), 1);
    let report = stage.report(change);
    assert_eq!(report.outcome.result, OutcomeResult::UnknownPerson);
    assert_eq!(report.outcome.person.id, format!("hr:{key}"));
}

/// A change that is due for a person at a time, and whether the report must be undone.
const REJOINED: [(&str, i64, bool); 5] = [
    ("joined", 400, false),
    ("removed", 50, true),
    ("joined", 40, false),
    ("removed", 30, false),
    ("suspended", 20, false),
];

/// Tells one of [`REJOINED`]. A repeat has the same times: told to the day.
fn tell_one(stage: &Stage, person: &str, number: usize) {
    let (change, days, _) = REJOINED[number];
    let who = json!({"email": format!("{person}@example.com")});
    let day = SystemClock.now().strftime("%Y-%m-%dT00:00:00Z").to_string();
    let at: jiff::Timestamp = day.parse().unwrap();
    let at = at - jiff::SignedDuration::from_hours(24 * days);
    let data = json!({"change": change, "person": who, "effective_at": at});
    let body = json!({"type": "membership.changed", "timestamp": day, "data": data});
    let id = format!("{person}-{number}");
    let answer = stage.deliver(&id, body.to_string().as_bytes());
    assert_eq!(answer.status, 202, "{answer:?}");
}

#[test]
fn shuffled_changes_lead_to_the_same_end_and_no_loss_is_missed() {
    let seed = seed("shuffled");
    let mut random = StdRng::seed_from_u64(seed);
    let stage = Stage::set();
    let _service = stage.start();
    let people = ["ada", "bo", "chidi", "dana"];
    let mut all: Vec<(&str, usize)> = people
        .iter()
        .flat_map(|person| (0..REJOINED.len()).map(move |number| (*person, number)))
        .collect();
    all.extend(all.clone());
    all.shuffle(&mut random);
    for (person, number) in &all {
        tell_one(&stage, person, *number);
    }
    until("every report", || {
        let waiting = stage.read(|reader| reader.waiting().unwrap());
        let known = stage.read(|reader| {
            all.iter().all(|(person, number)| {
                let id = ChangeId::derive("hr", &format!("{person}-{number}"));
                reader.report(&id.to_string()).unwrap().is_some()
            })
        });
        (waiting == Some(0) && known == Some(true)).then_some(())
    });
    for person in people {
        let keys = stage
            .read(|reader| {
                reader
                    .history(&format!("{person}@example.com"))
                    .unwrap()
                    .keys
            })
            .unwrap();
        for (number, (change, _, is_undone)) in REJOINED.iter().enumerate() {
            let report = stage.report(ChangeId::derive("hr", &format!("{person}-{number}")));
            if *change == "joined" {
                continue;
            }
            let held = held_then(&keys, &report);
            assert_eq!(
                holds(&report).len(),
                held,
                "{person} {change}: {:?}",
                report.outcome
            );
            // Whether it was checked by then is another matter.
            let is_superseded = |one: &&Impact| one.status == Status::Superseded;
            let superseded = holds(&report).into_iter().filter(is_superseded).count();
            let expected = if *is_undone { held } else { 0 };
            assert_eq!(superseded, expected, "{person} {change}");
        }
        let preview = stage.offkey(&["people", "show", &format!("{person}@example.com")]);
        assert!(preview.status.success(), "{preview:?}");
    }
}

/// How many of the keys there were when the change took effect.
fn held_then(keys: &[offkey::domain::Key], report: &Report) -> usize {
    let at = report.outcome.effective_at;
    let made = |key: &&offkey::domain::Key| key.history[0].valid_from.is_none_or(|from| from <= at);
    keys.iter().filter(made).count()
}
