//! The ingress over real connections: what a sender is told, and what is then on disk.
#![expect(
    clippy::unwrap_used,
    reason = "a failed step of a helper should stop the test"
)]

mod harness;
mod refusals;
mod wire;

use actix_web::rt::task::spawn_blocking;
use jiff::SignedDuration;
use offkey::{
    config::{
        http::HttpConfig,
        secret::{SecretRef, Secrets},
    },
    domain::{ChangeId, MembershipChange, Quarantined, Topic},
    sources::Lookup,
};
use serde_json::{Value, json};

use harness::{KEY, TestApp, WORD, leaver, noon, sign, signed_headers, whsec};

#[actix_web::test]
async fn an_accepted_change_is_in_the_log_under_the_id_the_sender_is_told() {
    let app = TestApp::start().await;
    let answer = app.post_signed("hr", "msg_1", leaver()).await;
    assert_eq!(answer.status(), 202);
    let id = ChangeId::derive("hr", "msg_1");
    let expected = json!({"accepted": [id], "lookups": 0, "quarantined": [], "ignored": 0});
    assert_eq!(answer.json::<Value>().await.unwrap(), expected);

    let appended = app.appended();
    let [record] = appended[0].as_slice() else {
        panic!("{appended:?}");
    };
    assert_eq!(
        (record.topic, record.heard_at()),
        (Topic::Membership, noon())
    );
    let change: MembershipChange = record.read().unwrap();
    assert_eq!((change.id, change.source.as_str()), (id, "hr"));
}

#[actix_web::test]
async fn a_repeat_is_answered_the_same_and_is_the_same_record() {
    let app = TestApp::start().await;
    let first = app.post_signed("hr", "msg_1", leaver()).await;
    app.clock.set(noon() + SignedDuration::from_mins(1));
    let second = app.post_signed("hr", "msg_1", leaver()).await;
    assert_eq!(first.status(), second.status());
    assert_eq!(first.text().await.unwrap(), second.text().await.unwrap());
    let appended = app.appended();
    assert_eq!(appended[0][0].id, appended[1][0].id);
    assert_eq!(appended[0][0].data, appended[1][0].data);
}

#[actix_web::test]
async fn what_means_nothing_is_answered_and_not_kept() {
    let app = TestApp::start().await;
    let answer = app.post_signed("hr", "msg_1", r#"{"type":"ping"}"#).await;
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.json::<Value>().await.unwrap()["ignored"], 1);
    assert!(app.appended().is_empty());
}

fn okta_event(uuid: &str, event_type: &str) -> Value {
    json!({
        "uuid": uuid,
        "published": noon(),
        "eventType": event_type,
        "outcome": {"result": "SUCCESS"},
        "target": [{"id": "00u1", "type": "User", "alternateId": "ada@example.com"}],
    })
}

#[actix_web::test]
async fn a_delivery_of_several_events_is_one_append_and_a_broken_one_is_put_aside() {
    let app = TestApp::start().await;
    let mut broken = okta_event("e3", "user.lifecycle.suspend");
    broken["published"] = json!("some day");
    let body = json!({"data": {"events": [
        okta_event("e1", "user.lifecycle.deactivate"),
        okta_event("e2", "user.account.update_profile"),
        broken,
        okta_event("e4", "user.session.start"),
    ]}})
    .to_string();
    let headers = [("authorization", WORD), ("x-trace", "t1")];
    let answer = app.post("okta", &headers, body.clone()).await;
    assert_eq!(answer.status(), 200);
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told["accepted"], json!([ChangeId::derive("okta", "e1")]));
    assert_eq!((&told["lookups"], &told["ignored"]), (&json!(1), &json!(1)));

    let appended = app.appended();
    assert_eq!(appended.len(), 1);
    let topics: Vec<_> = appended[0].iter().map(|record| record.topic).collect();
    assert_eq!(
        topics,
        [Topic::Membership, Topic::Lookups, Topic::Quarantine]
    );
    let lookup: Lookup = appended[0][1].read().unwrap();
    assert_eq!(
        (lookup.account.as_str(), lookup.event_id.as_str()),
        ("00u1", "e2")
    );
    let aside: Quarantined = appended[0][2].read().unwrap();
    assert_eq!(told["quarantined"], json!([aside.id]));
    assert_eq!(aside.event_id.as_deref(), Some("e3"));
    assert!(
        aside.why.starts_with("data.events[2].published: "),
        "{}",
        aside.why
    );
    assert_eq!(aside.payload().unwrap(), body.as_bytes());
    let names: Vec<_> = aside
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(names.contains(&"x-trace") && !names.contains(&"authorization"));
    assert!(!String::from_utf8_lossy(&appended[0][2].data).contains(WORD));
}

#[actix_web::test]
async fn a_source_that_keeps_no_payload_leaves_none_in_quarantine() {
    let app = TestApp::start().await;
    let body = leaver().replace("removed", "fired");
    assert_eq!(app.post_signed("quiet", "msg_1", &body).await.status(), 202);
    let aside: Quarantined = app.appended()[0][0].read().unwrap();
    assert_eq!((aside.payload(), aside.body_bytes), (None, body.len()));
    assert!(aside.headers.is_empty());
}

