//! Reading, and use.

use deepgram::manage::usage::{get_usage_options, list_requests_options};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{OWNERS_KEY, World};

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
