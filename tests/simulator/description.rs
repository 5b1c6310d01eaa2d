//! Every answer against the API description that Deepgram publishes, where a copy of it is at hand.

use std::{env, fs, path::PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{OWNERS_KEY, World};

/// The description, from the folder that `OFFKEY_SHARED` names; absent: there is none.
fn description() -> Option<Value> {
    let shared = env::var_os("OFFKEY_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let path = shared.join("fixtures/deepgram/management.openapi.json");
    match fs::read(&path) {
        Ok(text) => Some(serde_json::from_slice(&text).unwrap()),
        Err(why) => {
            eprintln!("SKIPPED: no API description at {}: {why}", path.display());
            None
        }
    }
}

/// What the description says about a success of one operation.
fn schema(description: &Value, path: &str, method: &str) -> Value {
    let operation = &description["paths"][path][method];
    let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path} is not described");
    json!({ "allOf": [schema], "components": description["components"] })
}

#[actix_web::test]
async fn every_answer_is_as_described() {
    let Some(description) = description() else {
        return;
    };
    let world = World::new();
    let found = world.key("production", "status page probe").await;
    let listen = world.secret(&found.key).await;
    world.listen(&listen).await;
    let newest = format!("/v1/projects/{}/requests?limit=1", found.project);
    let (_, body) = world
        .send(Method::GET, &newest, OWNERS_KEY, json!({}))
        .await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let request = body["requests"][0]["request_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let none = || json!({});
    // The list of requests is not held against the description: recorded answers contradict it.
    let project = "/v1/projects/{project_id}";
    let calls = [
        ("get", "/v1/projects".to_owned(), none()),
        ("get", project.to_owned(), none()),
        ("patch", project.to_owned(), json!({"name": "production"})),
        ("get", format!("{project}/keys"), none()),
        ("get", format!("{project}/keys/{{key_id}}"), none()),
        ("get", format!("{project}/members"), none()),
        (
            "get",
            format!("{project}/members/{{member_id}}/scopes"),
            none(),
        ),
        (
            "put",
            format!("{project}/members/{{member_id}}/scopes"),
            json!({"scope": "member"}),
        ),
        (
            "post",
            format!("{project}/invites"),
            json!({"email": "email@example.com", "scope": "member"}),
        ),
        ("get", format!("{project}/invites"), none()),
        ("delete", format!("{project}/invites/{{email}}"), none()),
        (
            "post",
            format!("{project}/keys"),
            json!({"comment": "x", "scopes": ["member"], "time_to_live_in_seconds": 60}),
        ),
        ("get", format!("{project}/usage"), none()),
        ("get", format!("{project}/usage/fields"), none()),
        ("get", format!("{project}/usage/breakdown"), none()),
        ("get", format!("{project}/requests/{{request_id}}"), none()),
        ("get", format!("{project}/balances"), none()),
        (
            "post",
            "/v1/auth/grant".to_owned(),
            json!({"ttl_seconds": 30}),
        ),
        ("delete", format!("{project}/keys/{{key_id}}"), none()),
        ("delete", format!("{project}/members/{{member_id}}"), none()),
        ("delete", project.to_owned(), none()),
    ];
    for (method, template, body) in calls {
        let path = template
            .replace("{project_id}", &found.project)
            .replace("{key_id}", &found.key)
            .replace("{member_id}", &found.member)
            .replace("{request_id}", &request)
            .replace("{email}", "email@example.com");
        let verb = method.to_uppercase().parse().unwrap();
        let (status, answer) = world.send(verb, &path, OWNERS_KEY, body).await;
        assert_eq!(status, 200, "{method} {template}: {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let schema = schema(&description, &template, method);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<_> = validator.iter_errors(&answer).collect();
        assert!(faults.is_empty(), "{method} {template}: {faults:?}");
    }
}
