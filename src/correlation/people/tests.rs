use jiff::Timestamp;
use proptest::prelude::{Just, Strategy, prop_assert_eq, proptest};
use rstest::rstest;

use super::{Facts, Fold, Holder, Sighting, Subject, Whose, fold};
use crate::{
    correlation::identity::Identities,
    domain::{ChangeKind, Email, Scope, decision::Decided},
};

use ChangeKind::{
    Joined, LeaveCancelled, LeaveScheduled, Reinstated, Removed, Renamed, RoleChanged, Suspended,
};

fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@example.com")).unwrap()
}

fn day(day: i8) -> Timestamp {
    format!("2026-01-{day:02}T00:00:00Z").parse().unwrap()
}

/// A change of a day: `SYSTEM[:ACCOUNT]`, the name of the address if any.
fn change(on: i8, who: &str, name: &str, kind: ChangeKind) -> Sighting {
    let (system, account) = match who.split_once(':') {
        Some((system, id)) => (system, Some(id.to_owned())),
        None => (who, None),
    };
    Sighting {
        subject: Subject::Change(format!("{on}/{who}/{name}/{kind}")),
        system: system.to_owned(),
        account,
        email: (!name.is_empty()).then(|| email(name)),
        formerly: None,
        at: day(on),
        published_at: day(on),
        since_before: false,
        change: Some((kind, Scope::Organisation {})),
    }
}

fn formerly(one: Sighting, name: &str) -> Sighting {
    Sighting {
        formerly: Some(email(name)),
        ..one
    }
}

fn shown(on: i8, account: &str, name: &str) -> Sighting {
    Sighting {
        subject: Subject::Inventory,
        change: None,
        ..change(on, account, name, Joined)
    }
}

fn previewed(on: i8, name: &str) -> Sighting {
    Sighting {
        subject: Subject::Preview("p".to_owned()),
        change: None,
        ..change(on, "", name, Joined)
    }
}

fn within(one: Sighting, scope: &str) -> Sighting {
    let kind = one.kind().unwrap();
    Sighting {
        change: Some((kind, scope.parse().unwrap())),
        ..one
    }
}

fn folded(sightings: &[Sighting], decisions: &[Decided]) -> Fold {
    fold(&Facts {
        identities: &Identities::default(),
        sightings: sightings.to_vec(),
        decisions: decisions.to_vec(),
    })
}

/// Whose the last of `sightings` is, without the domain.
fn last(sightings: &[Sighting]) -> String {
    let fold = folded(sightings, &[]);
    whose(&fold, sightings.last().unwrap())
}

fn whose(fold: &Fold, one: &Sighting) -> String {
    let of_account = || {
        let name = (one.system.clone(), one.account.clone()?);
        let mut all = fold.accounts.iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, whose)| whose)
    };
    let mut all = fold.subjects.iter();
    let found = all.find(|(subject, _)| *subject == one.subject);
    let found: Option<&Whose> = found.map(|(_, whose)| whose).or_else(of_account);
    found.unwrap().name().replace("@example.com", "")
}

#[rstest]
#[case::renamed_at_its_source(
    &[change(1, "okta:1", "ada", Joined), change(5, "okta:1", "ada.l", Renamed),
      change(9, "hr", "ada.l", Removed)], "ada")]
#[case::before_the_rename(
    &[change(1, "okta:1", "ada", Joined), change(5, "okta:1", "ada.l", Renamed),
      change(3, "hr", "ada", Removed)], "ada")]
#[case::renamed_by_address_alone(
    &[change(1, "hr", "ada", Joined), formerly(change(5, "hr", "ada.l", Renamed), "ada"),
      shown(6, "dg:m1", "ada.l")], "ada")]
#[case::renamed_without_an_earlier_word(
    &[shown(1, "dg:m1", "ada"), formerly(change(5, "okta:1", "ada.l", Renamed), "ada"),
      change(9, "okta:1", "", Removed)], "ada")]
#[case::another_address_that_nobody_had(
    &[change(1, "okta:1", "ada", Joined), change(5, "okta:1", "ada.l", Removed)], "ada")]
#[case::another_address_that_somebody_had(
    &[change(1, "okta:1", "ada", Joined), change(1, "okta:2", "bo", Joined),
      change(5, "okta:1", "bo", Removed)], "ada or bo")]
