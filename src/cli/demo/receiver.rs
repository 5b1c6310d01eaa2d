//! The demo's own receiver of webhooks: takes what is signed with the shared secret.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use secrecy::SecretString;
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::sinks::webhook::signature::{SignatureKey, sign_all};

/// One webhook whose signature fits.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Webhook {
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: serde_json::Value,
}

pub(super) struct Receiver {
    address: SocketAddr,
    first: watch::Receiver<Option<Webhook>>,
}

struct State {
    keys: Vec<SignatureKey>,
    first: watch::Sender<Option<Webhook>>,
}

impl Receiver {
    /// Listens on a free port, on a thread of its own, until the process ends.
    pub(super) fn start(secret: SecretString) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let keys = vec![SignatureKey::parse(&secret)?];
        drop(secret);
        let (announce, first) = watch::channel(None);
        let state = web::Data::new(State {
            keys,
            first: announce,
        });
        let app = move || {
            App::new()
                .app_data(state.clone())
                .route("/rotate", web::post().to(receive))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .disable_signals()
            .listen(listener)?
            .run();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("receiver".to_owned())
            .spawn(move || drop(runtime.block_on(server)))?;
        Ok(Self { address, first })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/rotate", self.address)
    }

    /// The first webhook that came.
    pub(super) async fn first(&self, patience: Duration) -> anyhow::Result<Webhook> {
        let mut first = self.first.clone();
        let found = tokio::time::timeout(patience, first.wait_for(Option::is_some)).await??;
        found.clone().ok_or_else(|| anyhow::anyhow!("it is gone"))
    }
}

async fn receive(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let header = |name: &str| {
        let value = request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (id, seconds) = (header("webhook-id"), header("webhook-timestamp"));
    let expected = sign_all(&state.keys, &id, seconds.parse().unwrap_or_default(), &body);
    let given = header("webhook-signature");
    if !bool::from(given.as_bytes().ct_eq(expected.as_bytes())) {
        return HttpResponse::Unauthorized().finish();
    }
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let webhook = Webhook {
        headers: names.map(|name| (name.to_owned(), header(name))).into(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    state.first.send_if_modified(|first| {
        let is_first = first.is_none();
        if is_first {
            *first = Some(webhook);
        }
        is_first
    });
    HttpResponse::NoContent().finish()
}
