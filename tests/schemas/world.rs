//! A whole service, and what it is told.

use std::{fs, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use offkey::{
    app::{Service, attach_log},
    clock::{Clock as _, SystemClock},
    config::{Config, Overrides},
    domain::{Record, Topic, preview::Preview},
    log::{Log, Position},
    simulator::{Company, Simulator},
    sinks::webhook::signature::{SignatureKey, sign_all},
    sources::change_format,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

/// How long a step may take before the test is red.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that reads a simulated provider and whose one receiver refuses the first impact.
pub(crate) struct World {
    _folder: tempfile::TempDir,
    pub(crate) log: Arc<dyn Log>,
    address: String,
    key: SignatureKey,
    service: Service,
    simulator: Simulator,
    _receiver: MockServer,
    stop: CancellationToken,
}

impl World {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let receiver = MockServer::start().await;
        let refuse = Mock::given(any()).respond_with(ResponseTemplate::new(422));
        refuse.up_to_n_times(1).mount(&receiver).await;
        let take = Mock::given(any()).respond_with(ResponseTemplate::new(204));
        take.mount(&receiver).await;
        let secret = format!("whsec_{}", BASE64_STANDARD.encode([7; 32]));
        for (name, text) in [("key", "k"), ("secret", &secret), ("word", "open")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let company = Company::demo(SystemClock.now());
        let anywhere = (Ipv4Addr::LOCALHOST, 0).into();
        let clock = Arc::new(SystemClock);
        let simulator = Simulator::start(company, "k".into(), anywhere, clock.clone()).unwrap();
        let text = configuration(folder.path(), &simulator.base_url(), &receiver.uri());
        let file = folder.path().join("offkey.toml");
        fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file), &Overrides::default()).unwrap();
        let stop = CancellationToken::new();
        let service = Service::start(&config, clock.clone(), stop.clone()).unwrap();
        Self {
            log: attach_log(&config, clock).unwrap(),
            address: format!("http://{}/in", service.address),
            key: SignatureKey::parse(&secret.into()).unwrap(),
            _folder: folder,
            service,
            simulator,
            _receiver: receiver,
            stop,
        }
    }

    /// The first record of `topic` that fits.
    pub(crate) async fn wait_for(&self, topic: Topic, fits: impl Fn(&Record) -> bool) -> Record {
        let looking = async {
            let mut follower = self.log.follow(&[topic], &Position::default()).unwrap();
            loop {
                let batch = follower.next(100).await.unwrap();
                let mut records = batch.entries.into_iter().map(|entry| entry.record);
                if let Some(found) = records.find(&fits) {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.unwrap_or_else(|_| panic!("no such record in {topic}"))
    }

    /// Records a preview in which the person has one key that they do not have; its digest.
    pub(crate) async fn preview(&self, person: &str) -> String {
        let now = SystemClock.now();
        let preview = json!({
            "person": person, "change": "removed", "scope": {"kind": "organisation"},
            "effective_at": now, "made_at": now, "result": "report", "digest": "0".repeat(64),
            "keys": [{"provider": "deepgram", "project": "p", "id": "k", "fate": "dies",
                      "severity": "high"}],
        });
        let preview: Preview = serde_json::from_value(preview).unwrap();
        self.log.append(vec![preview.to_record()]).await.unwrap();
        preview.digest
    }

    pub(crate) async fn report(&self, id: &str, data: Value) {
        let now = SystemClock.now();
        let message = json!({"type": change_format::TYPE, "timestamp": now, "data": data});
        let body = message.to_string();
        let seconds = now.as_second();
        let signature = sign_all(
            std::slice::from_ref(&self.key),
            id,
            seconds,
            body.as_bytes(),
        );
        let request = client()
            .post(format!("{}/hr", self.address))
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature);
        let answer = request.body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// An event that says of whom, and not what.
    pub(crate) async fn report_vaguely(&self) {
        let event = json!({
            "uuid": "u-1", "published": SystemClock.now(),
            "eventType": "user.account.update_profile", "outcome": {"result": "SUCCESS"},
            "target": [{"id": "00u1", "type": "User"}],
        });
        let hook = json!({"eventType": "com.okta.event_hook", "data": {"events": [event]}});
        let request = client().post(format!("{}/idp", self.address));
        let request = request.header("authorization", "open").json(&hook);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    pub(crate) async fn everything(&self) -> Vec<Record> {
        let end = self.log.end().unwrap();
        let mut position = Position::default();
        let mut follower = self.log.follow(&Topic::ALL, &position).unwrap();
        let mut all = Vec::new();
        while !position.has_reached(&end) {
            let batch = follower.next(500).await.unwrap();
            position = batch.through;
            all.extend(batch.entries.into_iter().map(|entry| entry.record));
        }
        all
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.service.wait().await.unwrap();
        self.simulator.stop().unwrap();
    }
}

fn configuration(folder: &Path, provider: &str, receiver: &str) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    let (data, key, secret, word) = (path("data"), path("key"), path("secret"), path("word"));
    format!(
        r#"
        http.listen = "127.0.0.1:0"
        log.path = {data:?}
        [policy]
        manual_deadline = "1s"
        reminders = {{ before = [], after = ["0s"] }}
        [[source]]
        name = "hr"
        kind = "standard-webhooks"
        secrets = [{{ file = {secret:?} }}]
        [[source]]
        name = "idp"
        kind = "okta"
        secrets = [{{ file = {word:?} }}]
        [[provider]]
        name = "deepgram"
        kind = "deepgram"
        base_url = {provider:?}
        api_key = {{ file = {key:?} }}
        [[sink]]
        name = "rotation"
        kind = "webhook"
        url = {receiver:?}
        secrets = [{{ file = {secret:?} }}]
        allow_networks = ["127.0.0.0/8"]
        "#
    )
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}
