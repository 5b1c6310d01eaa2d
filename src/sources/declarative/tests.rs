use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::{any, proptest};
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::Declarative;
use crate::{
    config::{declarative::DeclarativeConfig, secret::Secrets},
    domain::{ChangeKind, MembershipChange},
    sources::{
        Reading, Request, Source, SourceError, Unauthentic,
        signature::{Algorithm, hmac},
        tests::{fixture, vectors},
    },
};

const GITHUB: &str = r#"
name = "github"
secrets = []
[proof]
kind = "hmac"
algorithm = "hmac-sha256"
encoding = "hex"
signature = { header = "X-Hub-Signature-256", prefix = "sha256=" }
[events]
id = { header = "X-GitHub-Delivery" }
type = [{ header = "X-GitHub-Event" }, { path = "$.action" }]
person = { account = { path = "$.membership.user.id" }, name = { path = "$.membership.user.login" } }
scope = { provider = "github" }
actor = { path = "$.sender.login" }
[events.types]
"organization.member_removed" = "removed"
"organization.member_added" = "joined"
"organization.member_invited" = "ignore"
"#;

const WORKOS: &str = r#"
name = "workos"
secrets = []
accepted_status = 200
[proof]
kind = "hmac"
algorithm = "hmac-sha256"
encoding = "hex"
signature = { header = "workos-signature", separator = ",", prefix = "v1=" }
signed = ["timestamp", { literal = "." }, "body"]
timestamp = { header = "workos-signature", separator = ",", prefix = "t=", format = "milliseconds", tolerance = "3m" }
[events]
id = { path = "$.id" }
type = [{ path = "$.event" }]
published_at = { value = { path = "$.created_at" }, format = "rfc3339" }
actor = { path = "$.context.actor.id" }
role = { from = { path = "$.data.role.slug" } }
[events.person]
email = { path = "$.data.email" }
account = { path = "$.data.id" }
name = { path = "$.data.name" }
[events.types]
"dsync.user.deleted" = "removed"
"dsync.group.user_removed" = "removed"
[events.scopes]
"dsync.group.user_removed" = { group = { path = "$.data.group.id" } }
"#;

const BAMBOOHR: &str = r#"
name = "bamboohr"
secrets = []
[proof]
kind = "hmac"
algorithm = "hmac-sha256"
encoding = "hex"
signature = { header = "x-bamboohr-signature" }
signed = ["body", "timestamp"]
timestamp = { header = "x-bamboohr-timestamp", format = "seconds" }
[events]
each = "$.employees[*]"
id = { hash = [] }
type = [{ literal = "employee" }]
person = { account = { path = "$.id" } }
[events.types]
employee = "lookup"
"#;

const HIBOB: &str = r#"
name = "hibob"
secrets = []
[proof]
kind = "hmac"
algorithm = "hmac-sha512"
encoding = "base64"
signature = { header = "bob-signature" }
[events]
id = { hash = ["$.type", "$.triggeredAt", "$.data"] }
type = [{ path = "$.type" }]
published_at = { value = { path = "$.triggeredAt" }, format = "civil-utc" }
person = { email = { path = "$.data.email" } }
[events.types]
"employee.deleted" = "removed"
"employee.left" = "removed"
"#;

const MERGE: &str = r#"
name = "merge"
secrets = []
[proof]
kind = "hmac"
algorithm = "hmac-sha256"
encoding = "base64url"
signature = { header = "x-merge-webhook-signature" }
[events]
id = { hash = ["$.linked_account.id", "$.data.id", "$.data.modified_at", "$.hook.event"] }
type = [{ path = "$.hook.event" }, { path = "$.data.employment_status" }]
published_at = { value = { path = "$.data.modified_at" }, format = "rfc3339" }
effective_at = { value = { path = "$.data.termination_date" }, format = "rfc3339" }
person = { email = { path = "$.data.work_email" }, account = { path = "$.data.id" } }
[events.types]
"Employee.changed.INACTIVE" = "removed"
"#;

