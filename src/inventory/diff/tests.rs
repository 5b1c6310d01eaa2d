use jiff::Timestamp;

use super::{Known, News, diff};
use crate::{
    domain::{Account, ChangeKind, Email, Key, KeyUse, Member, Project, Record},
    inventory::{SeenKey, SeenMember, SeenProject, Snapshot},
};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + minute * 60).unwrap()
}

fn account(id: &str) -> Account {
    let email = Email::parse(&format!("{id}@example.com")).unwrap();
    Account {
        id: id.to_owned(),
        email: Some(email),
        name: None,
    }
}

fn member(id: &str, role: &str) -> SeenMember {
    SeenMember {
        account: account(id),
        roles: vec![role.to_owned()],
    }
}

fn key(id: &str, creator: &str) -> SeenKey {
    SeenKey {
        id: id.to_owned(),
        label: id.to_owned(),
        class: "project-key".to_owned(),
        creator: account(creator),
        scopes: vec!["member".to_owned()],
        tags: Vec::new(),
        created_at: Some(at(-9000)),
        expires_at: None,
        usage: None,
    }
}

fn snapshot(minute: i64, members: Vec<SeenMember>, keys: Vec<SeenKey>) -> Snapshot {
    let project = SeenProject {
        id: "p1".to_owned(),
        name: "Voice".to_owned(),
        members,
        keys,
        gaps: Vec::new(),
    };
    Snapshot {
        started_at: at(minute),
        finished_at: at(minute + 1),
        projects: vec![project],
        gaps: Vec::new(),
        own_keys: Some(vec!["k0".to_owned()]),
    }
}

/// What is known after `news` were taken in.
fn learn(mut known: Known, news: &News) -> Known {
    fn put<T>(all: &mut Vec<T>, one: T, same: impl Fn(&T, &T) -> bool) {
        all.retain(|old| !same(old, &one));
        all.push(one);
    }
    for record in &news.records {
        match record.kind.as_str() {
            Key::TYPE => put(&mut known.keys, record.read::<Key>().unwrap(), |a, b| {
                a.id == b.id
            }),
            Member::TYPE => put(
                &mut known.members,
                record.read::<Member>().unwrap(),
                |a, b| a.account.id == b.account.id,
            ),
            Project::TYPE => {
                put(
                    &mut known.projects,
                    record.read::<Project>().unwrap(),
                    |a, b| a.id == b.id,
                );
            }
            _ => known.last = Some(record.read().unwrap()),
        }
    }
    known
}

fn after(snapshots: &[Snapshot]) -> (Known, News) {
    snapshots
        .iter()
        .fold(Default::default(), |(known, _), snapshot| {
            let news = diff("dg", &known, snapshot);
            (learn(known, &news), news)
        })
}

fn kinds(news: &News) -> Vec<ChangeKind> {
    news.changes.iter().map(|change| change.change).collect()
}

#[test]
fn the_first_look_reports_everything_and_no_change() {
    let (known, news) = after(&[snapshot(
        0,
        vec![member("kim", "owner")],
        vec![key("k1", "kim")],
    )]);
    assert_eq!(kinds(&news), []);
    assert_eq!(known.members[0].history[0].valid_from, None);
    assert_eq!(known.keys[0].history[0].valid_from, Some(at(-9000)));
    assert_eq!(known.last.unwrap().last_complete, Some(at(0)));
}

#[test]
fn an_unchanged_second_look_says_only_that_it_looked() {
    let look = |minute| snapshot(minute, vec![member("kim", "owner")], vec![key("k1", "kim")]);
    let (_, news) = after(&[look(0), look(5)]);
    assert_eq!(news.records.len(), 1);
    assert_eq!(kinds(&news), []);
}

