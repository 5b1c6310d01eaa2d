use std::{fmt::Write as _, fs, path::PathBuf};

use jiff::Timestamp;
use rstest::rstest;

use super::{BadRow, Checked, Done, Import, ImportError, check, publish};
use crate::{
    catalogue::Catalogue,
    correlation::Policy,
    domain::{Key, Member, Record, inventory::SnapshotSummary},
    log::{Batch, Entry, Partition, Position},
    projection::{Lens, Projection},
};

const HEAD: &str = "project,key,class,creator,creator_email,scopes,created_at,last_used_at";
const TWO: &str = "
acme/web,k1,deploy-key,ada,ada@example.com,read write,2029-01-01,
acme/web,k2,classic-pat,ben,ben@example.com,repo,2029-02-01T10:00:00Z,2029-12-31T00:00:00Z
";

/// A file, and a projection that takes in what is published.
struct Desk {
    folder: tempfile::TempDir,
    catalogue: Catalogue,
    policy: Policy,
    projection: Projection,
    /// Days since the first one; every import is a day later.
    day: i64,
    published: Vec<Record>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (catalogue, policy) = (Catalogue::built_in().unwrap(), Policy::default());
        let lens = Lens {
            policy: &policy,
            catalogue: &catalogue,
        };
        let projection = Projection::open(folder.path(), "log", lens).unwrap();
        Self {
            folder,
            catalogue,
            policy,
            projection,
            day: 0,
            published: Vec::new(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("keys.csv")
    }

    fn now(&self) -> Timestamp {
        let first: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        first + jiff::SignedDuration::from_hours(24 * self.day)
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(self.file(), text).unwrap();
    }

    fn check(&self) -> Result<Checked, ImportError> {
        let file = self.file();
        check(&self.as_import(&file, true))
    }

    fn as_import<'a>(&'a self, file: &'a std::path::Path, is_complete: bool) -> Import<'a> {
        Import {
            file,
            provider: "gh",
            kind: "github",
            catalogue: &self.catalogue,
            now: self.now(),
            is_complete,
        }
    }

    /// Imports a file that is all right, and takes in what it publishes.
    fn import(&mut self, text: &str, is_complete: bool) -> Done {
        self.write(text);
        let checked = self.check().unwrap();
        assert_eq!(checked.bad, []);
        let (file, mut published) = (self.file(), Vec::new());
        let mut append = |records| {
            published.push(records);
            Ok(())
        };
        let import = self.as_import(&file, is_complete);
        let done = publish(&import, &checked, &self.projection.reader(), &mut append).unwrap();
        let published: Vec<Record> = published.into_iter().flatten().collect();
        self.take_in(published);
        self.day += 1;
        done
    }

    fn take_in(&mut self, records: Vec<Record>) {
        let lens = Lens {
            policy: &self.policy,
            catalogue: &self.catalogue,
        };
        let entry = |record: &Record| Entry {
            partition: Partition::WHOLE,
            offset: 0,
            record: record.clone(),
        };
        let batch = Batch {
            entries: records.iter().map(entry).collect(),
            through: Position::default(),
        };
        self.projection.apply(&batch, lens).unwrap();
        self.published = records;
    }

    fn key(&self, id: &str) -> Key {
        self.projection
            .reader()
            .key("gh", "acme/web", id)
            .unwrap()
            .unwrap()
    }

    /// What is wrong with a file, row by row.
    fn bad(&self, text: impl AsRef<[u8]>) -> Vec<BadRow> {
        self.write(text);
        self.check().unwrap().bad
    }
}

fn done(keys: u64, added: u64, changed: u64, gone: u64) -> Done {
    Done {
        keys,
        added,
        changed,
        gone,
        ..Done::default()
    }
}

#[test]
fn keys_their_makers_and_their_projects_become_known() {
    let mut desk = Desk::new();
    let expected = Done {
        members: 2,
        projects: 1,
        ..done(2, 2, 0, 0)
    };
    assert_eq!(desk.import(&format!("{HEAD}{TWO}"), true), expected);
    let key = desk.key("k1");
    assert_eq!(
        (key.class.as_str(), key.created_at),
        ("deploy-key", "2029-01-01T00:00:00Z".parse().ok())
    );
    let interval = key.history.first().unwrap();
    assert_eq!(
        interval.creator.email.as_ref().unwrap().as_str(),
        "ada@example.com"
    );
    assert_eq!(interval.scopes, ["read", "write"]);
    assert_eq!(
        (interval.valid_from, interval.valid_to),
        (key.created_at, None)
    );
    assert_eq!(key.uses, []);
    let used = desk.key("k2").uses;
    assert_eq!(used.first().map(|seen| seen.requests_7d), Some(1));
    let reader = desk.projection.reader();
    assert_eq!(
        reader.people().unwrap(),
        ["ada@example.com", "ben@example.com"]
    );
    assert_eq!(
        reader.snapshot("gh").unwrap().unwrap().last_complete,
        "2030-01-01T00:00:00Z".parse().ok()
    );
}

#[test]
fn the_same_file_again_is_no_news() {
    let mut desk = Desk::new();
    let text = format!("{HEAD}{TWO}");
    desk.import(&text, true);
    assert_eq!(desk.import(&text, true), done(2, 0, 0, 0));
    let kinds: Vec<&str> = desk
        .published
        .iter()
        .map(|record| record.kind.as_str())
        .collect();
    assert_eq!(kinds, [SnapshotSummary::TYPE]);
}

#[test]
fn a_key_that_a_complete_file_lacks_is_gone_since_some_time_after_the_last_one() {
    let mut desk = Desk::new();
    let text = format!("{HEAD}{TWO}");
    desk.import(&text, true);
    let one = text.replace("acme/web,k1", "acme/api,k3");
    assert_eq!(desk.import(&one, true).gone, 1);
    let last = desk.key("k1").history.pop().unwrap();
    assert_eq!(last.last_seen, "2030-01-01T00:00:00Z".parse().ok());
    assert_eq!(last.valid_to, "2030-01-02T00:00:00Z".parse().ok());
    assert!(desk.key("k2").history.last().unwrap().valid_to.is_none());
}

#[test]
fn a_project_without_keys_has_lost_them_and_its_people_stay() {
    let mut desk = Desk::new();
    desk.import(&format!("{HEAD}{TWO}"), true);
    let other = format!("{HEAD}\nacme/api,k9,deploy-key,ada,,,,\n");
    assert_eq!(desk.import(&other, true).gone, 2);
    let reader = desk.projection.reader();
    let ben: Member = reader.member("gh", "acme/web", "ben").unwrap().unwrap();
    assert!(ben.history.last().unwrap().valid_to.is_none());
    assert!(
        reader
            .projects()
            .unwrap()
            .iter()
            .all(|project| project.gone_at.is_none())
    );
}

#[test]
fn a_part_of_the_keys_takes_nothing_for_gone() {
    let mut desk = Desk::new();
    desk.import(&format!("{HEAD}{TWO}"), true);
    let part = format!("{HEAD}\nacme/web,k9,deploy-key,ada,ada@example.com,,,\n");
    assert_eq!(desk.import(&part, false), done(1, 1, 0, 0));
    let summary = desk.projection.reader().snapshot("gh").unwrap().unwrap();
    assert_eq!(summary.gaps.len(), 1);
    assert_eq!(summary.last_complete, "2030-01-01T00:00:00Z".parse().ok());
}

#[test]
fn a_key_that_changed_hands_keeps_its_history() {
    let mut desk = Desk::new();
    let text = format!("{HEAD}{TWO}");
    desk.import(&text, true);
    let handed = text.replace("deploy-key,ada,ada@", "deploy-key,eve,eve@");
    assert_eq!(desk.import(&handed, true).changed, 1);
    let makers: Vec<String> = desk
        .key("k1")
        .history
        .into_iter()
        .map(|interval| interval.creator.id)
        .collect();
    assert_eq!(makers, ["ada", "eve"]);
}

#[test]
fn no_import_says_that_anybody_joined_or_left() {
    let mut desk = Desk::new();
    desk.import(&format!("{HEAD}{TWO}"), true);
    desk.import(&format!("{HEAD}\nacme/web,k9,deploy-key,eve,,,,\n"), true);
    let topics = desk.published.iter().map(|record| record.topic);
    assert!(
        topics
            .into_iter()
            .all(|topic| topic == crate::domain::Topic::Inventory)
    );
}

#[test]
fn byte_order_marks_windows_lines_and_quoted_line_breaks_are_read() {
    let mut desk = Desk::new();
    let head = "\u{feff}\"project\",KEY, class ,creator,label\r\n";
    let rows = "acme/web,k1,deploy-key,ada,\"two\r\nlines, \"\"quoted\"\"\"\r\n\r\nacme/web,k2,deploy-key,ada,\r\n";
    assert_eq!(desk.import(&format!("{head}{rows}"), true).added, 2);
    assert_eq!(desk.key("k1").label, "two\r\nlines, \"quoted\"");
    let bad = desk.bad(format!("{head}{rows}acme/web,k3,none,ada,\r\n"));
    assert_eq!(bad.first().map(|row| row.line), Some(6), "{bad:?}");
    let bad = desk.bad(format!(
        "{head}{rows}\"a\r\nb\",k3,deploy-key,\r\n\r\nx\r\n"
    ));
    let lines: Vec<u64> = bad.iter().map(|row| row.line).collect();
    assert_eq!(lines, [6, 9], "{bad:?}");
}

#[rstest]
#[case("acme/web,k1,deploy-key,ada,,,", "7 fields")]
#[case("acme/web,k1,deploy-key,ada,,,,,", "9 fields")]
#[case(",k1,deploy-key,ada,,,,", "project is empty")]
#[case("acme/web, ,deploy-key,ada,,,,", "key is empty")]
#[case("acme/web,k1,,ada,,,,", "class is empty")]
#[case("acme/web,k1,deploy-key,,,,,", "creator is empty")]
#[case("acme/web,k1,project-key,ada,,,,", "no class \"project-key\"")]
#[case("acme/web,k1,deploy-key,ada,ada,,,", "creator_email")]
#[case("acme/web,k1,deploy-key,ada,,,yesterday,", "created_at")]
#[case("acme/web,k1,deploy-key,ada,,,2029-02-30,", "created_at")]
#[case("acme/web,k1,deploy-key,ada,,,,12", "last_used_at")]
#[case("acme/key/web,k1,deploy-key,ada,,,,", "cannot be a project")]
#[case("acme//web,k1,deploy-key,ada,,,,", "cannot be a project")]
#[case("acme/web,\"k\n1\",deploy-key,ada,,,,", "line break")]
fn a_row_that_cannot_be_used_is_named(#[case] row: &str, #[case] said: &str) {
    let desk = Desk::new();
    let bad = desk.bad(format!("{HEAD}{TWO}{row}\n"));
    assert!(
        bad.len() == 1 && bad.iter().all(|bad| bad.line == 4),
        "{bad:?}"
    );
    assert!(bad.iter().all(|bad| bad.why.contains(said)), "{bad:?}");
}

#[rstest]
#[case("acme/web,k1,classic-pat,ada,ada@example.com,,,", "in line 2 already")]
#[case(
    "acme/api,k1,classic-pat,ada,eve@example.com,,,",
    "another address or name in line 2"
)]
fn a_row_that_contradicts_another_is_named_with_it(#[case] row: &str, #[case] said: &str) {
    let desk = Desk::new();
    let bad = desk.bad(format!("{HEAD}{TWO}{row}\n"));
    assert!(
        bad.iter()
            .any(|bad| bad.line == 4 && bad.why.contains(said)),
        "{bad:?}"
    );
}

