//! The floor of the ingress: checks a signature, produces the body, answers 202.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::Mac as _;
use offkey::domain::Topic;
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use tokio::runtime::Runtime;

use crate::{
    cluster::Place,
    world::{SOURCE, signer},
};

/// A server in this process.
pub(crate) struct MinimalHttp {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    server: ServerHandle,
    runtime: Runtime,
}

#[derive(Clone)]
struct Out {
    producer: FutureProducer,
    topic: String,
}

impl MinimalHttp {
    /// Starts one that writes to the topic of changes.
    pub(crate) fn start(place: &Place) -> anyhow::Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &place.brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "1")
            .create()?;
        let topic = place.topic(Topic::Membership);
        let out = web::Data::new(Out { producer, topic });
        let app = move || {
            App::new()
                .app_data(out.clone())
                .route(&format!("/in/{SOURCE}"), web::post().to(take))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let server = HttpServer::new(app)
            .disable_signals()
            .listen(listener)?
            .run();
        drop(entered);
        let handle = server.handle();
        drop(runtime.spawn(server));
        Ok(Self {
            address,
            server: handle,
            runtime,
        })
    }

    /// Stops it, and its threads.
    pub(crate) fn stop(self) {
        self.runtime.block_on(self.server.stop(false));
    }
}

async fn take(request: HttpRequest, body: web::Bytes, out: web::Data<Out>) -> HttpResponse {
    let Some(id) = proven(&request, &body) else {
        return HttpResponse::Unauthorized().finish();
    };
    let record = FutureRecord::to(&out.topic).key(id).payload(&body[..]);
    match out.producer.send(record, Duration::ZERO).await {
        Ok(_) => HttpResponse::Accepted().finish(),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

/// The id of a message whose signature is right.
fn proven<'a>(request: &'a HttpRequest, body: &[u8]) -> Option<&'a str> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let (id, time) = (header("webhook-id")?, header("webhook-timestamp")?);
    let signature = header("webhook-signature")?.strip_prefix("v1,")?;
    let signature = BASE64_STANDARD.decode(signature).ok()?;
    signer(id, time, body).verify_slice(&signature).ok()?;
    Some(id)
}