#[actix_web::test]
async fn okta_gets_its_challenge_back_and_nobody_else_learns_who_listens() {
    let app = TestApp::start().await;
    let ask = |source: &str| {
        app.client
            .get(app.url(&format!("/in/{source}")))
            .header("x-okta-verification-challenge", "c-1")
            .send()
    };
    let answer = ask("okta").await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.json::<Value>().await.unwrap(),
        json!({"verification": "c-1"})
    );
    for source in ["hr", "nobody"] {
        let answer = ask(source).await.unwrap();
        assert_eq!(answer.status(), 405);
        assert_eq!(answer.headers()["allow"], "POST");
    }
}

#[actix_web::test]
async fn a_signature_lives_for_five_minutes_both_ways_to_the_microsecond() {
    let app = TestApp::start().await;
    let five = SignedDuration::from_mins(5);
    let one = SignedDuration::from_micros(1);
    for (late, expected) in [
        (five, 202),
        (-five, 202),
        (five + one, 401),
        (-five - one, 401),
    ] {
        app.clock.set(noon() + late);
        let answer = app.post_signed("hr", "msg_1", leaver()).await;
        assert_eq!(answer.status(), expected, "{late}");
    }
    assert_eq!(app.appended().len(), 2);
}

#[actix_web::test]
async fn secrets_are_exchanged_under_load_without_one_false_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets");
    let key = |round: usize| format!("key number {round}").into_bytes();
    let write = |keys: &[Vec<u8>]| {
        let lines: Vec<_> = keys.iter().map(|key| whsec(key)).collect();
        std::fs::write(&file, lines.join("\n")).unwrap();
    };
    write(&[key(0)]);
    let secrets = Secrets::load(vec![SecretRef::File { file: file.clone() }]).unwrap();
    let app = TestApp::start_with(HttpConfig::default(), secrets).await;
    let send = |key: Vec<u8>, id: String| {
        let app = &app;
        async move {
            let headers = signed_headers(&id, &sign(&key, &id, leaver().as_bytes()));
            let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
            app.post("hr", &headers, leaver()).await.status()
        }
    };
    for round in 0..50 {
        // Both are valid while the sender changes over; then the old one goes.
        write(&[key(round), key(round + 1)]);
        let secrets = std::sync::Arc::clone(&app.secrets["hr"]);
        let reload = spawn_blocking(move || secrets.reload());
        let during = send(key(round), format!("during-{round}"));
        let (reloaded, status) = futures_util::future::join(reload, during).await;
        reloaded.unwrap().unwrap();
        assert_eq!(status, 202);
        assert_eq!(send(key(round + 1), format!("new-{round}")).await, 202);
        write(&[key(round + 1)]);
        app.secrets["hr"].reload().unwrap();
        assert_eq!(send(key(round), format!("old-{round}")).await, 401);
    }
    assert_eq!(app.appended().len(), 100);
}

#[actix_web::test]
async fn health_says_whether_it_is_alive_and_whether_it_is_ready() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/health/ready").await.status(), 204);
    *app.ready.lock().unwrap() = Err("the projection is catching up".to_owned());
    let answer = app.get("/health/ready").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.text().await.unwrap().contains("catching up"));
    assert_eq!(app.get("/health/live").await.status(), 204);
}

#[actix_web::test]
async fn metrics_count_by_source_and_call_strangers_unknown() {
    let app = TestApp::start().await;
    app.post_signed("hr", "msg_1", leaver()).await;
    app.post_signed("a-name-nobody-configured", "msg_1", leaver())
        .await;
    let shown = app.get("/metrics").await.text().await.unwrap();
    for line in [
        r#"offkey_ingress_requests_total{source="hr",outcome="accepted"}"#,
        r#"offkey_ingress_requests_total{source="unknown",outcome="unauthentic"}"#,
        r#"offkey_ingress_changes_total{source="hr",change="removed"}"#,
        "offkey_ingress_body_bytes",
        "offkey_ingress_append_seconds",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("a-name-nobody-configured"));
}

#[actix_web::test]
async fn a_shutdown_ends_the_server() {
    let app = TestApp::start().await;
    app.post_signed("hr", "msg_1", leaver()).await;
    assert!(app.stop().await.is_ok());
}

#[actix_web::test]
async fn thousands_of_forged_requests_leave_nothing_behind() {
    let app = TestApp::start().await;
    let body = leaver();
    let right = sign(KEY, "msg_1", body.as_bytes());
    let mut tried = 0;
    // Every byte of the signature and of the body, changed.
    for index in 0..right.len() {
        let mut bytes = right.clone().into_bytes();
        bytes[index] ^= 1;
        let forged = String::from_utf8(bytes).unwrap();
        let headers = signed_headers("msg_1", &forged);
        let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(
            app.post("hr", &headers, body.clone()).await.status(),
            401,
            "{forged}"
        );
        tried += 1;
    }
    let headers = signed_headers("msg_1", &right);
    let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
    for index in 0..body.len() {
        let mut bytes = body.clone().into_bytes();
        bytes[index] ^= 1;
        assert_eq!(
            app.post("hr", &headers, bytes).await.status(),
            401,
            "byte {index}"
        );
        tried += 1;
    }
    // Signatures under keys that nobody has.
    while tried < 3000 {
        let forged = sign(
            format!("guess {tried}").as_bytes(),
            "msg_1",
            body.as_bytes(),
        );
        let headers = signed_headers("msg_1", &forged);
        let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(app.post("hr", &headers, body.clone()).await.status(), 401);
        tried += 1;
    }
    assert!(app.appended().is_empty());
    assert_eq!(app.post("hr", &headers, body).await.status(), 202);
}