#[test]
fn a_project_with_two_names_and_a_count_that_is_none_are_named() {
    let desk = Desk::new();
    let head = "project,project_name,key,class,creator,requests_7d";
    let bad = desk.bad(format!(
        "{head}\np,A,k1,deploy-key,a,7\np,B,k2,deploy-key,a,\np,A,k3,deploy-key,a,-1\n"
    ));
    let lines: Vec<u64> = bad.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [3, 4], "{bad:?}");
}

#[test]
fn bytes_that_are_no_text_are_named() {
    let desk = Desk::new();
    let bad = desk.bad([HEAD.as_bytes(), b"\nacme/web,k1,deploy-key,\xff,,,,\n"].concat());
    assert!(
        bad.iter()
            .all(|bad| bad.line == 2 && bad.why.contains("UTF-8"))
            && bad.len() == 1,
        "{bad:?}"
    );
}

#[rstest]
#[case("", "empty")]
#[case("project,key,class\n", "lacks the column creator")]
#[case(
    "project,key,class,creator,secret\n",
    "nobody knows the column \"secret\""
)]
#[case("project,key,class,creator,key\n", "two columns \"key\"")]
#[case("project;key;class;creator\n", "commas")]
fn a_first_line_that_names_the_wrong_columns_is_refused(#[case] text: &str, #[case] said: &str) {
    let desk = Desk::new();
    desk.write(text);
    let refusal = desk.check().unwrap_err().to_string();
    assert!(refusal.contains(said), "{refusal}");
}

