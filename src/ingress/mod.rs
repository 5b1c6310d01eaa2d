//! HTTP in: takes what sources send, and answers when it is on disk.

mod answer;
mod body;
mod problem;
mod routes;
mod webhook;

use std::{collections::BTreeMap, io, net::TcpListener, sync::Arc};

use actix_web::{App, HttpServer, web};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, config::http::HttpConfig, log::Log, sources::Source};

pub use routes::routes;

/// Says whether the process can do its work, and if not, why.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// One source, and what becomes of what it sends and nobody can use.
pub struct Inlet {
    /// The source.
    pub source: Box<dyn Source>,
    /// Whether quarantine keeps the bytes.
    pub keep_payload: bool,
}

/// What the handlers work with.
#[derive(Clone)]
pub struct IngressState {
    /// The sources by their configured names.
    pub sources: Arc<BTreeMap<String, Inlet>>,
    /// Where it all goes.
    pub log: Arc<dyn Log>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether the process is ready.
    pub readiness: Readiness,
    /// The metrics to show.
    pub metrics: PrometheusHandle,
}

/// Serves on `listener` until `shutdown`, then lets the requests under way end.
///
/// # Errors
/// When the listener cannot be used; the future fails when the server cannot start.
pub fn serve(
    listener: TcpListener,
    config: &HttpConfig,
    state: IngressState,
    shutdown: CancellationToken,
) -> io::Result<impl Future<Output = io::Result<()>> + Send + use<>> {
    let limits = web::Data::new(config.clone());
    let state = web::Data::new(state);
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(limits.clone())
            .app_data(state.clone())
            .configure(routes)
    })
    .max_connections(config.max_connections.get())
    .shutdown_timeout(config.shutdown_timeout.as_secs())
    .shutdown_signal(shutdown.cancelled_owned());
    if let Some(workers) = config.workers {
        server = server.workers(workers.get().min(512));
    }
    Ok(server.listen(listener)?.run())
}
