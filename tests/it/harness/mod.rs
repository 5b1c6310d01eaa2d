//! Speaks the domain: a service in a folder, a company with keys, changes that HR reports.

mod http;
mod receiver;
mod service;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Command, Output},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use offkey::{
    clock::{Clock as _, SystemClock},
    config::{Config, Overrides},
    domain::{ChangeId, Record, Topic},
    log::Position,
    projection::{self, read::Reader},
    simulator::{Company, Simulator},
    sinks::webhook::signature::{SignatureKey, sign_all},
};

use crate::broker::{self, Cluster};

pub(crate) use self::{
    http::{Answer, raw, request},
    receiver::{Mood, Receiver},
    service::Service,
};

/// What every source and sink of these tests is signed with.
pub(crate) const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// The administrative key of the simulated company.
pub(crate) const API_KEY: &str = "an-administrative-key";
/// How often a condition is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until `ask` has an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(GLANCE);
    }
}

/// How many rounds a random test makes: `short` unless the environment says otherwise.
pub(crate) fn rounds(short: usize) -> usize {
    let wanted = std::env::var("OFFKEY_FAULT_ROUNDS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(short)
}

/// Everything around the service.
pub(crate) struct Stage {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) simulator: Simulator,
    pub(crate) company: Company,
    pub(crate) rotation: Receiver,
    /// What the configuration says of the log beside its folder.
    log: String,
}

/// Whether these tests run over Kafka: `make test` runs them over both engines.
pub(crate) fn is_over_kafka() -> bool {
    std::env::var("OFFKEY_TEST_LOG").is_ok_and(|engine| engine == "kafka")
}

/// The log of one test.
fn log() -> String {
    if !is_over_kafka() {
        return String::new();
    }
    format!(
        "kind = \"kafka\"\n[log.kafka]\nbrokers = {:?}\nprefix = {:?}\npartitions = 4\n\
         session_timeout = \"6s\"",
        Cluster::shared().brokers,
        broker::prefix(),
    )
}

impl Stage {
    /// Polls the provider once an hour, and delivers to one webhook and one file.
    pub(crate) fn set() -> Self {
        Self::set_with("1h", |_| String::new())
    }

