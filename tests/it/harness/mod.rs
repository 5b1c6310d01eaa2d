//! Speaks the domain: a service in a folder, a company with keys, changes that HR reports.

mod http;
mod log;
mod receiver;
mod service;
mod signed;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::Rng as _;

use offkey::{
    clock::{Clock as _, SystemClock},
    domain::ChangeId,
    projection::{self, read::Reader},
    simulator::{Company, Simulator},
};

use crate::broker::{self, Cluster};

pub(crate) use self::{
    http::{Answer, Connection, raw, request},
    receiver::{Mood, Receiver},
    service::Service,
    signed::{signed, signed_at},
};

/// What every source and sink of these tests is signed with.
pub(crate) const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// The administrative key of the simulated company.
pub(crate) const API_KEY: &str = "an-administrative-key";
/// How often a condition is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);
/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Looks until `ask` has an answer.
pub(crate) fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, ask)
}

/// Looks until `ask` has an answer, for so long at most.
pub(crate) fn until_within<T>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(GLANCE);
    }
}

/// Raises the flag when dropped, so that threads that wait for it end when a test fails as well.
pub(crate) struct Raise<'a>(pub(crate) &'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Whether the long fault tests run.
pub(crate) fn is_long() -> bool {
    std::env::var_os("OFFKEY_FAULT_ROUNDS").is_some()
}

/// The seed of a random test, said so that it can be given again.
pub(crate) fn seed(story: &str) -> u64 {
    let given = std::env::var("OFFKEY_FAULT_SEED").ok();
    let seed = given.and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().next_u64());
    eprintln!("{story}: OFFKEY_FAULT_SEED={seed}");
    seed
}

/// Fails unless `tool` is there: a fault that is not tested must not pass for one that was.
pub(crate) fn require(tool: &str) {
    let found = Command::new(tool).arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found, "{tool} is missing; scripts/setup installs it");
}

/// How many rounds a random test makes: `short` unless the environment says otherwise.
pub(crate) fn rounds(short: usize) -> usize {
    let wanted = std::env::var("OFFKEY_FAULT_ROUNDS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(short)
}

/// How many more people a crowded company has.
pub(crate) const CROWD: usize = 600;

/// The address of one of the crowd.
pub(crate) fn one_of_the_crowd(number: usize) -> String {
    format!("crowd-{}@example.com", number % CROWD)
}

fn crowded(people: usize) -> Company {
    let mut text = include_str!("../../../src/simulator/demo-company.toml").to_owned();
    let mut members = "\"nadia@example.com\" = \"owner\"\n".to_owned();
    let mut keys = String::new();
    for number in 0..people {
        let email = one_of_the_crowd(number);
        text += &format!("\n[[person]]\nemail = \"{email}\"\n");
        members += &format!("\"{email}\" = \"member\"\n");
        keys += &format!(
            "[[project.key]]\ncomment = \"key {number}\"\ncreator = \"{email}\"\n\
             scopes = [\"member\"]\ncreated_days_ago = 30\n"
        );
    }
    text += &format!("\n[[project]]\nname = \"crowd\"\n[project.members]\n{members}{keys}");
    let company = Company::parse(&text).unwrap();
    Company {
        as_of: Some(SystemClock.now()),
        ..company
    }
}

/// Everything around the service.
pub(crate) struct Stage {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) company: Company,
    pub(crate) rotation: Arc<Receiver>,
    /// What the configuration says of the log beside its folder.
    log: String,
}

/// Whether these tests run over Kafka: `make test` runs them over both engines.
pub(crate) fn is_over_kafka() -> bool {
    std::env::var("OFFKEY_TEST_LOG").is_ok_and(|engine| engine == "kafka")
}

/// The log of one test.
fn log() -> String {
    if is_over_kafka() {
        broker::log_at(&Cluster::shared().brokers, "")
    } else {
        String::new()
    }
}

/// An address that nobody listens on, and whose port the system gives to no connection: it lies below
/// those that it gives out (Linux: from 32768), so that nobody takes it before the service does.
fn free_address() -> SocketAddr {
    const FIRST: u32 = 11_000;
    const COUNT: u32 = 8_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let free = (0..COUNT).find_map(|_| {
        let number = std::process::id().wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + number % COUNT).unwrap();
        TcpListener::bind(("127.0.0.1", port)).ok()
    });
    free.unwrap().local_addr().unwrap()
}

