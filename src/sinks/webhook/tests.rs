use std::{net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

use super::WebhookSink;
use crate::{
    clock::ManualClock,
    config::{secret::Secrets, sink::SinkConfig},
    domain::{Record, Topic},
    sinks::{Delivery, Sink as _},
};

fn secret(byte: u8) -> String {
    format!("whsec_{}", STANDARD.encode([byte; 32]))
}

fn secrets() -> Arc<Secrets> {
    Arc::new(Secrets::fixed(vec![secret(1).into(), secret(2).into()]))
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_second(1_000).unwrap())
}

fn sink_with(url: &str, networks: &str, clock: &ManualClock) -> Result<WebhookSink, String> {
    let text = format!(
        "kind = 'webhook'\nname = 'siem'\nurl = '{url}'\nsecrets = []\nallow_networks = {networks}\ntimeout = '2s'"
    );
    let SinkConfig::Webhook(config) = toml::from_str(&text).unwrap() else {
        panic!("a webhook");
    };
    WebhookSink::new(&config, secrets(), Arc::new(clock.clone())).map_err(|error| error.to_string())
}

fn sink(url: &str, clock: &ManualClock) -> WebhookSink {
    sink_with(url, "['127.0.0.0/8', '::1/128']", clock).unwrap()
}

fn record() -> Record {
    let mut record = Record::json(Topic::Impacts, "k".to_owned(), &())
        .id("0198-event".to_owned())
        .kind("offkey.impact.v1")
        .time(Timestamp::from_second(900).unwrap());
    record.data = br#"{"b":1.0, "a":"x"}"#.to_vec().into();
    record
}

async fn receiver(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(template)
        .mount(&server)
        .await;
    server
}

