//! Projects.

use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Simulated, body, message, ok};
use crate::simulator::{
    refusal::Refusal,
    world::{Credential, Project},
};

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("", web::get().to(list))
        .route("/{project}", web::get().to(get))
        .route("/{project}", web::patch().to(rename))
        .route("/{project}", web::delete().to(delete))
        .route("/{project}/leave", web::delete().to(leave))
        .route("/{project}/balances", web::get().to(balances));
}

#[derive(Deserialize)]
struct Change {
    name: String,
}

fn to_json(project: &Project) -> Value {
    json!({ "project_id": project.id, "name": project.name })
}

async fn list(state: Data<Simulated>, who: Credential) -> Answer {
    let world = state.world();
    let reached = world.reached(&who)?;
    ok(&json!({ "projects": reached.into_iter().map(to_json).collect::<Vec<_>>() }))
}

async fn get(state: Data<Simulated>, who: Credential, project: Path<String>) -> Answer {
    let world = state.world();
    let caller = world.enter(&who, &project)?;
    ok(&to_json(world.project(&caller)?))
}

async fn rename(
    state: Data<Simulated>,
    who: Credential,
    project: Path<String>,
    bytes: Bytes,
) -> Answer {
    let mut world = state.world();
    let caller = world.enter(&who, &project)?;
    caller.must("project:write:settings")?;
    let change: Change = body(&bytes)?;
    world.project_mut(&caller)?.name = change.name;
    message("Successfully updated project info.")
}

async fn delete(state: Data<Simulated>, who: Credential, project: Path<String>) -> Answer {
    let mut world = state.world();
    let caller = world.enter(&who, &project)?;
    caller.must("project:write:destroy")?;
    world.projects.remove(caller.at);
    message("Successfully deleted a project.")
}

async fn leave(state: Data<Simulated>, who: Credential, project: Path<String>) -> Answer {
    let mut world = state.world();
    let caller = world.enter(&who, &project)?;
    world.leave(&caller)?;
    message("Successfully left the project.")
}

async fn balances(state: Data<Simulated>, who: Credential, project: Path<String>) -> Answer {
    let world = state.world();
    let caller = world.enter(&who, &project)?;
    if !caller.rights.may("billing:read") {
        return Err(Refusal::Forbidden);
    }
    let id = world.project(&caller)?.id;
    ok(&json!({
        "balances": [{
            "balance_id": id,
            "amount": 250.0,
            "units": "usd",
            "purchase_order_id": id,
        }],
    }))
}
