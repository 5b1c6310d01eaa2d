//! What a key says about itself, and temporary tokens.

use actix_web::web::{self, Bytes, Data, ServiceConfig};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Simulated, body, ok};
use crate::simulator::{refusal::Refusal, world::Credential};

/// How long a temporary token lives when nobody says, in seconds.
const DEFAULT_TTL: u32 = 30;

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("/v1/auth/token", web::get().to(token))
        .route("/v1/auth/grant", web::post().to(grant));
}

#[derive(Default, Deserialize)]
struct Wish {
    ttl_seconds: Option<u32>,
}

async fn token(state: Data<Simulated>, who: Credential) -> Answer {
    let world = state.world();
    let (_, key) = world.authenticate(&who).ok_or(Refusal::InvalidAuth)?;
    ok(&json!({ "api_key_id": key.id, "scopes": key.scopes, "created": key.created }))
}

async fn grant(state: Data<Simulated>, who: Credential, bytes: Bytes) -> Answer {
    let wish: Wish = if bytes.is_empty() {
        Wish::default()
    } else {
        body(&bytes)?
    };
    let ttl = wish.ttl_seconds.unwrap_or(DEFAULT_TTL);
    let secret = state.world().grant(&who, ttl)?;
    ok(&json!({ "access_token": secret.expose_secret(), "expires_in": ttl }))
}