    /// Polls every `poll`; `more` adds to the configuration.
    pub(crate) fn set_with(poll: &str, more: impl FnOnce(&Self) -> String) -> Self {
        let company = Company::demo(SystemClock.now());
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::start(
            company.clone(),
            API_KEY.into(),
            anywhere,
            Arc::new(SystemClock),
        );
        // Freed at once and taken by the service, at every start of it.
        let listen = TcpListener::bind(anywhere).unwrap();
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            address: listen.local_addr().unwrap(),
            simulator: simulator.unwrap(),
            company,
            rotation: Receiver::start(Mood::Well),
            log: log(),
        };
        drop(listen);
        fs::write(stage.path("secret"), SECRET).unwrap();
        fs::write(stage.path("deepgram.key"), API_KEY).unwrap();
        let more = more(&stage);
        fs::write(stage.config(), stage.configuration(poll) + &more).unwrap();
        stage
    }

    fn configuration(&self, poll: &str) -> String {
        let (listen, base) = (self.address, self.simulator.base_url());
        let loopback = "allow_networks = [\"127.0.0.0/8\"]";
        let rotation = self
            .rotation
            .sink("rotation", &self.path("secret"), loopback);
        format!(
            r#"
[http]
listen = "{listen}"
workers = 2
[log]
path = {data:?}
{log}
[telemetry]
filter = "warn"
[[source]]
name = "hr"
kind = "standard-webhooks"
secrets = [{{ file = {secret:?} }}]
[[source]]
name = "okta"
kind = "okta"
secrets = [{{ file = {secret:?} }}]
[[provider]]
name = "deepgram"
kind = "deepgram"
base_url = "{base}"
api_key = {{ file = {key:?} }}
poll = "{poll}"
{rotation}
[[sink]]
name = "archive"
kind = "file"
path = {archive:?}
"#,
            data = self.data(),
            log = self.log,
            secret = self.path("secret"),
            key = self.path("deepgram.key"),
            archive = self.path("archive.jsonl"),
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("offkey.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Starts the service and waits until it is ready and knows the company's keys.
    pub(crate) fn start(&self) -> Service {
        let service = Service::spawn(self, &[]);
        self.wait_until_ready();
        service
    }

    pub(crate) fn wait_until_ready(&self) {
        until("the service to be ready", || self.is_ready().then_some(()));
        until("the inventory", || self.has_inventory().then_some(()));
    }

    pub(crate) fn is_ready(&self) -> bool {
        request(self.address, "GET /health/ready", &[], b"").is_some_and(|it| it.status == 204)
    }

    fn has_inventory(&self) -> bool {
        self.read(|reader| reader.snapshot("deepgram").ok().flatten())
            .flatten()
            .is_some()
    }

    /// Asks the projection; nothing while there is none.
    pub(crate) fn read<T>(&self, ask: impl FnOnce(&Reader<'_>) -> T) -> Option<T> {
        let db = projection::open_reader(&self.data()).ok()?;
        Some(ask(&Reader::new(&db)))
    }

    /// A change in our own format.
    pub(crate) fn body(email: &str, change: &str) -> Vec<u8> {
        let now = SystemClock.now();
        let data = serde_json::json!({"change": change, "person": {"email": email}});
        let message =
            serde_json::json!({"type": "membership.changed", "timestamp": now, "data": data});
        message.to_string().into_bytes()
    }

    /// Sends a signed body as HR; nothing when no answer came.
    pub(crate) fn send(&self, id: &str, body: &[u8]) -> Option<Answer> {
        self.send_signed(id, body, SECRET)
    }

    pub(crate) fn send_signed(&self, id: &str, body: &[u8], secret: &str) -> Option<Answer> {
        let headers = signed(id, body, secret);
        request(self.address, "POST /in/hr", &headers, body)
    }

    /// Reports that `email` left, and takes nothing but 202 for an answer.
    pub(crate) fn leave(&self, id: &str, email: &str) -> ChangeId {
        let answer = self.send(id, &Self::body(email, "removed")).unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        ChangeId::derive("hr", id)
    }

    /// The records of `topics` in the order of the log.
    pub(crate) fn records(&self, topics: &[Topic]) -> Vec<Record> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let config = Config::load(Some(&self.config()), &Overrides::default()).unwrap();
            let log = offkey::app::attach_log(&config, Arc::new(SystemClock)).unwrap();
            let end = log.end().unwrap().within(topics);
            let mut position = Position::default();
            let mut follower = log.follow(topics, &position).unwrap();
            let mut records = Vec::new();
            while !position.has_reached(&end) {
                let batch = follower.next(1000).await.unwrap();
                position = batch.through;
                records.extend(batch.entries.into_iter().map(|entry| entry.record));
            }
            records
        })
    }

    /// Waits for the report of a change.
    pub(crate) fn report(&self, change: ChangeId) -> offkey::domain::Report {
        until("the report", || {
            self.read(|reader| reader.report(&change.to_string()).unwrap())
                .flatten()
        })
    }

    /// Runs a command beside the service.
    pub(crate) fn offkey(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_offkey"))
            .arg("--config")
            .arg(self.config())
            .args(arguments)
            .output()
            .unwrap()
    }
}

/// The headers of Standard Webhooks for `body`.
pub(crate) fn signed(id: &str, body: &[u8], secret: &str) -> Vec<(&'static str, String)> {
    let key = SignatureKey::parse(&secret.to_owned().into()).unwrap();
    let seconds = SystemClock.now().as_second();
    vec![
        ("content-type", "application/json".to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", sign_all(&[key], id, seconds, body)),
    ]
}