const KEYCLOAK: &str = r#"
name = "keycloak"
secrets = []
[proof]
kind = "hmac"
algorithm = "hmac-sha256"
encoding = "hex"
signature = { header = "x-keycloak-signature" }
[events]
id = { path = "$.uid" }
type = [{ path = "$.type" }]
published_at = { value = { path = "$.time" }, format = "milliseconds" }
person = { account = { path = "$.authDetails.userId" } }
[events.types]
"access.DELETE_ACCOUNT" = "removed"
"#;

fn try_build(config: &str, secrets: &[&str]) -> Result<Declarative, SourceError> {
    let config: DeclarativeConfig = toml::from_str(config).unwrap();
    let secrets = secrets
        .iter()
        .map(|&secret| SecretString::from(secret))
        .collect();
    Declarative::new(&config, Arc::new(Secrets::fixed(secrets)))
}

fn build(config: &str, secret: &str) -> Declarative {
    try_build(config, &[secret]).unwrap()
}

fn headers(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn read(source: &Declarative, all: &[(&str, &str)], body: &[u8]) -> Reading {
    source.read(&Request {
        headers: &headers(all),
        body,
        received_at: at("2026-03-01T12:00:00Z"),
    })
}

fn only_change(reading: Reading) -> MembershipChange {
    assert!(reading.unusable.is_empty(), "{:?}", reading.unusable);
    let [change] = <[MembershipChange; 1]>::try_from(reading.changes).unwrap();
    change
}

/// Verifies `vector` of a vendor, then with every byte of body and signature changed.
fn check_vector(source: &Declarative, vector: &Value, body: &[u8], now: Timestamp) {
    let headers: Vec<_> = vector["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            (
                name.to_ascii_lowercase(),
                value.as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let verify = |headers: &[(String, String)], body: &[u8], received_at| {
        source.verify(&Request {
            headers,
            body,
            received_at,
        })
    };
    assert_eq!(verify(&headers, body, now), Ok(()), "{vector}");
    for index in 0..body.len() {
        let mut changed = body.to_vec();
        changed[index] ^= 1;
        assert!(verify(&headers, &changed, now).is_err(), "body {index}");
    }
    for (number, (_, value)) in headers.iter().enumerate() {
        for index in 0..value.len() {
            let mut bytes = value.clone().into_bytes();
            bytes[index] ^= 0x01;
            let mut changed = headers.clone();
            changed[number].1 = String::from_utf8(bytes).unwrap();
            // A padding or a blank between two pieces is not part of what is signed.
            let is_separator = matches!(value.as_bytes()[index], b' ' | b'=' | b',');
            let verdict = verify(&changed, body, now);
            assert!(
                is_separator || verdict.is_err(),
                "header {number}, byte {index}"
            );
        }
    }
}

#[test]
fn the_vectors_of_six_vendors_verify_from_configuration_alone() {
    let noon = at("2026-03-01T12:00:00Z");
    for (config, file, secret, now) in [
        (
            GITHUB,
            "github/vectors.json",
            "It's a Secret to Everybody",
            noon,
        ),
        (
            BAMBOOHR,
            "bamboohr/vectors.json",
            "123b929362d51613054f71e5e5d4bf2c",
            at("2022-07-19T16:27:03Z"),
        ),
        (
            HIBOB,
            "hibob/vectors.derived.json",
            "bob-webhook-secret",
            noon,
        ),
        (
            MERGE,
            "merge/vectors.derived.json",
            "merge-test-signature-key",
            noon,
        ),
        (KEYCLOAK, "keycloak/vectors.derived.json", "A3jt6D8lz", noon),
        (
            WORKOS,
            "workos/vectors.derived.json",
            "whsec_test_secret",
            at("2023-11-14T22:13:20Z"),
        ),
    ] {
        let Some(all) = vectors(file) else {
            return;
        };
        let vector = &all["vectors"][0];
        let body = match (&vector["body"], &vector["body_file"]) {
            (Value::String(body), _) => body.clone().into_bytes(),
            (_, Value::String(name)) => {
                let folder = file.split('/').next().unwrap();
                fixture(&format!("{folder}/{name}")).unwrap()
            }
            _ => panic!("{file} has no body"),
        };
        check_vector(&build(config, secret), vector, &body, now);
    }
}

#[rstest]
#[case::at_the_edge(180_000_000, "t=1772366400000", Ok(()))]
#[case::behind_the_edge(180_000_001, "t=1772366400000", Err(Unauthentic::Stale))]
#[case::ahead(-180_000_001, "t=1772366400000", Err(Unauthentic::Stale))]
#[case::seconds(0, "t=1772366400", Err(Unauthentic::Stale))]
#[case::two_times(0, "t=1772366400000,t=1772366400000", Err(Unauthentic::Missing))]
#[case::no_time(0, "u=1", Err(Unauthentic::Missing))]
fn a_signed_time_is_held_to_its_tolerance(
    #[case] microseconds_late: i64,
    #[case] time: &str,
    #[case] expected: Result<(), Unauthentic>,
) {
    let text = time.strip_prefix("t=").unwrap_or_default();
    let mac = hmac(
        Algorithm::HmacSha256,
        b"key",
        &[text.as_bytes(), b".", b"{}"],
    );
    let signature = format!("{time}, v1=00, v1={}", hex::encode(mac));
    let late = jiff::SignedDuration::from_micros(microseconds_late);
    let verdict = build(WORKOS, "key").verify(&Request {
        headers: &headers(&[("workos-signature", &signature)]),
        body: b"{}",
        received_at: at("2026-03-01T12:00:00Z") + late,
    });
    assert_eq!(verdict, expected);
}

#[rstest]
#[case::bearer("{ kind = \"bearer\" }", "authorization", "bearer word", Ok(()))]
#[case::bearer_alone(
    "{ kind = \"bearer\" }",
    "authorization",
    "word",
    Err(Unauthentic::Missing)
)]
#[case::header("{ kind = \"header\", header = \"X-Word\" }", "x-word", "word", Ok(()))]
#[case::wrong(
    "{ kind = \"header\", header = \"X-Word\" }",
    "x-word",
    "ward",
    Err(Unauthentic::Wrong)
)]
fn a_secret_in_a_header_is_a_proof_too(
    #[case] proof: &str,
    #[case] name: &str,
    #[case] value: &str,
    #[case] expected: Result<(), Unauthentic>,
) {
    let events = HIBOB.split_once("[events]").unwrap().1;
    let config = format!("name = \"x\"\nsecrets = []\nproof = {proof}\n[events]{events}");
    let verdict = build(&config, "word").verify(&Request {
        headers: &headers(&[(name, value)]),
        body: b"{}",
        received_at: at("2026-03-01T12:00:00Z"),
    });
    assert_eq!(verdict, expected);
}

