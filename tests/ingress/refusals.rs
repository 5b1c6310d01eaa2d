//! What is refused, and how.

use offkey::{
    config::{http::ByteSize, http::HttpConfig, secret::Secrets},
    domain::{Quarantined, Topic},
    log::{Health, LogError},
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{KEY, TestApp, WORD, leaver, sign, signed_headers, whsec};

/// The problem details of a refusal, checked for their form (RFC 9457).
async fn problem(answer: reqwest::Response, status: u16) -> Value {
    assert_eq!(answer.status(), status);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let details: Value = answer.json().await.unwrap();
    assert_eq!(details["type"], "about:blank");
    assert_eq!(details["status"], status);
    assert!(details["title"].is_string() && details["detail"].is_string());
    assert_eq!(details.as_object().unwrap().len(), 4);
    details
}

#[actix_web::test]
async fn an_unknown_source_and_a_bad_signature_look_the_same() {
    let app = TestApp::start().await;
    let bad = signed_headers("msg_1", &sign(b"guess", "msg_1", leaver().as_bytes()));
    let bad: Vec<_> = bad.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let mut seen = Vec::new();
    for (source, headers) in [
        ("hr", bad.as_slice()),
        ("nobody", &bad),
        ("hr", &[]),
        ("okta", &[("authorization", "guess")]),
        ("okta", &[]),
        ("HR", &bad),
    ] {
        let answer = app.post(source, headers, leaver()).await;
        let mut names: Vec<_> = answer.headers().keys().map(ToString::to_string).collect();
        names.sort();
        let details = problem(answer, 401).await;
        seen.push((names, details));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(app.appended().is_empty());
}

#[actix_web::test]
async fn a_proof_given_twice_is_none() {
    let app = TestApp::start().await;
    let headers = signed_headers("msg_1", &sign(KEY, "msg_1", leaver().as_bytes()));
    let mut headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
    headers.push(headers[2]);
    assert_eq!(app.post("hr", &headers, leaver()).await.status(), 401);
    let doubled = [("authorization", WORD), ("authorization", WORD)];
    assert_eq!(app.post("okta", &doubled, "{}").await.status(), 401);
}

#[rstest]
#[case::empty(b"".to_vec())]
#[case::no_json(b"hunter2".to_vec())]
#[case::byte_order_mark(b"\xef\xbb\xbf{}".to_vec())]
#[case::not_utf8(b"{\"type\":\"hunter2\xff\"}".to_vec())]
#[case::key_twice(br#"{"type":"hunter2","type":"hunter2"}"#.to_vec())]
#[case::lone_surrogate(br#"{"type":"hunter2\ud800"}"#.to_vec())]
#[case::nul(br#"{"type":"hunter2\u0000"}"#.to_vec())]
#[case::number_out_of_range(br#"{"type":"hunter2","n":1e999}"#.to_vec())]
#[case::too_deep("[".repeat(100_000).into_bytes())]
#[case::another_shape(br#"{"hunter2":1}"#.to_vec())]
#[actix_web::test]
async fn a_body_that_cannot_be_read_is_refused_and_kept_and_never_repeated(#[case] body: Vec<u8>) {
    let app = TestApp::start().await;
    let answer = app.post_signed("hr", "msg_1", &body).await;
    let details = problem(answer, 400).await;
    assert!(!details.to_string().contains("hunter2"), "{details}");
    let appended = app.appended();
    assert_eq!((appended.len(), appended[0].len()), (1, 1));
    assert_eq!(appended[0][0].topic, Topic::Quarantine);
    let aside: Quarantined = appended[0][0].read().unwrap();
    assert_eq!(aside.payload().unwrap(), body);
    assert_eq!(details["detail"], aside.why);
}

#[actix_web::test]
async fn a_body_up_to_the_limit_is_taken_and_one_byte_more_is_not() {
    let config = HttpConfig {
        max_body: ByteSize(1000),
        ..HttpConfig::default()
    };
    let app = TestApp::start_with(config, Secrets::fixed(vec![whsec(KEY).into()])).await;
    let padded = |size: usize| format!("{:size$}", r#"{"type":"ping"}"#);
    assert_eq!(
        app.post_signed("hr", "msg_1", padded(1000)).await.status(),
        202
    );
    problem(app.post_signed("hr", "msg_1", padded(1001)).await, 413).await;
}

#[rstest]
#[case("application/json", 202)]
#[case("application/json; charset=utf-8", 202)]
#[case("Application/JSON", 202)]
#[case("application/vnd.hr+json", 202)]
#[case("text/plain", 415)]
#[case("application/x-www-form-urlencoded", 415)]
#[case("application/jsonp", 415)]
#[case("", 415)]
#[actix_web::test]
async fn only_json_is_taken(#[case] kind: &str, #[case] status: u16) {
    let app = TestApp::start().await;
    let body = r#"{"type":"ping"}"#;
    let mut request = app
        .client
        .post(app.url("/in/hr"))
        .header("content-type", kind);
    for (name, value) in signed_headers("msg_1", &sign(KEY, "msg_1", body.as_bytes())) {
        request = request.header(name, value);
    }
    let answer = request.body(body).send().await.unwrap();
    assert_eq!(answer.status(), status);
}

#[actix_web::test]
async fn no_content_encoding_is_taken() {
    let app = TestApp::start().await;
    for encoding in ["gzip", "br", "identity"] {
        let answer = app
            .post("hr", &[("content-encoding", encoding)], "{}")
            .await;
        problem(answer, 415).await;
    }
}

#[actix_web::test]
async fn another_method_is_told_what_is_allowed_and_another_address_that_nothing_is_there() {
    let app = TestApp::start().await;
    for (path, allowed) in [
        ("/in/hr", "GET, POST"),
        ("/in/nobody", "GET, POST"),
        ("/health/live", "GET"),
        ("/metrics", "GET"),
    ] {
        let answer = app.client.delete(app.url(path)).send().await.unwrap();
        assert_eq!(answer.headers()["allow"], allowed);
        problem(answer, 405).await;
    }
    problem(app.get("/in/hr").await, 405).await;
    for path in ["/", "/in", "/in/hr/more", "/nothing"] {
        problem(app.get(path).await, 404).await;
    }
}

#[rstest]
#[case(Health::Unavailable("the disk is full".to_owned()))]
#[case(Health::Failed("a sync failed".to_owned()))]
#[actix_web::test]
async fn an_unhealthy_log_is_said_whoever_asks(#[case] health: Health) {
    let app = TestApp::start().await;
    app.set_health(health);
    for source in ["hr", "nobody"] {
        let answer = app.post_signed(source, "msg_1", leaver()).await;
        assert_eq!(answer.headers()["retry-after"], "5");
        let details = problem(answer, 503).await;
        assert!(!details.to_string().contains("disk"), "{details}");
    }
    app.set_health(Health::Writable);
    assert_eq!(app.post_signed("hr", "msg_1", leaver()).await.status(), 202);
}

#[rstest]
#[case(LogError::Unavailable("full".to_owned()), 503)]
#[case(LogError::Failed("sync".to_owned()), 503)]
#[case(LogError::Corrupt("torn".to_owned()), 503)]
#[case(LogError::Closed, 503)]
#[case(LogError::TooLarge { size: 2, most: 1 }, 413)]
#[actix_web::test]
async fn what_is_not_on_disk_is_not_accepted(#[case] fault: LogError, #[case] status: u16) {
    let app = TestApp::start().await;
    app.refuse(Some(fault));
    for body in [leaver(), json!({"unreadable": 1}).to_string()] {
        let answer = app.post_signed("hr", "msg_1", body).await;
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
        problem(answer, status).await;
    }
    app.refuse(None);
    assert_eq!(app.post_signed("hr", "msg_1", leaver()).await.status(), 202);
}
