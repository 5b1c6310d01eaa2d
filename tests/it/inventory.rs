//! What happens at the provider itself is seen by polling.

use offkey::domain::{ChangeKind, Fate, MembershipChange, Propagation, Topic};

use crate::harness::{Stage, request, until};

/// Asks the simulated provider, as its administrator.
pub(crate) fn ask(stage: &Stage, line: &str, body: &str) -> serde_json::Value {
    let headers = [
        (
            "authorization",
            format!("Token {}", crate::harness::API_KEY),
        ),
        ("content-type", "application/json".to_owned()),
    ];
    let answer = request(stage.simulator.addr(), line, &headers, body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{line}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// The ids of a project and of a member in it.
pub(crate) fn find(stage: &Stage, project: &str, email: &str) -> (String, String) {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let projects = ask(stage, "GET /v1/projects", "");
    let projects = projects["projects"].as_array().unwrap();
    let found = projects.iter().find(|one| one["name"] == project).unwrap();
    let project = text(&found["project_id"]);
    let members = ask(stage, &format!("GET /v1/projects/{project}/members"), "");
    let members = members["members"].as_array().unwrap();
    let found = members.iter().find(|one| one["email"] == email).unwrap();
    (project, text(&found["member_id"]))
}

/// The first change of this kind that polling saw.
fn seen(stage: &Stage, kind: ChangeKind) -> MembershipChange {
    until("the change to be seen", || {
        let records = stage.records(&[Topic::Membership]);
        let mut changes = records
            .iter()
            .map(|record| record.read::<MembershipChange>().unwrap());
        changes.find(|change| change.source == "deepgram" && change.change == kind)
    })
}

#[test]
fn a_member_removed_at_the_provider_is_reported_with_the_keys_that_vanished() {
    let stage = Stage::set_with("100ms", |_| String::new());
    let _service = stage.start();
    let (project, member) = find(&stage, "production", "ada@example.com");
    ask(
        &stage,
        &format!("DELETE /v1/projects/{project}/members/{member}"),
        "",
    );

    let change = seen(&stage, ChangeKind::Removed);
    assert!(change.not_before.unwrap() < change.effective_at);
    let report = stage.report(change.id);
    assert_eq!(report.outcome.fates, [(Fate::Dies, 2)].into());
    assert!(report.outcome.reconciled);
    for impact in &report.impacts {
        assert!(impact.reconciled, "nobody told");
        assert_eq!(impact.propagation, Propagation::Direct {});
        assert_eq!(impact.effective_at, Some(change.effective_at));
        assert_eq!(impact.person.id, "ada@example.com");
    }
}

#[test]
fn a_member_demoted_at_the_provider_is_seen_as_a_changed_role() {
    let stage = Stage::set_with("100ms", |_| String::new());
    let _service = stage.start();
    let (project, member) = find(&stage, "production", "ada@example.com");
    let line = format!("PUT /v1/projects/{project}/members/{member}/scopes");
    ask(&stage, &line, r#"{"scope":"member"}"#);

    let change = seen(&stage, ChangeKind::RoleChanged);
    let role = change.role.clone().unwrap();
    assert_eq!(role.to.as_deref(), Some("member"));
    let report = stage.report(change.id);
    assert_eq!(report.outcome.change, ChangeKind::RoleChanged);
    assert!(report.impacts.iter().all(|impact| impact.reconciled));
}
