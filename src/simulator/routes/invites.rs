//! Invitations.

use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Simulated, body, members::parse_role, message, ok};
use crate::simulator::{refusal::Refusal, world::Credential};

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("/{project}/invites", web::get().to(list))
        .route("/{project}/invites", web::post().to(create))
        .route("/{project}/invites/{email}", web::delete().to(delete));
}

#[derive(Deserialize)]
struct NewInvite {
    email: String,
    scope: String,
}

async fn list(state: Data<Simulated>, who: Credential, project: Path<String>) -> Answer {
    let world = state.world();
    let caller = world.enter(&who, &project)?;
    if !caller.rights.may("members:read:invites") {
        return Err(Refusal::ForbiddenText);
    }
    let invites = world.project(&caller)?.invites.iter();
    let items = invites.map(|open| json!({ "email": open.email, "scope": open.role.label() }));
    ok(&json!({ "invites": items.collect::<Vec<_>>() }))
}

async fn create(
    state: Data<Simulated>,
    who: Credential,
    project: Path<String>,
    bytes: Bytes,
) -> Answer {
    let mut world = state.world();
    let caller = world.enter(&who, &project)?;
    let new: NewInvite = body(&bytes)?;
    world.invite(&caller, &new.email, parse_role(&new.scope)?)?;
    message("Successfully sent invitation.")
}

async fn delete(state: Data<Simulated>, who: Credential, path: Path<(String, String)>) -> Answer {
    let mut world = state.world();
    let caller = world.enter(&who, &path.0)?;
    world.withdraw(&caller, &path.1)?;
    message("Successfully deleted invitation.")
}
