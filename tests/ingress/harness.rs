//! A running ingress over a log that remembers, and senders that sign.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, OnceLock},
};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use offkey::{
    clock::ManualClock,
    config::{http::HttpConfig, secret::Secrets, source::SourceConfig},
    domain::{Record, Topic},
    ingress::{IngressState, Inlet, serve},
    log::{Follower, Health, Log, LogError, Member, Position},
    sources::{
        self,
        signature::{Algorithm, hmac},
    },
};
use tokio_util::sync::CancellationToken;

/// The key of every signed source here.
pub(crate) const KEY: &[u8] = b"the key of every signed source";
/// The word of the Okta source.
pub(crate) const WORD: &str = "the word of the Okta source";

/// Remembers what was appended, and refuses when told to.
pub(crate) struct RecordingLog {
    appended: Mutex<Vec<Vec<Record>>>,
    refuse: Mutex<Option<LogError>>,
    health: Mutex<Health>,
}

#[async_trait]
impl Log for RecordingLog {
    async fn append(&self, records: Vec<Record>) -> Result<(), LogError> {
        if let Some(fault) = self.refuse.lock().unwrap().clone() {
            return Err(fault);
        }
        self.appended.lock().unwrap().push(records);
        Ok(())
    }

    fn join(&self, _: &str, _: &[Topic]) -> Result<Box<dyn Member>, LogError> {
        Err(LogError::Closed)
    }

    fn take_turns(&self, _: &str) -> Result<Box<dyn Member>, LogError> {
        Err(LogError::Closed)
    }

    fn follow(&self, _: &[Topic], _: &Position) -> Result<Box<dyn Follower>, LogError> {
        Err(LogError::Closed)
    }

    fn end(&self) -> Result<Position, LogError> {
        Err(LogError::Closed)
    }

    fn lag(&self, _: &str, _: &[Topic]) -> Result<u64, LogError> {
        Err(LogError::Closed)
    }

    fn cursor(&self, _: &str, _: &[Topic]) -> Result<Position, LogError> {
        Err(LogError::Closed)
    }

    fn identity(&self) -> String {
        "recording".to_owned()
    }

    fn health(&self) -> Health {
        self.health.lock().unwrap().clone()
    }
}

/// A running ingress.
pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    pub(crate) clock: ManualClock,
    pub(crate) client: reqwest::Client,
    pub(crate) ready: Arc<Mutex<Result<(), String>>>,
    pub(crate) secrets: BTreeMap<String, Arc<Secrets>>,
    log: Arc<RecordingLog>,
    shutdown: CancellationToken,
    server: actix_web::rt::task::JoinHandle<std::io::Result<()>>,
}

pub(crate) fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn whsec(key: &[u8]) -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(key))
}

/// The metrics of this process; the tests share them and look at sources of their own.
fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).unwrap();
            handle
        })
        .clone()
}

impl TestApp {
    /// The sources `hr` (our format), `quiet` (the same, keeps no payload) and `okta`.
    pub(crate) async fn start() -> Self {
        Self::start_with(
            HttpConfig::default(),
            Secrets::fixed(vec![whsec(KEY).into()]),
        )
        .await
    }

    /// The same with other limits and other secrets for `hr`.
    pub(crate) async fn start_with(config: HttpConfig, hr: Secrets) -> Self {
        let log = Arc::new(RecordingLog {
            appended: Mutex::default(),
            refuse: Mutex::default(),
            health: Mutex::new(Health::Writable),
        });
        let clock = ManualClock::at(noon());
        let ready = Arc::new(Mutex::new(Ok(())));
        let secrets = BTreeMap::from([
            ("hr".to_owned(), Arc::new(hr)),
            (
                "quiet".to_owned(),
                Arc::new(Secrets::fixed(vec![whsec(KEY).into()])),
            ),
            (
                "okta".to_owned(),
                Arc::new(Secrets::fixed(vec![WORD.into()])),
            ),
        ]);
        let is_ready = Arc::clone(&ready);
        let state = IngressState {
            sources: Arc::new(inlets(&secrets)),
            log: Arc::clone(&log) as Arc<dyn Log>,
            clock: Arc::new(clock.clone()),
            readiness: Arc::new(move || is_ready.lock().unwrap().clone()),
            metrics: metrics(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut config = config;
        config.workers = Some(std::num::NonZeroUsize::MIN);
        let server = serve(listener, &config, state, shutdown.clone()).unwrap();
        let app = Self {
            address,
            clock,
            client: reqwest::Client::builder().build().unwrap(),
            ready,
            secrets,
            log,
            shutdown,
            server: actix_web::rt::spawn(server),
        };
        assert_eq!(app.get("/health/live").await.status(), 204);
        app
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// Posts JSON to a source with further headers.
    pub(crate) async fn post(
        &self,
        source: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        let mut request = self
            .client
            .post(self.url(&format!("/in/{source}")))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body).send().await.unwrap()
    }

    /// Posts to a source of our format, signed at noon.
    pub(crate) async fn post_signed(
        &self,
        source: &str,
        id: &str,
        body: impl AsRef<[u8]>,
    ) -> reqwest::Response {
        let body = body.as_ref().to_vec();
        let signature = sign(KEY, id, &body);
        let headers = signed_headers(id, &signature);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.post(source, &headers, body).await
    }

    /// What was appended, one list an append.
    pub(crate) fn appended(&self) -> Vec<Vec<Record>> {
        self.log.appended.lock().unwrap().clone()
    }

    pub(crate) fn refuse(&self, fault: Option<LogError>) {
        *self.log.refuse.lock().unwrap() = fault;
    }

    pub(crate) fn set_health(&self, health: Health) {
        *self.log.health.lock().unwrap() = health;
    }

    /// Shuts down, and waits until the server has ended.
    pub(crate) async fn stop(self) -> std::io::Result<()> {
        self.shutdown.cancel();
        self.server.await.unwrap()
    }
}

fn inlets(secrets: &BTreeMap<String, Arc<Secrets>>) -> BTreeMap<String, Inlet> {
    [
        "kind = \"standard-webhooks\"\nname = \"hr\"\nsecrets = []",
        "kind = \"standard-webhooks\"\nname = \"quiet\"\nsecrets = []\nkeep_payload = false",
        "kind = \"okta\"\nname = \"okta\"\nsecrets = []",
    ]
    .into_iter()
    .map(|text| {
        let config: SourceConfig = toml::from_str(text).unwrap();
        let name = config.name().as_str().to_owned();
        let source = sources::build(&config, Arc::clone(&secrets[&name])).unwrap();
        let keep_payload = config.keep_payload();
        let inlet = Inlet {
            source,
            keep_payload,
        };
        (name, inlet)
    })
    .collect()
}

/// The Standard Webhooks signature of `body` at noon.
pub(crate) fn sign(key: &[u8], id: &str, body: &[u8]) -> String {
    let start = format!("{id}.{}.", noon().as_second());
    let mac = hmac(Algorithm::HmacSha256, key, &[start.as_bytes(), body]);
    format!("v1,{}", BASE64_STANDARD.encode(mac))
}

pub(crate) fn signed_headers(id: &str, signature: &str) -> [(&'static str, String); 3] {
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", noon().as_second().to_string()),
        ("webhook-signature", signature.to_owned()),
    ]
}

/// A message that somebody left.
pub(crate) fn leaver() -> String {
    serde_json::json!({
        "type": "membership.changed",
        "timestamp": noon(),
        "data": {"change": "removed", "person": {"email": "ada@example.com"}},
    })
    .to_string()
}