#[test]
fn a_member_removed_from_a_github_organisation_is_removed_from_that_provider() {
    let body = json!({
        "action": "member_removed",
        "membership": {"user": {"login": "ada", "id": 5, "email": null}},
        "sender": {"login": "root"},
    });
    let from = [
        ("x-github-event", "organization"),
        ("x-github-delivery", "d-1"),
    ];
    let reading = read(&build(GITHUB, "s"), &from, body.to_string().as_bytes());
    let change = only_change(reading);
    assert_eq!(change.change, ChangeKind::Removed);
    assert_eq!(change.event_id, "d-1");
    assert_eq!(change.person.account.as_deref(), Some("5"));
    assert_eq!(change.person.name.as_deref(), Some("ada"));
    assert_eq!(change.scope.to_string(), "provider:github");
    assert_eq!(change.actor.as_deref(), Some("root"));
    assert_eq!(change.published_at, at("2026-03-01T12:00:00Z"));

    let ping = read(
        &build(GITHUB, "s"),
        &[("x-github-event", "ping"), from[1]],
        b"{}",
    );
    assert_eq!(ping.ignored.len(), 1);
}

#[test]
fn a_user_deleted_from_a_workos_directory_is_removed() {
    let Some(body) = fixture("workos/dsync.user.deleted.json") else {
        return;
    };
    let change = only_change(read(&build(WORKOS, "s"), &[], &body));
    assert_eq!(change.change, ChangeKind::Removed);
    assert_eq!(change.event_id, "event_01EHZNVPK3SFK441A1RGBFSHRT");
    assert_eq!(
        change.person.email.unwrap().as_str(),
        "marcelina.davis@example.com"
    );
    assert_eq!(change.role.unwrap().from.as_deref(), Some("admin"));
    assert_eq!(change.published_at, at("2026-01-15T12:00:00Z"));
}