#[case::another_address_that_somebody_had_elsewhere(
    &[change(1, "hr:7", "bo", Joined), shown(1, "dg:m1", "ada"),
      change(5, "hr:7", "ada", Removed)], "ada or bo")]
#[case::another_address_that_nobody_had_beside_a_colleague(
    &[change(1, "okta:1", "ada", Joined), change(1, "okta:9", "zoe", Joined),
      change(5, "okta:1", "ada.l", Removed)], "ada")]
#[case::another_address_that_a_colleague_is_seen_with_later(
    &[change(1, "okta:1", "ada", Joined), change(8, "okta:2", "bo", RoleChanged),
      change(5, "okta:1", "bo", RoleChanged)], "ada or bo")]
#[case::a_provider_shows_the_address_of_somebody_else(
    &[change(1, "hr:7", "bo", Joined), shown(1, "dg:m1", "ada"), shown(5, "dg:m1", "bo")],
    "ada or bo")]
#[case::account_alone(&[change(5, "okta:1", "", Removed)], "okta:1")]
fn accounts_keep_their_person_and_addresses_lead_to_them(
    #[case] sightings: &[Sighting],
    #[case] person: &str,
) {
    assert_eq!(last(sightings), person);
}

const ONE: &str = "ada (okta:2)";
const BOTH: &str = "ada or ada (okta:2)";

/// Ada left on the 10th; on the 20th somebody came in with the address and another account.
fn used_again() -> Vec<Sighting> {
    vec![
        change(1, "okta:1", "ada", Joined),
        change(10, "okta:1", "ada", Removed),
        change(20, "okta:2", "ada", Joined),
    ]
}

#[rstest]
#[case::former(change(15, "hr", "ada", Removed), "ada")]
#[case::account_of_before(shown(5, "dg:m1", "ada"), "ada")]
#[case::next(change(25, "hr", "ada", Removed), "ada (okta:2)")]
#[case::next_comes_in_before(change(18, "hr", "ada", Joined), "ada (okta:2)")]
#[case::account_of_after(shown(25, "dg:m2", "ada"), "ada (okta:2)")]
#[case::account_as_it_was_left(shown(10, "dg:m3", "ada"), "ada or ada (okta:2)")]
#[case::next_comes_in_as_it_was_left(change(10, "hr", "ada", Joined), "ada (okta:2)")]
#[case::preview_while_nobody_had_it(previewed(15, "ada"), "ada")]
#[case::account_while_nobody_had_it(shown(15, "dg:m3", "ada"), "ada or ada (okta:2)")]
#[case::account_of_who_knows_when(
    Sighting { since_before: true, ..shown(25, "dg:m3", "ada") }, "ada or ada (okta:2)")]
#[case::former_account(change(28, "okta:1", "", Removed), "ada")]
#[case::account_of_after_that_is_seen_to_go(
    within(change(25, "dg:m3", "ada", Removed), "project:dg/p1"),
    "ada (okta:2)"
)]
#[case::next_account(change(28, "okta:2", "", Removed), "ada (okta:2)")]
fn an_address_that_is_used_again_leads_to_each_in_their_time(
    #[case] one: Sighting,
    #[case] person: &str,
) {
    let mut all = used_again();
    all.push(one);
    assert_eq!(last(&all), person);
}

#[rstest]
#[case::left_by_address(change(10, "hr", "ada", Removed), "ada (okta:2)")]
#[case::left_as_announced(change(10, "hr", "ada", LeaveScheduled), "ada (okta:2)")]
#[case::renamed_away(change(10, "okta:1", "ada.l", Renamed), "ada (okta:2)")]
#[case::renamed_away_by_address(
    formerly(change(10, "hr", "ada.l", Renamed), "ada"),
    "ada (okta:2)"
)]
#[case::only_out_of_a_project(
    within(change(10, "okta:1", "ada", Removed), "project:dg/p1"),
    "ada or ada (okta:2)"
)]
#[case::only_suspended(change(10, "okta:1", "ada", Suspended), "ada or ada (okta:2)")]
#[case::came_back(change(19, "okta:1", "ada", Reinstated), "ada or ada (okta:2)")]
fn who_left_has_the_address_no_more(#[case] left: Sighting, #[case] person: &str) {
    let came_back = left.kind() == Some(Reinstated);
    let mut all = vec![change(1, "okta:1", "ada", Joined), left];
    if came_back {
        all.push(change(10, "okta:1", "ada", Removed));
    }
    all.push(change(20, "okta:2", "ada", Joined));
    all.push(change(25, "hr", "ada", Removed));
    assert_eq!(last(&all), person);
}

