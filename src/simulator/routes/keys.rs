//! Keys.

use actix_web::{
    HttpRequest,
    web::{self, Bytes, Data, Path, Query, ServiceConfig},
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Simulated, body, members, message, ok, trouble};
use crate::simulator::{
    refusal::Refusal,
    world::{Credential, Key, NewKey, parse_id},
};

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("/{project}/keys", web::get().to(list))
        .route("/{project}/keys", web::post().to(create))
        .route("/{project}/keys/{key}", web::get().to(get))
        .route("/{project}/keys/{key}", web::delete().to(delete));
}

#[derive(Deserialize)]
struct Filter {
    status: Option<String>,
}

/// What is absent is left out, not null.
fn to_json(key: &Key) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("api_key_id".to_owned(), json!(key.id));
    object.insert("comment".to_owned(), json!(key.comment));
    object.insert("scopes".to_owned(), json!(key.scopes));
    object.insert("created".to_owned(), json!(key.created));
    if !key.tags.is_empty() {
        object.insert("tags".to_owned(), json!(key.tags));
    }
    if let Some(expires) = key.expires {
        object.insert("expiration_date".to_owned(), json!(expires));
    }
    object
}

async fn list(
    state: Data<Simulated>,
    who: Credential,
    project: Path<String>,
    filter: Query<Filter>,
    request: HttpRequest,
) -> Answer {
    let world = state.world();
    let now = world.now();
    let caller = world.enter(&who, &project)?;
    let mut keys = world.visible_keys(&caller)?;
    match filter.status.as_deref() {
        None => {}
        Some("active") => keys.retain(|key| !key.has_expired(now)),
        Some("expired") => keys.retain(|key| key.has_expired(now)),
        Some(other) => {
            let why = format!("status must be 'active' or 'expired', not '{other}'.");
            return Err(Refusal::Invalid(why));
        }
    }
    keys.truncate(keys.len().saturating_sub(trouble(&request).drop_keys));
    let items = keys.into_iter().map(
        |key| json!({ "member": members::person_to_json(&key.creator), "api_key": to_json(key) }),
    );
    ok(&json!({ "api_keys": items.collect::<Vec<_>>() }))
}

async fn create(
    state: Data<Simulated>,
    who: Credential,
    project: Path<String>,
    bytes: Bytes,
) -> Answer {
    let mut world = state.world();
    let caller = world.enter(&who, &project)?;
    let new: NewKey = body(&bytes)?;
    let (key, secret) = world.create_key(&caller, new)?;
    let mut answer = to_json(&key);
    answer.insert("key".to_owned(), json!(secret.expose_secret()));
    ok(&answer.into())
}

/// Answers in both shapes at once: the API description has `item.member.api_key`, the guides and
/// the older clients have `member` and `api_key` side by side.
async fn get(state: Data<Simulated>, who: Credential, path: Path<(String, String)>) -> Answer {
    let world = state.world();
    let caller = world.enter(&who, &path.0)?;
    let id = parse_id(&path.1)?;
    let mut visible = world.visible_keys(&caller)?.into_iter();
    let key = visible.find(|key| key.id == id);
    let key = key.ok_or(Refusal::NotFound("key"))?;
    let member = members::person_to_json(&key.creator);
    let mut nested = member.clone();
    nested.insert("api_key".to_owned(), to_json(key).into());
    ok(&json!({
        "item": { "member": nested },
        "member": member,
        "api_key": to_json(key),
    }))
}

async fn delete(state: Data<Simulated>, who: Credential, path: Path<(String, String)>) -> Answer {
    let mut world = state.world();
    let caller = world.enter(&who, &path.0)?;
    world.delete_key(&caller, parse_id(&path.1)?)?;
    message("Successfully deleted the API key!")
}