#[test]
fn a_file_that_changes_between_the_two_readings_is_not_taken_for_complete() {
    let desk = Desk::new();
    desk.write(format!("{HEAD}{TWO}"));
    let checked = desk.check().unwrap();
    desk.write(format!(
        "{HEAD}{TWO}acme/web,k3,deploy-key,ada,ada@example.com,,,\n"
    ));
    let (file, mut published) = (desk.file(), Vec::new());
    let mut append = |records: Vec<Record>| {
        published.extend(records);
        Ok(())
    };
    let import = desk.as_import(&file, true);
    let ended = publish(&import, &checked, &desk.projection.reader(), &mut append);
    assert!(matches!(ended, Err(ImportError::Changed(_))), "{ended:?}");
    assert!(
        published
            .iter()
            .all(|record| record.kind != SnapshotSummary::TYPE)
    );
}

#[test]
fn many_rows_come_in_batches_and_go_again() {
    let mut desk = Desk::new();
    let mut text = format!("{HEAD}\n");
    for number in 0..5500 {
        writeln!(
            text,
            "p{},k{number},deploy-key,user{},,,,",
            number % 7,
            number % 300
        )
        .unwrap();
    }
    let first = desk.import(&text, true);
    assert_eq!((first.keys, first.added, first.projects), (5500, 5500, 7));
    assert_eq!(desk.import(&text, true), done(5500, 0, 0, 0));
    let half: String = text
        .lines()
        .step_by(2)
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(desk.import(&half, true).gone, 2750);
}

#[test]
fn a_million_rows_are_checked_and_the_last_one_is_named() {
    let desk = Desk::new();
    let mut text = format!("{HEAD}\n");
    for number in 0..1_000_000 {
        writeln!(text, "p,k{number},deploy-key,user{},,,,", number % 300).unwrap();
    }
    desk.write(&text);
    let checked = desk.check().unwrap();
    assert_eq!((checked.rows, checked.bad_rows), (1_000_000, 0));
    text += "p,k7,deploy-key,user1,,,,\n";
    let bad = desk.bad(&text);
    assert_eq!(bad.len(), 1);
    assert!(bad[0].to_string().contains("1000002"), "{}", bad[0]);
}
