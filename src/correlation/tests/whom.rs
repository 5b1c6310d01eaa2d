//! Whom a report is about, whose a key is and who takes it over.

use super::{
    ChangeKind, LEFT, MembershipChange, PersonHistory, account, at, change, history, key, member,
    policy, report, successor_beside,
};
use crate::{
    catalogue::Catalogue,
    correlation::{
        Inputs, correlate,
        identity::PeopleRules,
        ownership::{Departure, ServiceAccount},
        ties::{Behind, service_account},
    },
    domain::{
        Fate, Outcome, OutcomeResult, Project, Propagation, Severity, Status,
        impact::{Environment, Successor},
        preview::{Preview, PreviewedKey},
    },
};

fn removed() -> MembershipChange {
    change(ChangeKind::Removed, "hr", LEFT)
}

fn outcome(history: &PersonHistory) -> Outcome {
    report(&removed(), history, Propagation::Manual {}).outcome
}

fn behind() -> Behind {
    Behind {
        service: "bot".to_owned(),
        others: Vec::new(),
    }
}

fn of(provider: &str, id: &str) -> (String, String) {
    (provider.to_owned(), id.to_owned())
}

#[test]
fn the_header_counts_what_stands_and_names_what_is_not_open() {
    let keys = || {
        vec![
            key("k1", "prod", 9),
            key("k2", "prod", 9),
            key("k3", "dev", 0),
        ]
    };
    let mut known = history(keys());
    let open = outcome(&known);
    assert_eq!(open.fates, [(Fate::Dies, 3)].into());
    let severities = [(Severity::Critical, 2), (Severity::Medium, 1)];
    assert_eq!(open.severities, severities.into());
    assert_eq!(open.statuses, [].into());
    known.changes = vec![change(ChangeKind::Reinstated, "hr", "2026-03-02T00:00:00Z")];
    let undone = outcome(&known);
    assert_eq!((undone.fates, undone.severities), ([].into(), [].into()));
    assert_eq!(undone.statuses, [(Status::Superseded, 3)].into());
}

#[test]
fn the_header_names_who_can_be_meant_and_what_was_foreseen() {
    let mut known = history(vec![key("k1", "prod", 9)]);
    let both = ["kim@example.com".to_owned(), "kit@example.com".to_owned()];
    known.candidates = both.to_vec();
    let first = report(&removed(), &known, Propagation::Manual {});
    assert_eq!(first.outcome.candidates, both);
    assert_eq!(first.outcome.previewed, None);
    known.previews = vec![Preview {
        person: "kim@example.com".parse().unwrap(),
        change: ChangeKind::Removed,
        scope: first.outcome.scope,
        effective_at: at(LEFT),
        made_at: at("2026-02-20T00:00:00Z"),
        result: OutcomeResult::Report,
        digest: "d".to_owned(),
        keys: first.impacts.iter().map(PreviewedKey::of).collect(),
    }];
    let previewed = outcome(&known).previewed.unwrap();
    assert_eq!((previewed.digest.as_str(), previewed.same), ("d", true));
}

#[test]
fn the_reason_counts_the_keys_by_whose_they_are() {
    let mut known = history(vec![key("k1", "prod", 9), key("k2", "prod", 9)]);
    assert_eq!(outcome(&known).reason, "2 of the person's keys are hit");
    known.keys[1].history[0].creator = account("bot");
    known.behind.insert(of("dg", "bot"), behind());
    let said = "1 of the person's keys are hit, and 1 of service accounts behind which they stand";
    assert_eq!(outcome(&known).reason, said);
    known.behind.clear();
    known.accounts.push(of("dg", "bot"));
    known
        .doubtful
        .insert(of("dg", "bot"), vec!["kim".to_owned(), "kit".to_owned()]);
    let said = "1 of the person's keys are hit, and 1 that can be somebody else's";
    assert_eq!(outcome(&known).reason, said);
}

#[test]
fn a_person_answers_for_their_accounts_and_for_the_robots_behind_which_they_stand() {
    let mut known = history(Vec::new());
    known.behind.insert(of("dg", "bot"), behind());
    known.robots.insert(of("dg", "cron"));
    assert!(known.answers_for("dg", "kim") && known.answers_for("dg", "bot"));
    assert!(!known.answers_for("dg", "lee") && !known.answers_for("gh", "bot"));
    assert!(known.is_robot("dg", "cron"));
    assert!(!known.is_robot("gh", "cron") && !known.is_robot("dg", "kim"));
}