#[rstest]
#[case::left_by_an_account_elsewhere(&[change(10, "hr:7", "ada", Removed)], ONE)]
#[case::left_by_address_at_its_source(&[change(10, "okta", "ada", Removed)], ONE)]
#[case::somebody_of_another_address_left(&[change(10, "hr", "bo", Removed)], BOTH)]
#[case::another_account_of_the_source_left(&[change(10, "okta:3", "ada", Removed)], "ada (okta:1) or ada (okta:2)")]
#[case::renamed_back(
    &[change(5, "okta:1", "ada.l", Renamed), change(7, "okta:1", "ada", Renamed)], BOTH)]
#[case::renamed_by_somebody_else_since(
    &[change(10, "okta:1", "ada", Removed), formerly(change(15, "hr", "ada", Renamed), "bo")],
    ONE)]
#[case::renamed_without_an_address_since(
    &[change(10, "okta:1", "ada", Removed), change(15, "okta:1", "", Renamed)], ONE)]
#[case::let_in_elsewhere_since(
    &[change(10, "okta:1", "ada", Removed), change(15, "hr", "ada", Joined)], ONE)]
fn who_had_the_address_has_it_until_their_own_source_says_otherwise(
    #[case] between: &[Sighting],
    #[case] expected: &str,
) {
    let mut all = vec![change(1, "okta:1", "ada", Joined)];
    all.extend_from_slice(between);
    all.push(change(20, "okta:2", "ada", Joined));
    all.push(change(25, "hr", "ada", Removed));
    assert_eq!(last(&all), expected);
}

#[test]
fn who_is_seen_with_an_address_and_then_with_another_had_it_before() {
    let mut all = vec![
        change(1, "okta:2", "ada", Joined),
        change(2, "okta:1", "ada", RoleChanged),
        change(5, "okta:1", "bo", RoleChanged),
    ];
    for (on, person) in [(3, "ada or ada (okta:2)"), (6, "ada (okta:2)")] {
        all.push(change(on, "hr", "ada", Removed));
        assert_eq!(last(&all), person, "day {on}");
        all.pop();
    }
}

#[test]
fn who_is_seen_with_an_address_in_passing_has_it_where_nobody_else_of_the_source_does() {
    let mut all = vec![
        change(1, "okta:1", "bo", Joined),
        change(5, "okta:1", "ada", RoleChanged),
        change(8, "okta:2", "ada", Joined),
    ];
    for (on, person) in [(6, "bo"), (9, ONE)] {
        all.push(change(on, "hr", "ada", Removed));
        assert_eq!(last(&all), person, "day {on}");
        all.pop();
    }
    all.push(change(2, "okta:3", "ada", Joined));
    all.push(change(9, "hr", "ada", Removed));
    assert_eq!(last(&all), BOTH);
}

#[rstest]
#[case::by_its_source(change(5, "okta:1", "ada", LeaveCancelled), BOTH)]
#[case::by_somebody_else(change(5, "hr", "ada", LeaveCancelled), ONE)]
#[case::of_another_account(change(5, "okta:3", "ada", LeaveCancelled), BOTH)]
#[case::of_another_address(change(5, "okta:1", "bo", LeaveCancelled), ONE)]
#[case::of_an_earlier_word(change(1, "okta:1", "ada", LeaveCancelled), ONE)]
#[case::in_the_same_moment(change(2, "okta:1", "ada", LeaveCancelled), ONE)]
#[case::which_is_no_cancellation(change(5, "okta:1", "ada", RoleChanged), ONE)]
fn only_a_leave_that_was_cancelled_leaves_the_address(
    #[case] cancelled: Sighting,
    #[case] expected: &str,
) {
    let all = [
        change(1, "okta:1", "ada", Joined),
        Sighting {
            published_at: day(2),
            ..change(10, "okta:1", "ada", LeaveScheduled)
        },
        cancelled,
        change(20, "okta:2", "ada", Joined),
        change(25, "hr", "ada", Removed),
    ];
    assert_eq!(last(&all), expected);
}

