//! The HTTP surface: every route parses, asks the world, and answers.

mod auth;
mod control;
mod invites;
mod keys;
mod listen;
mod members;
mod projects;
mod usage;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web::{self, Data, ServiceConfig},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    faults::{FaultSwitch, Trouble},
    refusal::Refusal,
    world::World,
};

/// What all routes share.
pub(crate) struct Simulated {
    pub(crate) world: Mutex<World>,
    pub(crate) faults: FaultSwitch,
}

impl Simulated {
    /// The world, for the length of one answer.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a route answers.
type Answer = Result<HttpResponse, Refusal>;

/// All routes.
pub(crate) fn routes(app: &mut ServiceConfig) {
    app.service(control::routes())
        .service(
            web::scope("/v1/projects")
                .configure(projects::routes)
                .configure(keys::routes)
                .configure(members::routes)
                .configure(invites::routes)
                .configure(usage::routes),
        )
        .configure(auth::routes)
        .configure(listen::routes);
}

/// Lets the switched-on faults happen, outside the simulator's own routes.
pub(crate) async fn suffer_faults(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.path().starts_with("/__simulator") {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let state = request.app_data::<Data<Simulated>>();
    let trouble = state.map(|state| state.faults.strike(request.path()));
    let trouble = trouble.unwrap_or_default();
    if trouble.delay_ms > 0 {
        actix_web::rt::time::sleep(Duration::from_millis(trouble.delay_ms)).await;
    }
    if let Some(refusal) = trouble.refusal {
        return Err(refusal.into());
    }
    request.extensions_mut().insert(trouble);
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// What goes wrong with this request.
fn trouble(request: &HttpRequest) -> Trouble {
    request
        .extensions()
        .get::<Trouble>()
        .cloned()
        .unwrap_or_default()
}

fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes)
        .map_err(|why| Refusal::InvalidJson(format!("Json deserialize error: {why}")))
}

fn ok(value: &Value) -> Answer {
    Ok(HttpResponse::Ok().json(value))
}

fn message(text: &str) -> Answer {
    ok(&json!({ "message": text }))
}