#[test]
fn a_key_is_told_with_the_name_of_its_own_project() {
    let mut known = history(vec![key("k1", "other", 9)]);
    let project = |provider: &str, id: &str, name: &str| Project {
        provider: provider.to_owned(),
        id: id.to_owned(),
        name: name.to_owned(),
        gone_at: None,
    };
    known.projects = vec![
        project("gh", "p1", "test"),
        project("dg", "p2", "test"),
        project("dg", "p1", "Voice prod"),
    ];
    let report = report(&removed(), &known, Propagation::Manual {});
    let key = &report.impacts[0].key;
    assert_eq!(key.project_name.as_deref(), Some("Voice prod"));
    assert_eq!(key.environment, Environment::Production);
}

#[test]
fn why_nobody_takes_a_key_over_is_said() {
    let nobody = |members| {
        let mut known = history(vec![key("k1", "prod", 9)]);
        known.members = members;
        let report = report(&removed(), &known, Propagation::Manual {});
        match &*report.impacts[0].successor {
            Successor::Found(contact) => panic!("{contact:?}"),
            Successor::None { none_because } => none_because.clone(),
        }
    };
    assert_eq!(
        nobody(vec![member("kim", "member")]),
        "nobody else is known in the project"
    );
    assert_eq!(
        nobody(vec![member("lee", "member")]),
        "the others in the project are members without keys:write for all"
    );
}

#[test]
fn who_leaves_twice_is_away_since_the_first_time() {
    let lee = |kind, when| change(kind, "idp", when);
    let left = [
        lee(ChangeKind::Suspended, "2026-03-01T13:00:00Z"),
        lee(ChangeKind::Removed, "2026-03-01T12:00:00Z"),
        lee(ChangeKind::Removed, "2026-03-01T14:00:00Z"),
    ];
    let departures = Departure::among(&left);
    assert_eq!(departures.len(), 1);
    assert_eq!(departures[0].since, at("2026-03-01T12:00:00Z"));
    assert!(successor_beside(&left, Vec::new()).is_err());
}

#[test]
fn no_robot_takes_a_key_over() {
    let found = |robots: &[(String, String)], pattern: &str| {
        let mut known = history(vec![key("k1", "prod", 9)]);
        known.robots.extend(robots.iter().cloned());
        let mut policy = policy(Propagation::Manual {});
        let patterns = &mut policy.identities.rules.service_accounts;
        patterns.push(pattern.to_owned());
        let report = correlate(&Inputs {
            change: &removed(),
            history: &known,
            catalogue: &Catalogue::built_in().unwrap(),
            policy: &policy,
        });
        matches!(*report.impacts[0].successor, Successor::Found(_))
    };
    assert!(found(&[], "bot-*"));
    assert!(found(&[of("dg", "mo"), of("gh", "lee")], "bot-*"));
    assert!(!found(&[of("dg", "lee")], "bot-*"), "said by hand");
    assert!(!found(&[], "dg:le*"), "by its account");
    assert!(!found(&[], "lee@*"), "by its address");
}

#[test]
fn who_is_no_human_is_said_by_hand_or_by_the_operators_pattern() {
    let rules = |pattern: &str| PeopleRules {
        service_accounts: vec![pattern.to_owned()],
        ..PeopleRules::default()
    };
    let mut known = history(Vec::new());
    assert_eq!(service_account(&known, &rules("bot-*")), None);
    for (pattern, name) in [("dg:k*", "dg:kim"), ("kim@*", "kim@example.com")] {
        let because = format!("the configuration says so of {pattern}");
        let found = service_account(&known, &rules(pattern)).unwrap();
        assert_eq!(
            (found.because, found.behind),
            (because, Vec::new()),
            "{name}"
        );
    }
    let by_hand = ServiceAccount {
        because: "said by hand".to_owned(),
        behind: vec!["lee@example.com".parse().unwrap()],
    };
    known.service = Some(by_hand.clone());
    assert_eq!(service_account(&known, &rules("dg:k*")), Some(by_hand));
}
