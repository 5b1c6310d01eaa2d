//! The addresses of the ingress.

use actix_web::{HttpResponse, http::header::CONTENT_TYPE, web};

use super::{
    IngressState,
    problem::Problem,
    webhook::{deliver, shake_hands},
};

/// Adds the routes; they need an [`IngressState`] and an
/// [`HttpConfig`](crate::config::http::HttpConfig) as app data.
pub fn routes(app: &mut web::ServiceConfig) {
    app.service(
        web::resource("/in/{source}")
            .route(web::post().to(deliver))
            .route(web::get().to(shake_hands))
            .default_service(web::to(|| refuse_method("GET, POST"))),
    )
    .service(shown("/health/live").route(web::get().to(live)))
    .service(shown("/health/ready").route(web::get().to(ready)))
    .service(shown("/metrics").route(web::get().to(metrics)))
    .default_service(web::to(not_found));
}

fn shown(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(|| refuse_method("GET")))
}

async fn refuse_method(allowed: &'static str) -> Result<HttpResponse, Problem> {
    Err(Problem::Method(allowed))
}

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::NotFound)
}

async fn live() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

async fn ready(state: web::Data<IngressState>) -> Result<HttpResponse, Problem> {
    (state.readiness)().map_err(Problem::NotReady)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn metrics(state: web::Data<IngressState>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body(state.metrics.render())
}