#[test]
fn a_change_in_doubt_leaves_its_account_out_of_doubt() {
    let all = [
        change(1, "okta:1", "ada", Joined),
        change(1, "okta:2", "bo", Joined),
        change(5, "okta:1", "bo", Removed),
    ];
    let one = |name: &str| Whose::One(format!("{name}@example.com"));
    let account = |id: &str| ("okta".to_owned(), id.to_owned());
    let expected = [(account("1"), one("ada")), (account("2"), one("bo"))];
    assert_eq!(folded(&all, &[]).accounts, expected);
}

#[test]
fn an_address_has_a_holder_for_each_of_its_times() {
    let holder = |since, until, person: &str| Holder {
        email: email("ada"),
        since,
        until,
        person: person.to_owned(),
    };
    let expected = [
        holder(None, Some(day(10)), "ada@example.com"),
        holder(Some(day(20)), None, "ada@example.com (okta:2)"),
    ];
    assert_eq!(folded(&used_again(), &[]).holders, expected);
}

#[test]
fn an_account_called_after_somebody_can_be_decided_about_by_their_address() {
    let login = "[[logins]]\nsystem = \"github\"\nsuffix = \"_acme\"\ndomain = \"example.com\"";
    let identities = Identities {
        rules: toml::from_str(login).unwrap(),
        ..Identities::default()
    };
    let all = [shown(1, "github:kit_acme", ""), shown(1, "dg:m1", "bo")];
    let found = fold(&Facts {
        identities: &identities,
        sightings: all.to_vec(),
        decisions: vec![merge("kit@example.com", "dg:m1")],
    });
    assert_eq!(
        (whose(&found, &all[0]), whose(&found, &all[1])),
        ("bo".into(), "bo".into())
    );
}

#[test]
fn a_link_names_whoever_has_one_of_its_accounts_or_addresses() {
    let link = "person = \"ada.l@example.com\"\nemails = [\"ada@corp.example\"]\n\
                accounts = [\"dg:m1\"]";
    let rules = "[domain_aliases]\n\"corp.example\" = \"example.com\"\n\
                 [[logins]]\nsystem = \"github\"\nsuffix = \"_acme\"\ndomain = \"example.com\"";
    let identities = Identities {
        links: vec![toml::from_str(link).unwrap()],
        rules: toml::from_str(rules).unwrap(),
    };
    for (one, person) in [
        (shown(1, "dg:m1", "cy"), "ada.l"),
        (shown(1, "dg:m2", "ada.l"), "ada.l"),
        (shown(1, "dg:m2", "ada"), "ada.l"),
        (shown(1, "dg:m2", "bo"), "bo"),
        (shown(1, "okta:m1", "cy"), "cy"),
        (shown(1, "github:ada_acme", ""), "ada.l"),
        (shown(1, "github:kit_acme", ""), "kit"),
        (shown(1, "github:bo", ""), "github:bo"),
    ] {
        let found = fold(&Facts {
            identities: &identities,
            sightings: vec![one.clone()],
            decisions: Vec::new(),
        });
        assert_eq!(whose(&found, &one), person, "{one:?}");
    }
}

#[test]
fn two_who_overlap_are_both_meant_until_one_left() {
    let mut all = vec![
        change(1, "okta:1", "ada", Joined),
        change(20, "okta:2", "ada", Joined),
        change(24, "okta:1", "", Removed),
    ];
    for (on, person) in [
        (15, "ada"),
        (22, "ada or ada (okta:2)"),
        (26, "ada (okta:2)"),
    ] {
        all.push(change(on, "hr", "ada", Removed));
        assert_eq!(last(&all), person, "day {on}");
        all.pop();
    }
}

#[test]
fn who_left_after_somebody_else_came_was_there_before_though_nobody_saw_them_come() {
    let mut all = vec![
        change(20, "okta:2", "ada", Joined),
        change(24, "okta:1", "ada", Removed),
    ];
    assert_eq!(last(&all), "ada");
    for (on, person) in [(22, "ada or ada (okta:2)"), (26, "ada (okta:2)")] {
        all.push(change(on, "hr", "ada", Removed));
        assert_eq!(last(&all), person, "day {on}");
        all.pop();
    }
}

#[test]
fn a_second_account_within_a_project_is_the_same_person() {
    let join = |on, who| within(change(on, who, "ada", Joined), "project:dg/p1");
    assert_eq!(last(&[join(1, "dg:m1"), join(5, "dg:m2")]), "ada");
    let left = within(change(3, "dg:m1", "ada", Removed), "project:dg/p1");
    assert_eq!(
        last(&[join(1, "dg:m1"), left.clone(), join(5, "dg:m2")]),
        "ada (dg:m2)"
    );
    let elsewhere = change(4, "hr", "ada", Joined);
    assert_eq!(
        last(&[join(1, "dg:m1"), left, elsewhere, join(5, "dg:m2")]),
        "ada (dg:m2)"
    );
}

