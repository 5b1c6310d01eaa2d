//! The schemas, their examples, and what a real run writes, held against each other.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed set-up step should stop the test"
)]

mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jsonschema::Validator;
use offkey::{
    clock::{Clock as _, SystemClock},
    domain::{
        Impact, Key, Member, MembershipChange, Outcome, Project, Quarantined, Record, Topic,
        decision::{Decided, PeopleDecision},
        delivery::{DeadLetter, DeliveryRecord, DeliveryStatus, Redrive},
        inventory::SnapshotSummary,
        passed::Passed,
        preview::Preview,
        reminder::Reminder,
        replay::Replay,
    },
    sources::{Lookup, Request, change_format},
};
use rstest::rstest;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use world::World;

const TYPES: [&str; 17] = [
    MembershipChange::TYPE,
    Lookup::TYPE,
    Key::TYPE,
    Member::TYPE,
    Project::TYPE,
    SnapshotSummary::TYPE,
    Outcome::TYPE,
    Impact::TYPE,
    Quarantined::TYPE,
    DeliveryRecord::TYPE,
    DeadLetter::TYPE,
    Redrive::TYPE,
    Preview::TYPE,
    Replay::TYPE,
    Passed::TYPE,
    Reminder::TYPE,
    PeopleDecision::TYPE,
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

fn json_in(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn validator(name: &str) -> Validator {
    let schema = json_in(&folder().join(format!("{name}.schema.json")));
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|why| panic!("{name}: {why}"));
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap_or_else(|why| panic!("{name}: {why}"))
}

fn require_valid(validator: &Validator, data: &Value, what: &str) {
    let faults: Vec<String> = validator
        .iter_errors(data)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{what}: {faults:#?}");
}

fn examples(name: &str) -> Vec<(String, Value)> {
    let start = format!("{name}.");
    let files = fs::read_dir(folder().join("examples")).unwrap();
    let found: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| {
            let file = path.file_name().unwrap().to_str().unwrap();
            file.starts_with(&start)
        })
        .map(|path| (path.display().to_string(), json_in(&path)))
        .collect();
    assert!(!found.is_empty(), "{name} has no example");
    found
}

fn hold<T: Serialize + DeserializeOwned>(name: &str) {
    let validator = validator(name);
    for (file, example) in examples(name) {
        require_valid(&validator, &example, &file);
        let read: T = serde_json::from_str(&example.to_string())
            .unwrap_or_else(|why| panic!("{file}: {why}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), example, "{file}");
    }
}

#[rstest]
#[case(MembershipChange::TYPE, hold::<MembershipChange>)]
#[case(Lookup::TYPE, hold::<Lookup>)]
#[case(Key::TYPE, hold::<Key>)]
#[case(Member::TYPE, hold::<Member>)]
#[case(Project::TYPE, hold::<Project>)]
#[case(SnapshotSummary::TYPE, hold::<SnapshotSummary>)]
#[case(Outcome::TYPE, hold::<Outcome>)]
#[case(Impact::TYPE, hold::<Impact>)]
#[case(Quarantined::TYPE, hold::<Quarantined>)]
#[case(DeliveryRecord::TYPE, hold::<DeliveryRecord>)]
#[case(DeadLetter::TYPE, hold::<DeadLetter>)]
#[case(Redrive::TYPE, hold::<Redrive>)]
#[case(Preview::TYPE, hold::<Preview>)]
#[case(Replay::TYPE, hold::<Replay>)]
#[case(Passed::TYPE, hold::<Passed>)]
#[case(Reminder::TYPE, hold::<Reminder>)]
#[case(PeopleDecision::TYPE, hold::<PeopleDecision>)]
fn every_example_is_valid_and_the_code_reads_and_writes_it_the_same(
    #[case] name: &str,
    #[case] check: fn(&str),
) {
    check(name);
}

#[test]
fn every_example_of_the_change_format_is_valid_and_taken() {
    let validator = validator("change-message");
    for (file, example) in examples("change-message") {
        require_valid(&validator, &example, &file);
        let reading = change_format::read(
            "hr",
            "e",
            &Request {
                headers: &[],
                body: example.to_string().as_bytes(),
                received_at: "2030-03-01T12:00:00Z".parse().unwrap(),
            },
        );
        assert_eq!(reading.changes.len(), 1, "{file}: {reading:?}");
    }
}

#[rstest]
#[case::nobody(json!({"change": "removed", "person": {}}))]
#[case::an_empty_account(json!({"change": "removed", "person": {"account": ""}}))]
#[case::a_misspelt_property(json!({"change": "removed", "person": {"email": "a@b.c"}, "reson": "x"}))]
#[case::another_change(json!({"change": "sacked", "person": {"email": "a@b.c"}}))]
#[case::no_time(json!({"change": "leave_scheduled", "person": {"email": "a@b.c"}}))]
#[case::half_a_scope(json!({"change": "removed", "person": {"email": "a@b.c"}, "scope": {"kind": "project", "provider": "dg"}}))]
fn what_the_code_refuses_the_schema_of_the_change_format_refuses(#[case] data: Value) {
    let now = "2030-03-01T12:00:00Z";
    let message = json!({"type": change_format::TYPE, "timestamp": now, "data": data});
    assert!(!validator("change-message").is_valid(&message));
    let body = message.to_string();
    let request = Request {
        headers: &[],
        body: body.as_bytes(),
        received_at: now.parse().unwrap(),
    };
    assert!(change_format::read("hr", "e", &request).changes.is_empty());
}

#[test]
fn every_type_and_topic_stands_in_the_asyncapi_file_and_no_schema_is_left_over() {
    let text = fs::read_to_string(folder().join("asyncapi.yaml")).unwrap();
    for name in TYPES {
        let payload = format!("$ref: ./{name}.schema.json\n");
        assert!(text.contains(&payload), "{name} is missing");
    }
    for topic in Topic::ALL {
        let address = format!("  {topic}:\n    address: offkey.{topic}\n");
        assert!(text.contains(&address), "{topic} is missing");
        let policy = if topic.is_compacted() {
            "compact"
        } else {
            "delete"
        };
        let (_, channel) = text.split_once(&address).unwrap();
        let (_, said) = channel.split_once("cleanup.policy: ").unwrap();
        assert!(said.starts_with(&format!("[{policy}]")), "{topic}");
    }
    let known = BTreeSet::from(TYPES.map(|name| format!("{name}.schema.json")));
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("offkey."))
        .collect();
    assert_eq!(files, known);
}

/// What only the command line asks for.
fn decided_by_hand() -> Vec<Record> {
    let again = Replay {
        from: SystemClock.now() - Duration::from_secs(3600),
        to: SystemClock.now(),
        requested_at: SystemClock.now(),
    };
    let robot = PeopleDecision {
        what: Decided::ServiceAccount {
            account: "idp:00u1".parse().unwrap(),
            behind: vec!["ada@example.com".parse().unwrap()],
        },
        evidence: vec!["a test says so".to_owned()],
        decided_at: SystemClock.now(),
        undone: false,
    };
    vec![again.to_record(), robot.to_record()]
}

fn is_redelivered(record: &Record) -> bool {
    let delivery: DeliveryRecord = record.read().unwrap();
    delivery.redrive_id.is_some() && delivery.status == DeliveryStatus::Delivered
}

#[tokio::test]
async fn every_record_of_a_real_run_fits_the_schema_of_its_type() {
    let world = World::start().await;
    let is_snapshot = |record: &Record| record.kind == SnapshotSummary::TYPE;
    world.wait_for(Topic::Inventory, is_snapshot).await;
    world
        .report("nobody", json!({"change": "removed", "person": {}}))
        .await;
    world.report_vaguely().await;
    let foreseen = world.preview("ada@example.com").await;
    let leaver = json!({"change": "removed", "person": {"email": "ada@example.com"}});
    world.report("leaver", leaver).await;
    let cites = |record: &Record| {
        let outcome: Outcome = record.read().unwrap();
        let cited = outcome.previewed.map(|previewed| previewed.digest);
        cited.as_ref() == Some(&foreseen)
    };
    world.wait_for(Topic::Outcomes, cites).await;
    let soon = SystemClock.now() + Duration::from_secs(1);
    let leave = json!({
        "change": "leave_scheduled", "person": {"email": "ada@example.com"}, "effective_at": soon,
    });
    world.report("announced", leave).await;
    let passed = |record: &Record| record.kind == Passed::TYPE;
    world.wait_for(Topic::Outcomes, passed).await;
    let reminds = |record: &Record| record.kind == Reminder::TYPE;
    world.wait_for(Topic::Impacts, reminds).await;
    let letter = world.wait_for(Topic::DeadLetters, |_| true).await;
    let letter: DeadLetter = letter.read().unwrap();
    let wish = Redrive {
        sink: letter.sink,
        requested_by: "a test".to_owned(),
        requested_at: SystemClock.now(),
        original: letter.original,
    };
    world.log.append(vec![wish.to_record()]).await.unwrap();
    world.wait_for(Topic::Deliveries, is_redelivered).await;
    world.log.append(decided_by_hand()).await.unwrap();

    let validators: BTreeMap<_, _> = TYPES.map(|name| (name, validator(name))).into();
    let mut seen = BTreeSet::new();
    for record in world.everything().await {
        let Some(validator) = validators.get(record.kind.as_str()) else {
            panic!("no schema describes {}", record.kind);
        };
        let data: Value = record.read().unwrap();
        require_valid(validator, &data, &format!("{} {}", record.kind, data));
        seen.insert(record.kind);
    }
    assert_eq!(seen, TYPES.map(str::to_owned).into());
    world.end().await;
}