impl Stage {
    /// Polls the provider once an hour, and delivers to one webhook and one file.
    pub(crate) fn set() -> Self {
        Self::set_with("1h", |_| String::new())
    }

    /// The same with [`CROWD`] more people with a key each, so that a long story is not always
    /// about the same few.
    pub(crate) fn set_with_crowd() -> Self {
        Self::set_with_company(crowded(CROWD), log(), "1h", |_| String::new())
    }

    /// So many of the crowd, and a provider that is polled every `poll`.
    pub(crate) fn set_with_people(people: usize, poll: &str) -> Self {
        Self::set_with_company(crowded(people), log(), poll, |_| String::new())
    }

    /// The crowd, with the log at `brokers`; `more` adds to the log's settings.
    pub(crate) fn set_at(brokers: &str, more: &str) -> Self {
        let log = broker::log_at(brokers, more);
        Self::set_with_company(crowded(CROWD), log, "1h", |_| String::new())
    }

    /// Another instance of the same: its own folder and address, everything else in common.
    pub(crate) fn twin(&self) -> Self {
        let twin = Self {
            folder: tempfile::tempdir().unwrap(),
            address: free_address(),
            simulator: self.simulator.clone(),
            company: self.company.clone(),
            rotation: self.rotation.clone(),
            log: self.log.clone(),
        };
        twin.write_down("1h", |_| String::new());
        twin
    }

    /// Polls every `poll`; `more` adds to the configuration.
    pub(crate) fn set_with(poll: &str, more: impl FnOnce(&Self) -> String) -> Self {
        Self::set_with_company(Company::demo(SystemClock.now()), log(), poll, more)
    }

    fn set_with_company(
        company: Company,
        log: String,
        poll: &str,
        more: impl FnOnce(&Self) -> String,
    ) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::start(
            company.clone(),
            API_KEY.into(),
            anywhere,
            Arc::new(SystemClock),
        );
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            address: free_address(),
            simulator: Arc::new(simulator.unwrap()),
            company,
            rotation: Arc::new(Receiver::start(Mood::Well)),
            log,
        };
        stage.write_down(poll, more);
        stage
    }

    fn write_down(&self, poll: &str, more: impl FnOnce(&Self) -> String) {
        fs::write(self.path("secret"), SECRET).unwrap();
        fs::write(self.path("deepgram.key"), API_KEY).unwrap();
        let more = more(self);
        fs::write(self.config(), self.configuration(poll) + &more).unwrap();
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
        self.wait_until_read();
    }

    /// Waits until the service has read what the log holds now: what was seen in one look at a
    /// provider can lie in several partitions.
    pub(crate) fn wait_until_read(&self) {
        let log = self.attach();
        let end = until("the end of the log", || log.end().ok());
        until("the service to have read it", || {
            let position = self.read(|reader| reader.position().unwrap())?;
            position.has_reached(&end).then_some(())
        });
    }

    pub(crate) fn is_ready(&self) -> bool {
        request(self.address, "GET /health/ready", &[], b"").is_some_and(|it| it.status == 204)
    }

    /// A number that the service keeps, under its name with labels; nothing while there is none.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let answer = request(self.address, "GET /metrics", &[], b"")?;
        let mut lines = answer.body.lines().filter_map(|line| line.rsplit_once(' '));
        let (_, number) = lines.find(|(known, _)| *known == name)?;
        number.parse().ok()
    }

    fn has_inventory(&self) -> bool {
        self.read(|reader| reader.snapshot("deepgram").ok().flatten())
            .flatten()
            .is_some()
    }

    /// Asks the projection; nothing while there is none.
    pub(crate) fn read<T>(&self, ask: impl FnOnce(&Reader<'_>) -> T) -> Option<T> {
        let db = projection::open_reader(&self.data()).ok()?;
        // Everything that is asked at once is answered as of one moment.
        db.execute_batch("BEGIN").ok()?;
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

    /// The same, as a sender does that is told to come again.
    pub(crate) fn deliver(&self, id: &str, body: &[u8]) -> Answer {
        until("a request to be answered", || {
            self.send(id, body).filter(|answer| answer.status != 503)
        })
    }

    /// Reports that `email` left, and takes nothing but 202 for an answer in the end.
    pub(crate) fn leave(&self, id: &str, email: &str) -> ChangeId {
        let answer = self.deliver(id, &Self::body(email, "removed"));
        assert_eq!(answer.status, 202, "{answer:?}");
        ChangeId::derive("hr", id)
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