fn header(request: &wiremock::Request, name: &str) -> String {
    request.headers[name].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_delivery_is_signed_by_every_secret_and_carries_the_data_as_it_is() {
    let server = receiver(ResponseTemplate::new(204)).await;
    let delivery = sink(&server.uri(), &clock()).deliver(&record()).await;
    assert_eq!(delivery, Delivery::Done);

    let request = &server.received_requests().await.unwrap()[0];
    let body = r#"{"type":"offkey.impact.v1","timestamp":"1970-01-01T00:15:00Z","data":{"b":1.0, "a":"x"}}"#;
    assert_eq!(String::from_utf8_lossy(&request.body), body);
    assert_eq!(header(request, "webhook-id"), "0198-event");
    assert_eq!(header(request, "webhook-timestamp"), "1000");
    assert_eq!(header(request, "content-type"), "application/json");
    let keys: Vec<_> = [1, 2]
        .map(|byte| super::SignatureKey::parse(&secret(byte).into()).unwrap())
        .into();
    let expected = super::sign_all(&keys, "0198-event", 1_000, body.as_bytes());
    assert_eq!(header(request, "webhook-signature"), expected);
    assert_eq!(expected.split(' ').count(), 2);
}

#[tokio::test]
async fn a_repeat_has_the_same_id_and_another_timestamp() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(500))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let clock = clock();
    let sink = sink(&server.uri(), &clock);
    let first = sink.deliver(&record()).await;
    assert!(matches!(first, Delivery::Retry { .. }), "{first:?}");
    clock.set(Timestamp::from_second(1_060).unwrap());
    assert_eq!(sink.deliver(&record()).await, Delivery::Done);

    let requests = server.received_requests().await.unwrap();
    let all = |name| -> Vec<_> { requests.iter().map(|one| header(one, name)).collect() };
    assert_eq!(all("webhook-id"), ["0198-event", "0198-event"]);
    assert_eq!(all("webhook-timestamp"), ["1000", "1060"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = MockServer::start().await;
    let target = format!("{}/elsewhere", server.uri());
    Mock::given(path("/in"))
        .respond_with(ResponseTemplate::new(307).insert_header("location", target.as_str()))
        .mount(&server)
        .await;
    let delivery = sink(&format!("{}/in", server.uri()), &clock())
        .deliver(&record())
        .await;
    assert!(matches!(delivery, Delivery::Park { .. }), "{delivery:?}");
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_receivers_wish_to_wait_is_handed_on() {
    let template = ResponseTemplate::new(429).insert_header("retry-after", "7");
    let server = receiver(template).await;
    let delivery = sink(&server.uri(), &clock()).deliver(&record()).await;
    let Delivery::Retry { after, .. } = delivery else {
        panic!("{delivery:?}");
    };
    assert_eq!(after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_refusal_says_what_the_receiver_said_and_no_more() {
    let body = format!("bad\u{7} field {}", "x".repeat(100_000));
    let server = receiver(ResponseTemplate::new(422).set_body_string(body)).await;
    let delivery = sink(&server.uri(), &clock()).deliver(&record()).await;
    let Delivery::Refused { why } = delivery else {
        panic!("{delivery:?}");
    };
    assert!(why.contains("bad field xxx"), "{why}");
    assert!(why.chars().count() < 300);
}

#[tokio::test]
async fn a_record_that_is_not_json_is_refused_without_a_request() {
    let server = receiver(ResponseTemplate::new(200)).await;
    let mut record = record();
    record.data = b"\xff".to_vec().into();
    let delivery = sink(&server.uri(), &clock()).deliver(&record).await;
    assert!(matches!(delivery, Delivery::Refused { .. }), "{delivery:?}");
    assert!(server.received_requests().await.unwrap().is_empty());
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    while !bytes.ends_with(b"}}") {
        let read = stream.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_receiver_that_stores_and_then_breaks_off_gets_the_same_id_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let receiver = async {
        let (mut first, _) = listener.accept().await.unwrap();
        let stored = read_request(&mut first).await;
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        let again = read_request(&mut second).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        second.write_all(answer).await.unwrap();
        (stored, again)
    };
    let sender = async {
        let sink = sink(&url, &clock());
        let first = sink.deliver(&record()).await;
        assert!(matches!(first, Delivery::Retry { .. }), "{first:?}");
        assert_eq!(sink.deliver(&record()).await, Delivery::Done);
    };
    let ((stored, again), ()) = tokio::join!(receiver, sender);
    assert_eq!(stored, again);
    assert!(stored.contains("webhook-id: 0198-event"));
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn assert_nobody_connected(listener: TcpListener) {
    let listener = listener.into_std().unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[rstest]
#[case("127.0.0.1")]
#[case("[::1]")]
#[case("169.254.169.254")]
#[case("[::ffff:10.0.0.1]")]
#[case("[::ffff:127.0.0.1]")]
#[case("2130706433")]
#[case("0177.0.0.1")]
#[tokio::test]
async fn a_private_address_is_refused_before_any_connection(#[case] host: &str) {
    let (listener, address) = listener().await;
    for (scheme, networks) in [("https", "[]"), ("http", "['192.168.7.0/24']")] {
        let url = format!("{scheme}://{host}:{}/", address.port());
        let error = sink_with(&url, networks, &clock()).err().unwrap();
        assert!(error.contains("may not connect"), "{error}");
    }
    assert_nobody_connected(listener);
}

#[rstest]
#[case::encrypted("https", "[]")]
#[case::plain("http", "['192.168.7.0/24']")]
#[tokio::test]
async fn a_name_of_a_private_address_parks_the_sink_without_a_connection(
    #[case] scheme: &str,
    #[case] networks: &str,
) {
    let (listener, address) = listener().await;
    let url = format!("{scheme}://localhost:{}/", address.port());
    let sink = sink_with(&url, networks, &clock()).unwrap();
    let delivery = sink.deliver(&record()).await;
    let Delivery::Park { why } = delivery else {
        panic!("{delivery:?}");
    };
    assert!(why.contains("outside allow_networks"), "{why}");
    assert_nobody_connected(listener);
}

#[tokio::test]
async fn a_name_of_an_allowed_address_is_connected_to() {
    let server = receiver(ResponseTemplate::new(200)).await;
    let url = format!("http://localhost:{}/", server.address().port());
    assert_eq!(
        sink(&url, &clock()).deliver(&record()).await,
        Delivery::Done
    );
}

#[rstest]
#[case::plain("http://siem.example.com/", "https")]
#[case::another_scheme("ftp://siem.example.com/", "https")]
#[case::a_password("https://me:secret@siem.example.com/", "password")]
fn a_url_of_no_use_is_refused(#[case] url: &str, #[case] named: &str) {
    let error = sink_with(url, "[]", &clock()).err().unwrap();
    assert!(error.contains(named), "{error}");
    assert!(!error.contains("secret@"), "{error}");
}

#[test]
fn a_webhook_without_a_secret_or_with_a_bad_one_is_refused() {
    let text = "kind = 'webhook'\nname = 'siem'\nurl = 'https://siem.example.com/'\nsecrets = []";
    let SinkConfig::Webhook(config) = toml::from_str(text).unwrap() else {
        panic!("a webhook");
    };
    for secrets in [Vec::new(), vec!["sesame".to_owned().into()]] {
        let secrets = Arc::new(Secrets::fixed(secrets));
        let error = WebhookSink::new(&config, secrets, Arc::new(clock())).err();
        let error = error.unwrap().to_string();
        assert!(
            error.contains("secret") && !error.contains("sesame"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_failure_of_a_connection_names_no_url() {
    let (listener, address) = listener().await;
    drop(listener);
    let url = format!("http://{address}/hooks/T0KEN");
    let delivery = sink(&url, &clock()).deliver(&record()).await;
    let Delivery::Retry { why, .. } = delivery else {
        panic!("{delivery:?}");
    };
    assert!(!why.contains("T0KEN"), "{why}");
}

#[test]
fn the_body_of_a_delivery_is_json() {
    let body: Value = serde_json::from_slice(&super::body_of(&record()).unwrap()).unwrap();
    assert_eq!(body["data"], json!({ "a": "x", "b": 1.0 }));
}
