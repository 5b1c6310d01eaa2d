//! The simulator's own routes: what a test or a demonstration does behind the API's back.

use actix_web::{
    HttpResponse, Scope,
    web::{self, Bytes, Data, Path},
};
use jiff::{SignedDuration, Timestamp, ToSpan};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Simulated, body, message, ok};
use crate::simulator::{
    faults::Faults,
    refusal::Refusal,
    world::{Project, parse_id},
};

pub(super) fn routes() -> Scope {
    web::scope("/__simulator")
        .route("/state", web::get().to(state_of))
        .route("/faults", web::get().to(faults))
        .route("/faults", web::put().to(set_faults))
        .route("/advance", web::post().to(advance))
        .route("/accept", web::post().to(accept))
        .route("/keys/{key}/secret", web::post().to(reissue))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    #[serde(with = "humantime_serde")]
    by: std::time::Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    project_id: Uuid,
    email: String,
}

async fn state_of(state: Data<Simulated>) -> Answer {
    let world = state.world();
    let now = world.now();
    let projects: Vec<_> = world.projects.iter().map(|one| shown(one, now)).collect();
    ok(&json!({ "company": world.name, "now": now, "projects": projects }))
}

fn shown(project: &Project, now: Timestamp) -> Value {
    let week_ago = now.checked_sub(168.hours()).unwrap_or(now);
    let members = project.members.iter().map(|member| {
        json!({
            "member_id": member.person.id,
            "email": member.person.email,
            "role": member.role,
        })
    });
    let keys = project.keys.iter().map(|key| {
        json!({
            "api_key_id": key.id,
            "comment": key.comment,
            "creator": key.creator.email,
            "alive": key.is_alive(now),
            "deleted": key.deleted,
            "requests_7d": project.requests(key, (week_ago, now), now),
        })
    });
    json!({
        "project_id": project.id,
        "name": project.name,
        "members": members.collect::<Vec<_>>(),
        "keys": keys.collect::<Vec<_>>(),
    })
}

async fn faults(state: Data<Simulated>) -> Answer {
    Ok(HttpResponse::Ok().json(state.faults.current()))
}

async fn set_faults(state: Data<Simulated>, bytes: Bytes) -> Answer {
    let wanted: Faults = body(&bytes)?;
    let set = state.faults.set(wanted);
    set.map_err(|why| Refusal::Invalid(why.to_string()))?;
    Ok(HttpResponse::Ok().json(state.faults.current()))
}

async fn advance(state: Data<Simulated>, bytes: Bytes) -> Answer {
    let advance: Advance = body(&bytes)?;
    let by = SignedDuration::try_from(advance.by)
        .map_err(|why| Refusal::Invalid(format!("by is too long: {why}")))?;
    let mut world = state.world();
    world.advance(by);
    ok(&json!({ "now": world.now() }))
}

async fn accept(state: Data<Simulated>, bytes: Bytes) -> Answer {
    let accepted: Accept = body(&bytes)?;
    let mut world = state.world();
    world.accept(accepted.project_id, &accepted.email)?;
    message("Successfully joined the project.")
}

async fn reissue(state: Data<Simulated>, key: Path<String>) -> Answer {
    let id = parse_id(&key)?;
    let secret = state.world().reissue(id).ok_or(Refusal::NotFound("key"))?;
    ok(&json!({ "api_key_id": id, "key": secret.expose_secret() }))
}
