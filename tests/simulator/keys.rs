//! What a key can do, and for how long.

use deepgram::manage::{
    keys::options::Options as NewKey, projects::options::Options as ProjectChange,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{OWNERS_KEY, World, client, refusal};

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
