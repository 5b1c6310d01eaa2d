//! What the fuzz targets share: configured sources, and requests made of bytes.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use offkey::{
    config::{secret::Secrets, source::SourceConfig},
    domain::{MembershipChange, Record},
    sources::{self, Reading, Request, Source},
};

/// The one secret of every source here.
pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// When every request arrives: 2026-03-01T12:00:00Z.
pub const NOON: Timestamp = Timestamp::constant(1_772_366_400, 0);

const OKTA: &str = r#"
kind = "okta"
name = "okta"
secrets = []
[apps]
"0oa1" = "deepgram"
"#;

const STANDARD: &str = r#"
kind = "standard-webhooks"
name = "hr"
secrets = []
"#;

const DECLARATIVE: &str = r#"
kind = "declarative"
name = "generic"
secrets = []
[proof]
kind = "hmac"
algorithm = "hmac-sha256"
encoding = "hex"
signature = { header = "x-signature", separator = ",", prefix = "v1=" }
signed = ["timestamp", { literal = "." }, "body"]
timestamp = { header = "x-signature", separator = ",", prefix = "t=", format = "seconds", tolerance = "3m" }
[events]
id = { path = "$.id" }
type = [{ path = "$.event" }]
published_at = { value = { path = "$.at" }, format = "rfc3339" }
person = { email = { path = "$.who.email" }, account = { path = "$.who.id" }, name = { path = "$..name" } }
actor = { header = "x-actor" }
[events.types]
"left" = "removed"
"locked" = "suspended"
"moved" = "role_changed"
"noise" = "ignore"
"#;

fn build(text: &str) -> Box<dyn Source> {
    let config = offkey::config::Config::parse(&format!("[[source]]\n{}", nest(text)))
        .unwrap_or_else(|error| panic!("{error}"));
    let config: &SourceConfig = &config.sources[0];
    let secrets = Arc::new(Secrets::fixed(vec![SECRET.to_owned().into()]));
    sources::build(config, secrets).unwrap_or_else(|error| panic!("{error}"))
}

/// Tables of a source are tables below `source` in the file.
fn nest(text: &str) -> String {
    text.replace("\n[", "\n[source.")
}

/// One source of each kind.
pub static SOURCES: LazyLock<Vec<Box<dyn Source>>> =
    LazyLock::new(|| [OKTA, STANDARD, DECLARATIVE].map(build).into());

/// A request of `bytes`: lines of `name: value` up to an empty one, then the body.
pub fn with_request<T>(bytes: &[u8], ask: impl FnOnce(&Request<'_>) -> T) -> T {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (&[][..], bytes),
    };
    let head = String::from_utf8_lossy(head);
    let headers: Vec<(String, String)> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    ask(&Request {
        headers: &headers,
        body,
        received_at: NOON,
    })
}

/// Checks what holds of every reading, whatever was read.
pub fn check(source: &dyn Source, request: &Request<'_>) {
    let reading = source.read(request);
    let again = source.read(request);
    assert_eq!(
        reading.changes, again.changes,
        "read twice, read differently"
    );
    assert_eq!(reading.unusable, again.unusable);
    if reading.unreadable.is_some() {
        assert!(reading.changes.is_empty() && reading.lookups.is_empty());
    }
    check_changes(&reading);
}

/// Checks that every change can be kept and read back as it was.
pub fn check_changes(reading: &Reading) {
    let mut ids = Vec::new();
    for change in &reading.changes {
        assert!(!change.person.is_nobody(), "a change of nobody");
        assert!(!ids.contains(&change.id), "one id twice");
        ids.push(change.id);
        let record: Record = change.to_record(NOON);
        let back: MembershipChange = record.read().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(back, *change);
        assert!(record.to_cloudevent()["data"].is_object());
    }
}

/// `message` as it is sent.
pub fn written(message: &offkey::sources::change_format::ChangeMessage) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_else(|error| panic!("{error}"))
}
