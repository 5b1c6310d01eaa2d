//! The one route of the data plane: it transcribes nothing, but proves that a key lives.

use actix_web::{
    HttpRequest,
    web::{self, Data, ServiceConfig},
};
use serde_json::json;

use super::{Answer, Simulated, ok};
use crate::simulator::world::Credential;

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("/v1/listen", web::post().to(listen));
}

async fn listen(state: Data<Simulated>, who: Credential, request: HttpRequest) -> Answer {
    let path = request.uri().to_string();
    let call = state.world().call(&who, &path)?;
    ok(&json!({
        "metadata": { "request_id": call.id, "created": call.at, "duration": 0.0, "channels": 1 },
        "results": { "channels": [{ "alternatives": [{ "transcript": "", "confidence": 0.0 }] }] },
    }))
}