#[test]
fn a_type_can_have_a_scope_of_its_own() {
    let body = json!({
        "id": "e1", "event": "dsync.group.user_removed", "created_at": "2026-03-01T11:00:00Z",
        "data": {"id": "u1", "group": {"id": "g1"}},
    });
    let change = only_change(read(&build(WORKOS, "s"), &[], body.to_string().as_bytes()));
    assert_eq!(change.scope.to_string(), "group:g1");
}

#[test]
fn each_employee_of_a_bamboohr_list_is_looked_up_under_an_id_of_its_own() {
    let body = br#"{"employees":[{"id":"5"},{"id":6},{"id":[7]},{}]}"#;
    let reading = read(&build(BAMBOOHR, "s"), &[], body);
    let accounts: Vec<_> = reading
        .lookups
        .iter()
        .map(|one| one.account.as_str())
        .collect();
    assert_eq!(accounts, ["5", "6"]);
    assert_ne!(reading.lookups[0].event_id, reading.lookups[1].event_id);
    let faults: Vec<_> = reading
        .unusable
        .iter()
        .map(|one| one.why.as_str())
        .collect();
    assert_eq!(
        faults,
        [
            "event 2: events.person.account: finds a list or an object, not one value",
            "event 3: events.person.account: finds nothing to look up",
        ]
    );
    let again = read(&build(BAMBOOHR, "s"), &[], body);
    assert_eq!(reading.lookups, again.lookups);
}

#[test]
fn the_hash_of_chosen_values_is_the_id_where_the_vendor_has_none() {
    let source = build(HIBOB, "s");
    let body = |email: &str| {
        let data = json!({"email": email});
        json!({"type": "employee.left", "triggeredAt": "2026-03-01T00:00:00.000", "data": data, "n": email.len()})
            .to_string()
    };
    let first = only_change(read(&source, &[], body("ada@example.com").as_bytes()));
    let again = only_change(read(&source, &[], body("ada@example.com").as_bytes()));
    let other = only_change(read(&source, &[], body("bob@example.com").as_bytes()));
    assert_eq!(first.id, again.id);
    assert_ne!(first.id, other.id);
    assert_eq!(first.published_at, at("2026-03-01T00:00:00Z"));
}

#[test]
fn the_state_can_be_part_of_the_type() {
    let body = |status: &str| {
        json!({
            "hook": {"event": "Employee.changed"},
            "linked_account": {"id": "l1"},
            "data": {"id": "e1", "employment_status": status, "work_email": "ada@example.com",
                     "modified_at": "2026-03-01T00:00:00Z", "termination_date": "2026-02-28T00:00:00Z"},
        })
        .to_string()
    };
    let source = build(MERGE, "s");
    let change = only_change(read(&source, &[], body("INACTIVE").as_bytes()));
    assert_eq!(change.effective_at, at("2026-02-28T00:00:00Z"));
    assert_eq!(
        read(&source, &[], body("ACTIVE").as_bytes()).ignored.len(),
        1
    );
}

#[rstest]
#[case::no_id(json!({"event": "dsync.user.deleted"}), "events.id: finds nothing")]
#[case::no_type(json!({"id": "e1"}), "events.type: finds nothing")]
#[case::no_time(json!({"id": "e1", "event": "dsync.user.deleted"}), "events.published_at: finds nothing")]
#[case::no_person(
    json!({"id": "e1", "event": "dsync.user.deleted", "created_at": "2026-03-01T11:00:00Z"}),
    "events.person: neither"
)]
#[case::no_address(
    json!({"id": "e1", "event": "dsync.user.deleted", "created_at": "2026-03-01T11:00:00Z", "data": {"email": "ada"}}),
    "events.person.email: "
)]
#[case::another_unit(
    json!({"id": "e1", "event": "dsync.user.deleted", "created_at": 1}),
    "events.published_at: is not a time"
)]
#[case::a_rounded_id(json!({"id": 1.5}), "events.id: finds a number that is not whole")]
fn a_fault_is_named_by_the_configured_field(#[case] body: Value, #[case] why: &str) {
    let reading = read(&build(WORKOS, "s"), &[], body.to_string().as_bytes());
    assert!(reading.changes.is_empty());
    assert!(
        reading.unusable[0].why.starts_with(why),
        "{:?}",
        reading.unusable
    );
}

