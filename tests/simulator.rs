//! The simulator, as a client that others wrote sees it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed set-up step should stop the test"
)]

use std::{net::SocketAddr, sync::Arc};

use deepgram::{
    Deepgram, DeepgramError,
    manage::{
        keys::options::Options as NewKey,
        projects::options::Options as ProjectChange,
        usage::{get_usage_options, list_requests_options},
    },
};
use jiff::Timestamp;
use offkey::{
    clock::ManualClock,
    simulator::{Company, Faults, Simulator},
};
use reqwest::Method;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};

const OWNERS_KEY: &str = "an owner's key";

struct World {
    simulator: Simulator,
    owner: Deepgram,
    http: reqwest::Client,
}

struct Found {
    project: String,
    key: String,
    member: String,
}

impl World {
    fn new() -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let simulator = Simulator::start(
            Company::demo(now),
            SecretString::from(OWNERS_KEY),
            SocketAddr::from(([127, 0, 0, 1], 0)),
            Arc::new(ManualClock::at(now)),
        )
        .unwrap();
        let owner = client(&simulator, OWNERS_KEY);
        let http = reqwest::Client::builder().build().unwrap();
        Self {
            simulator,
            owner,
            http,
        }
    }

    async fn send(&self, method: Method, path: &str, key: &str, body: Value) -> (u16, String) {
        let url = format!("{}{path}", self.simulator.base_url());
        let request = self.http.request(method, url).json(&body);
        let request = request.header("Authorization", format!("Token {key}"));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn listen(&self, key: &str) -> (u16, String) {
        self.send(Method::POST, "/v1/listen?model=nova-3", key, json!({}))
            .await
    }

    async fn project(&self, name: &str) -> String {
        let all = self.owner.projects().list().await.unwrap().projects;
        let found = all.into_iter().find(|project| project.name == name);
        found.unwrap().project_id.to_string()
    }

    async fn member(&self, project: &str, email: &str) -> String {
        let all = self.owner.members().list_members(project).await.unwrap();
        let mut members = all.members.into_iter();
        let found = members.find(|member| member.email == email);
        found.unwrap().member_id.to_string()
    }

    /// A key of the company, by its comment.
    async fn key(&self, project: &str, comment: &str) -> Found {
        let project = self.project(project).await;
        let all = self.owner.keys().list(&project).await.unwrap().api_keys;
        let found = all.into_iter().find(|key| key.api_key.comment == comment);
        let found = found.unwrap();
        Found {
            project,
            key: found.api_key.api_key_id.to_string(),
            member: found.member.member_id.to_string(),
        }
    }

    /// A new secret for a key, as its application would have one.
    async fn secret(&self, key: &str) -> String {
        let path = format!("/__simulator/keys/{key}/secret");
        let (status, body) = self.send(Method::POST, &path, "", json!({})).await;
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        body["key"].as_str().unwrap().to_owned()
    }
}

fn client(simulator: &Simulator, key: &str) -> Deepgram {
    Deepgram::with_base_url_and_api_key(simulator.base_url().as_str(), key).unwrap()
}