#[test]
fn somebody_who_comes_back_under_the_same_account_is_no_new_person() {
    let mut all = used_again();
    all[2] = change(20, "okta:1", "ada", Joined);
    all.push(shown(25, "dg:m2", "ada"));
    assert_eq!(last(&all), "ada");
}

fn merge(one: &str, other: &str) -> Decided {
    Decided::Merge {
        one: one.parse().unwrap(),
        other: other.parse().unwrap(),
    }
}

fn split(apart: &str) -> Decided {
    Decided::Split {
        apart: apart.parse().unwrap(),
    }
}

#[test]
fn decisions_join_and_part_what_addresses_did_not() {
    let all = [
        change(1, "okta:1", "ada", Joined),
        shown(2, "dg:m1", "lovelace"),
        shown(2, "dg:m2", "ada"),
    ];
    let name = |one: usize, decisions: &[Decided]| whose(&folded(&all, decisions), &all[one]);
    assert_eq!(
        (name(1, &[]), name(2, &[])),
        ("lovelace".into(), "ada".into())
    );
    let merged = [merge("ada@example.com", "dg:m1")];
    assert_eq!(name(1, &merged), "ada");
    assert_eq!(name(2, &[split("dg:m2")]), "dg:m2");
    assert_eq!(name(0, &[split("dg:m2")]), "ada");
    let both = [split("dg:m2"), merge("dg:m2", "lovelace@example.com")];
    assert_eq!(name(2, &both), "lovelace");
}

#[test]
fn an_address_apart_is_reached_by_no_change_of_address() {
    let all = [
        change(1, "okta:1", "ada", Joined),
        change(5, "okta:1", "ada.l", Renamed),
        shown(6, "dg:m1", "ada.l"),
    ];
    assert_eq!(last(&all), "ada");
    let apart = folded(&all, &[split("ada.l@example.com")]);
    assert_eq!(whose(&apart, &all[2]), "ada.l");
}

#[test]
fn what_a_decision_says_ends_doubt() {
    let mut all = used_again();
    all.push(shown(15, "dg:m3", "ada"));
    let decided = folded(&all, &[merge("dg:m3", "okta:2")]);
    assert_eq!(whose(&decided, &all[3]), "ada (okta:2)");
}

#[test]
fn only_one_address_and_one_account_a_system_is_plain() {
    let plain = [change(1, "okta:1", "ada", Joined), shown(2, "dg:m1", "ada")];
    assert!(folded(&plain, &[]).is_plain);
    let more = |one: Sighting| folded(&[&plain[..], &[one]].concat(), &[]).is_plain;
    assert!(more(change(3, "hr", "ada", Removed)));
    assert!(!more(change(3, "okta:1", "ada.l", Renamed)));
    assert!(!more(shown(3, "dg:m2", "ada")));
    assert!(!folded(&plain, &[split("dg:m1")]).is_plain);
}

fn sighting() -> impl Strategy<Value = Sighting> {
    use proptest::sample::select;
    let kinds = ChangeKind::ALL.to_vec();
    let who = vec!["okta:1", "okta:2", "hr:7", "dg:m1", "dg:m2", "hr"];
    let names = vec!["ada", "bo", "cy", ""];
    let parts = (1_i8..28, select(who), select(names.clone()), select(kinds));
    (parts, select(names), 0_u8..4).prop_map(|((on, who, name, kind), before, how)| {
        let name = if who == "hr" && name.is_empty() {
            "ada"
        } else {
            name
        };
        match how {
            0 if who != "hr" => shown(on, who, name),
            1 if kind == Renamed && !before.is_empty() => {
                formerly(change(on, who, name, kind), before)
            }
            _ => change(on, who, name, kind),
        }
    })
}

proptest! {
    #[test]
    fn who_is_who_does_not_depend_on_the_order_in_which_it_became_known(
        (one, other) in proptest::collection::vec(sighting(), 1..12)
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let (mut one, mut other) = (folded(&one, &[]), folded(&other, &[]));
        for fold in [&mut one, &mut other] {
            fold.subjects.sort();
            fold.subjects.dedup();
        }
        prop_assert_eq!(one, other);
    }
}