#[test]
fn a_member_who_is_gone_left_between_the_two_looks_and_so_did_the_keys() {
    let (known, news) = after(&[
        snapshot(0, vec![member("kim", "owner")], vec![key("k1", "kim")]),
        snapshot(5, vec![], vec![]),
    ]);
    assert_eq!(kinds(&news), [ChangeKind::Removed]);
    let change = &news.changes[0];
    assert_eq!(
        (change.not_before, change.effective_at),
        (Some(at(0)), at(6))
    );
    assert_eq!(change.person.email, account("kim").email);
    let gone = &known.keys[0].history[0];
    assert_eq!((gone.last_seen, gone.valid_to), (Some(at(1)), Some(at(6))));
}

#[test]
fn another_role_closes_the_old_interval_and_is_a_change() {
    let (known, news) = after(&[
        snapshot(0, vec![member("kim", "owner")], vec![]),
        snapshot(5, vec![member("kim", "member")], vec![]),
    ]);
    assert_eq!(kinds(&news), [ChangeKind::RoleChanged]);
    let role = news.changes[0].role.clone().unwrap();
    assert_eq!(
        (role.from.as_deref(), role.to.as_deref()),
        (Some("owner"), Some("member"))
    );
    assert_eq!(known.members[0].history.len(), 2);
    assert_eq!(known.members[0].history[0].valid_to, Some(at(6)));
}

#[test]
fn a_partial_look_concludes_nothing_and_does_not_move_the_window() {
    let mut partial = snapshot(5, vec![], vec![]);
    partial.projects[0].gaps = vec!["only our own keys are shown".to_owned()];
    let (known, news) = after(&[
        snapshot(0, vec![member("kim", "owner")], vec![key("k1", "kim")]),
        partial,
    ]);
    assert_eq!(kinds(&news), []);
    assert_eq!(known.keys[0].history[0].valid_to, None);
    let last = known.last.unwrap();
    assert_eq!(last.last_complete, Some(at(0)));
    assert_eq!(last.gaps, ["Voice: only our own keys are shown"]);
}

#[test]
fn a_project_that_is_no_longer_shown_takes_nothing_along() {
    let mut without = snapshot(5, vec![], vec![]);
    without.projects.clear();
    let (known, news) = after(&[
        snapshot(0, vec![member("kim", "owner")], vec![key("k1", "kim")]),
        without,
    ]);
    assert_eq!(kinds(&news), []);
    assert_eq!(known.projects[0].gone_at, Some(at(6)));
    assert_eq!(known.keys[0].history[0].valid_to, None);
}

#[test]
fn a_key_that_comes_back_has_a_gap_in_its_history() {
    let (known, _) = after(&[
        snapshot(0, vec![member("kim", "owner")], vec![key("k1", "kim")]),
        snapshot(5, vec![member("kim", "owner")], vec![]),
        snapshot(9, vec![member("kim", "owner")], vec![key("k1", "kim")]),
    ]);
    let history = &known.keys[0].history;
    assert_eq!(history[0].valid_to, Some(at(6)));
    assert_eq!(
        (history[1].valid_from, history[1].valid_to),
        (Some(at(10)), None)
    );
}

#[test]
fn use_is_told_when_it_moves_and_its_history_stays_bounded() {
    let look = |minute: i64, requests: u64| {
        let mut used = key("k1", "kim");
        used.usage = Some(KeyUse {
            as_of: at(minute),
            requests_7d: requests,
            last_used_at: None,
        });
        snapshot(minute, vec![member("kim", "owner")], vec![used])
    };
    let told = |news: &News| {
        let is_key = |record: &&Record| record.kind == Key::TYPE;
        news.records.iter().filter(is_key).count()
    };
    assert_eq!(told(&after(&[look(0, 1000), look(5, 1001)]).1), 0);
    assert_eq!(told(&after(&[look(0, 1000), look(5, 1500)]).1), 1);
    assert_eq!(told(&after(&[look(0, 1), look(5, 0)]).1), 1);
    let many: Vec<_> = (0..50)
        .map(|n| look(n * 5, 2_u64.pow(u32::try_from(n % 30).unwrap())))
        .collect();
    assert_eq!(after(&many).0.keys[0].uses.len(), Key::MOST_USES);
}