/// The status and body of a refusal.
fn refusal<T: std::fmt::Debug>(result: Result<T, DeepgramError>) -> (u16, String) {
    match result {
        Err(DeepgramError::DeepgramApiError { body, err }) => {
            (err.status().map_or(0, |status| status.as_u16()), body)
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[actix_web::test]
async fn a_real_client_reads_projects_keys_members_and_scopes() {
    let world = World::new();
    let projects = world.owner.projects().list().await.unwrap().projects;
    assert_eq!(projects.len(), 3);
    let found = world.key("production", "live call transcription").await;
    let one = world.owner.projects().get(&found.project).await.unwrap();
    assert_eq!(one.name, "production");
    let key = world.owner.keys().get(&found.project, &found.key).await;
    let key = key.unwrap();
    assert_eq!(key.member.email, "ada@example.com");
    assert_eq!(key.api_key.tags.unwrap(), ["prod", "calls"]);
    let scopes = world.owner.scopes();
    let scopes = scopes.get_scope(&found.project, &found.member).await;
    assert_eq!(scopes.unwrap().scopes, ["owner"]);
    let balances = world.owner.billing().list_balance(&found.project).await;
    assert_eq!(balances.unwrap().balances.len(), 1);
}

#[actix_web::test]
async fn a_project_is_renamed_and_deleted_with_its_keys() {
    let world = World::new();
    let found = world.key("staging", "integration tests").await;
    let secret = world.secret(&found.key).await;
    let change = ProjectChange::builder().name("rehearsal").build();
    let changed = world.owner.projects().update(&found.project, &change).await;
    changed.unwrap();
    assert_eq!(world.project("rehearsal").await, found.project);
    world.owner.projects().delete(&found.project).await.unwrap();
    assert_eq!(
        world.owner.projects().list().await.unwrap().projects.len(),
        2
    );
    assert_eq!(world.listen(&secret).await.0, 401);
}

#[actix_web::test]
async fn a_key_works_from_its_creation_to_its_deletion() {
    let world = World::new();
    let project = world.project("production").await;
    let new = NewKey::builder("new one", ["member"]).tag(["prod"]).build();
    let made = world.owner.keys().create(&project, &new).await.unwrap();
    assert_eq!(world.listen(&made.key).await.0, 200);
    let id = made.api_key_id.to_string();
    let listed = world.owner.keys().list(&project).await.unwrap();
    assert!(!format!("{listed:?}").contains(&made.key));
    world.owner.keys().delete(&project, &id).await.unwrap();
    let (status, body) = world.listen(&made.key).await;
    assert_eq!(status, 401);
    assert!(body.contains("\"err_code\":\"INVALID_AUTH\""), "{body}");
    let again = world.owner.keys().delete(&project, &id).await;
    assert_eq!(refusal(again).0, 404);
}

#[actix_web::test]
async fn a_key_stops_by_itself_when_its_time_has_come() {
    let world = World::new();
    let project = world.project("production").await;
    let new = NewKey::builder("short", ["member"]).time_to_live_in_seconds(3600);
    let made = world
        .owner
        .keys()
        .create(&project, &new.build())
        .await
        .unwrap();
    assert_eq!(world.listen(&made.key).await.0, 200);
    let advanced = world.send(
        Method::POST,
        "/__simulator/advance",
        "",
        json!({"by": "2h"}),
    );
    assert_eq!(advanced.await.0, 200);
    assert_eq!(world.listen(&made.key).await.0, 401);
    let path = format!("/v1/projects/{project}/keys");
    for (status, there) in [("active", false), ("expired", true)] {
        let path = format!("{path}?status={status}");
        let (_, body) = world.send(Method::GET, &path, OWNERS_KEY, json!({})).await;
        assert_eq!(
            body.contains(&made.api_key_id.to_string()),
            there,
            "{status}"
        );
    }
}

#[actix_web::test]
async fn removing_a_member_deletes_the_keys_they_made_there_and_no_others() {
    let world = World::new();
    let hers = world.key("production", "live call transcription").await;
    let staging = world.key("staging", "staging transcription").await;
    let bos = world.key("production", "status page probe").await;
    let secrets = [
        world.secret(&hers.key).await,
        world.secret(&staging.key).await,
        world.secret(&bos.key).await,
    ];
    let removed = world.owner.members();
    let removed = removed.remove_member(&hers.project, &hers.member).await;
    assert_eq!(
        removed.unwrap().message,
        "Successfully removed account from project."
    );
    let mut statuses = Vec::new();
    for secret in &secrets {
        statuses.push(world.listen(secret).await.0);
    }
    assert_eq!(statuses, [401, 200, 200]);
    let left = world
        .owner
        .keys()
        .list(&hers.project)
        .await
        .unwrap()
        .api_keys;
    assert!(left.iter().all(|key| key.member.email != "ada@example.com"));
}

#[actix_web::test]
async fn leaving_deletes_the_keys_of_whoever_leaves() {
    let world = World::new();
    let found = world.key("staging", "dana's laptop").await;
    let secret = world.secret(&found.key).await;
    let dana = client(&world.simulator, &secret);
    dana.invitations()
        .leave_project(&found.project)
        .await
        .unwrap();
    assert_eq!(world.listen(&secret).await.0, 401);
    let members = world.owner.members().list_members(&found.project).await;
    let members = members.unwrap().members;
    assert!(
        members
            .iter()
            .all(|member| member.email != "dana@example.com")
    );
}

#[actix_web::test]
async fn a_sole_owner_can_neither_be_removed_nor_leave_nor_be_demoted() {
    let world = World::new();
    let found = world.key("research", "accent study").await;
    let secret = world.secret(&found.key).await;
    let ruth = client(&world.simulator, &secret);
    let left = ruth.invitations().leave_project(&found.project).await;
    let (status, body) = refusal(left);
    assert!(
        status == 400 && body.contains("at least one owner"),
        "{body}"
    );
    // Nadia, whose key we have, is only an admin there, and may not remove owners at all.
    let removed = world.owner.members();
    let removed = removed.remove_member(&found.project, &found.member).await;
    assert_eq!(refusal(removed).0, 403);
    // In staging two are owners: the first may be demoted, and the second not any more.
    let staging = world.project("staging").await;
    let (ada, nadia) = ("ada@example.com", "nadia@example.com");
    let (ada, nadia) = (
        world.member(&staging, ada).await,
        world.member(&staging, nadia).await,
    );
    let scopes = world.owner.scopes();
    scopes.update_scope(&staging, &ada, "member").await.unwrap();
    let last = scopes.update_scope(&staging, &nadia, "member").await;
    assert_eq!(refusal(last).0, 400);
    let removed = world.owner.members();
    let removed = removed.remove_member(&staging, &nadia).await;
    assert_eq!(refusal(removed).0, 400);
}

#[actix_web::test]
async fn a_demoted_makers_key_loses_what_the_maker_lost() {
    let world = World::new();
    let found = world.key("staging", "staging admin scripts").await;
    let secret = world.secret(&found.key).await;
    let bo = client(&world.simulator, &secret);
    assert_eq!(
        bo.keys().list(&found.project).await.unwrap().api_keys.len(),
        6
    );
    let scopes = world.owner.scopes();
    let demoted = scopes.update_scope(&found.project, &found.member, "member");
    demoted.await.unwrap();
    assert_eq!(
        bo.keys().list(&found.project).await.unwrap().api_keys.len(),
        1
    );
    let members = bo.members().list_members(&found.project).await;
    assert_eq!(refusal(members).0, 403);
    assert_eq!(world.listen(&secret).await.0, 200, "it still works");
}

#[rstest]
#[case("dana's laptop", "leo@example.com", 403)]
#[case("staging admin scripts", "leo@example.com", 200)]
#[case("staging admin scripts", "ada@example.com", 403)]
#[actix_web::test]
async fn whom_a_key_may_remove_depends_on_both_roles(
    #[case] comment: &str,
    #[case] target: &str,
    #[case] expected: u16,
) {
    let world = World::new();
    let found = world.key("staging", comment).await;
    let secret = world.secret(&found.key).await;
    let target = world.member(&found.project, target).await;
    let path = format!("/v1/projects/{}/members/{target}", found.project);
    let (status, body) = world.send(Method::DELETE, &path, &secret, json!({})).await;
    assert_eq!(status, expected, "{body}");
}

#[actix_web::test]
async fn a_members_key_gets_a_short_list_and_200() {
    let world = World::new();
    let found = world.key("staging", "dana's laptop").await;
    let dana = client(&world.simulator, &world.secret(&found.key).await);
    let seen = dana.keys().list(&found.project).await.unwrap().api_keys;
    assert_eq!(seen.len(), 1);
    assert_eq!(dana.projects().list().await.unwrap().projects.len(), 1);
    let foreign = world.key("staging", "integration tests").await;
    let deleted = dana.keys().delete(&found.project, &foreign.key).await;
    assert_eq!(refusal(deleted).0, 404);
    let other = world.project("production").await;
    assert_eq!(refusal(dana.keys().list(&other).await).0, 404);
}

#[actix_web::test]
async fn an_invited_person_comes_in_when_they_accept() {
    let world = World::new();
    let project = world.project("production").await;
    let path = format!("/v1/projects/{project}/invites");
    let new = json!({"email": "New@example.com", "scope": "admin"});
    let made = world.send(Method::POST, &path, OWNERS_KEY, new).await;
    assert_eq!(made.0, 200);
    let listed = world.send(Method::GET, &path, OWNERS_KEY, json!({})).await;
    assert_eq!(
        listed.1,
        r#"{"invites":[{"email":"new@example.com","scope":"admin"}]}"#
    );
    let accept = json!({"project_id": project, "email": "new@example.com"});
    let accepted = world.send(Method::POST, "/__simulator/accept", "", accept.clone());
    assert_eq!(accepted.await.0, 200);
    world.member(&project, "new@example.com").await;
    let again = world.send(Method::POST, "/__simulator/accept", "", accept);
    assert_eq!(again.await.0, 404);
    let wrong = json!({"email": "x@example.com", "scope": "king"});
    let (status, body) = world.send(Method::POST, &path, OWNERS_KEY, wrong).await;
    let expected = "Invalid request: scope must be either 'member', 'admin' or 'owner'.";
    assert_eq!((status, body.as_str()), (400, expected));
    let (staging, open) = (world.project("staging").await, "priya@example.com");
    let path = format!("/v1/projects/{staging}/invites/{open}");
    for expected in [200, 404] {
        let deleted = world.send(Method::DELETE, &path, OWNERS_KEY, json!({}));
        assert_eq!(deleted.await.0, expected);
    }
}

#[actix_web::test]
async fn a_request_is_seen_in_the_logs_and_in_the_usage() {
    let world = World::new();
    let found = world.key("production", "usage export to finance").await;
    let secret = world.secret(&found.key).await;
    let usage = get_usage_options::Options::builder()
        .accessor(&found.key)
        .build();
    let before = world.owner.usage().get_usage(&found.project, &usage).await;
    assert_eq!(before.unwrap().results.len(), 0);
    world.listen(&secret).await;
    let after = world.owner.usage().get_usage(&found.project, &usage).await;
    let counts: Vec<_> = after
        .unwrap()
        .results
        .iter()
        .map(|day| day.requests)
        .collect();
    assert_eq!(counts, [1]);
    let newest = list_requests_options::Options::builder().limit(1).build();
    let listed = world
        .owner
        .usage()
        .list_requests(&found.project, &newest)
        .await;
    let listed = listed.unwrap().requests;
    assert_eq!(listed[0].api_key_id.to_string(), found.key);
    let id = listed[0].request_id.to_string();
    let one = world.owner.usage().get_request(&found.project, &id).await;
    assert_eq!(one.unwrap().path, "/v1/listen?model=nova-3");
    let path = format!(
        "/v1/projects/{}/usage/breakdown?grouping=accessor&start=2026-11-24&accessor={}",
        found.project, found.key
    );
    let (_, body) = world.send(Method::GET, &path, OWNERS_KEY, json!({})).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["results"][0]["requests"], 1);
    assert_eq!(body["results"][0]["grouping"]["accessor"], found.key);
}

#[actix_web::test]
async fn steady_requests_are_listed_newest_first_and_page_by_page() {
    let world = World::new();
    let found = world.key("research", "benchmark runner").await;
    let mut times = Vec::new();
    for page in 0..3 {
        let path = format!(
            "/v1/projects/{}/requests?limit=4&page={page}&accessor={}",
            found.project, found.key
        );
        let (_, body) = world.send(Method::GET, &path, OWNERS_KEY, json!({})).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        for request in body["requests"].as_array().unwrap() {
            let time: Timestamp = request["created"].as_str().unwrap().parse().unwrap();
            times.push(time);
        }
    }
    assert_eq!(times.len(), 12);
    assert!(
        times.is_sorted_by(|newer, older| newer > older),
        "{times:?}"
    );
}

#[actix_web::test]
async fn a_temporary_token_opens_the_data_plane_only_and_dies_with_its_key() {
    let world = World::new();
    let found = world.key("staging", "dana's laptop").await;
    let secret = world.secret(&found.key).await;
    let grant = |key: String| async move {
        let (status, body) = world
            .send(
                Method::POST,
                "/v1/auth/grant",
                &key,
                json!({"ttl_seconds": 60}),
            )
            .await;
        (world, status, body)
    };
    let (world, status, body) = grant(secret).await;
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let token = body["access_token"].as_str().unwrap().to_owned();
    let status_of = |path: &str, method: Method| {
        let url = format!("{}{path}", world.simulator.base_url());
        let sent = world.http.request(method, url).bearer_auth(&token).send();
        async move { sent.await.unwrap().status().as_u16() }
    };
    assert_eq!(status_of("/v1/listen", Method::POST).await, 200);
    assert_eq!(status_of("/v1/projects", Method::GET).await, 403);
    let members = world.owner.members();
    let removed = members.remove_member(&found.project, &found.member).await;
    removed.unwrap();
    assert_eq!(status_of("/v1/listen", Method::POST).await, 401);
}

#[rstest]
#[case("/v1/projects", "no key", 403, r#""category":"UNAUTHORIZED""#)]
#[case("/v1/auth/token", "no key", 401, r#""err_code":"INVALID_AUTH""#)]
#[case(
    "/v1/projects/p1/keys",
    OWNERS_KEY,
    404,
    "UUID parsing failed: invalid character"
)]
#[case(
    "/v1/projects/00000000-0000-4000-8000-000000000000/keys",
    OWNERS_KEY,
    404,
    r#""category":"NOT_FOUND""#
)]
#[actix_web::test]
async fn refusals_have_the_bodies_that_deepgram_documents(
    #[case] path: &str,
    #[case] key: &str,
    #[case] status: u16,
    #[case] said: &str,
) {
    let world = World::new();
    let (got, body) = world.send(Method::GET, path, key, json!({})).await;
    assert_eq!(got, status);
    assert!(body.contains(said), "{body}");
}

#[actix_web::test]
async fn faults_are_switched_over_http_and_by_hand() {
    let world = World::new();
    let put = |faults: Value| world.send(Method::PUT, "/__simulator/faults", "", faults);
    assert_eq!(put(json!({"status": 429, "next": 1})).await.0, 200);
    assert_eq!(refusal(world.owner.projects().list().await).0, 429);
    assert!(world.owner.projects().list().await.is_ok());
    assert_eq!(put(json!({"status": 418})).await.0, 400);
    assert_eq!(put(json!({"statsu": 500})).await.0, 400);
    let faults = Faults {
        drop_members: 2,
        ..Faults::default()
    };
    world.simulator.faults().set(faults).unwrap();
    let project = world.project("production").await;
    let members = world.owner.members().list_members(&project).await.unwrap();
    assert_eq!(members.members.len(), 4);
    world.simulator.faults().clear();
    let (_, state) = world
        .send(Method::GET, "/__simulator/state", "", json!({}))
        .await;
    assert!(state.contains("Murmuration Voice"), "{state}");
}