#[rstest]
#[case::no_path("$.created_at", "$.[", "events.published_at")]
#[case::no_path_of_a_person("$.data.email", "data.email", "events.person.email")]
#[case::no_path_of_an_id("{ path = \"$.id\" }", "{ path = \"id\" }", "events.id")]
#[case::an_unknown_change(
    "\"dsync.user.deleted\" = \"removed\"",
    "\"dsync.user.deleted\" = \"fired\"",
    "events.types.dsync.user.deleted"
)]
#[case::a_leave_without_a_day(
    "\"dsync.user.deleted\" = \"removed\"",
    "\"dsync.user.deleted\" = \"leave_scheduled\"",
    "events.effective_at"
)]
#[case::a_scope_of_no_type(
    "\"dsync.group.user_removed\" = { group",
    "\"dsync.grp\" = { group",
    "events.scopes.dsync.grp"
)]
#[case::an_unsigned_body(
    "\"timestamp\", { literal = \".\" }, \"body\"",
    "\"timestamp\"",
    "proof.signed"
)]
#[case::an_unsigned_time("\"timestamp\", { literal", "{ literal", "proof.signed")]
#[case::no_header(
    "header = \"workos-signature\"",
    "header = \"work os\"",
    "proof.timestamp"
)]
#[case::no_separator("separator = \",\"", "separator = \"\"", "proof.timestamp")]
#[case::a_status_that_is_no_success(
    "accepted_status = 200",
    "accepted_status = 500",
    "accepted_status"
)]
fn what_cannot_work_is_refused_at_load_with_its_path(
    #[case] right: &str,
    #[case] wrong: &str,
    #[case] field: &str,
) {
    assert!(WORKOS.contains(right), "{right}");
    let fault = try_build(&WORKOS.replace(right, wrong), &["s"])
        .err()
        .unwrap();
    assert_eq!(
        (fault.name.as_str(), fault.field.as_str()),
        ("workos", field),
        "{fault}"
    );
}

#[test]
fn secrets_that_cannot_be_keys_are_refused_at_load() {
    let base64 = BAMBOOHR.replace(
        "[proof]",
        "[proof]\nkey = \"base64\"\nkey_prefix = \"whsec_\"",
    );
    assert!(try_build(&base64, &["whsec_AAAA", "AAAA"]).is_ok());
    for bad in [&["whsec_*"][..], &["AAAA", "?"], &[]] {
        assert_eq!(try_build(&base64, bad).err().unwrap().field, "secrets");
    }
    assert_eq!(try_build(BAMBOOHR, &[]).err().unwrap().field, "secrets");
    let prefix_alone = BAMBOOHR.replace("[proof]", "[proof]\nkey_prefix = \"whsec_\"");
    let fault = try_build(&prefix_alone, &["s"]).err().unwrap();
    assert_eq!(fault.field, "proof.key_prefix");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        header in ".*",
    ) {
        for config in [WORKOS, BAMBOOHR, GITHUB] {
            let source = build(config, "s");
            assert!(read(&source, &[], &body).changes.is_empty());
            let all = headers(&[
                ("workos-signature", &header),
                ("x-hub-signature-256", &header),
                ("x-bamboohr-signature", &header),
                ("x-bamboohr-timestamp", &header),
            ]);
            let received_at = at("2026-03-01T12:00:00Z");
            let request = Request { headers: &all, body: &body, received_at };
            assert!(source.verify(&request).is_err());
        }
    }
}
