//! Bodies that are no JSON, or JSON that two readers would read differently.

use offkey::domain::{Topic, quarantine::Quarantined};

use crate::harness::{SECRET, Stage, request, signed, until};

fn bodies() -> Vec<Vec<u8>> {
    let nested = |open: &str, close: &str, depth| {
        [open.repeat(depth), close.repeat(depth)]
            .concat()
            .into_bytes()
    };
    let mut all = vec![
        b"".to_vec(),
        b" ".to_vec(),
        b"\0".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"text\"".to_vec(),
        b"NaN".to_vec(),
        b"{\"type\": NaN}".to_vec(),
        b"{\"type\": -Infinity}".to_vec(),
        b"{\"type\": 1e999}".to_vec(),
        b"{\"type\": 01}".to_vec(),
        b"{\"type\": 'a'}".to_vec(),
        b"{\"type\": \"a\",}".to_vec(),
        b"{\"type\": \"a\"} {}".to_vec(),
        b"{\"type\": \"a\"".to_vec(),
        b"{\"type\": \"a\", \"type\": \"membership.changed\"}".to_vec(),
        b"{\"type\": \"\\ud800\"}".to_vec(),
        b"{\"type\": \"\\u0000\"}".to_vec(),
        b"{\"type\": \"\xff\xfe\"}".to_vec(),
        b"{\"type\": \"\xc0\xaf\"}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"\xff\xfe{\0}\0".to_vec(),
        b"/* */ {}".to_vec(),
        "\u{a0}{}".as_bytes().to_vec(),
        nested("[", "]", 100_000),
        nested("[", "", 200_000),
        nested("{\"a\":", "}", 40_000),
        nested("{\"data\":[", "]}", 20_000),
    ];
    // What fits the source up to the last byte, cut off anywhere.
    let whole = Stage::body("ada@example.com", "removed");
    all.extend((1..whole.len()).map(|end| whole[..end].to_vec()));
    all
}

#[test]
fn a_body_that_cannot_be_read_is_answered_400_and_put_aside_whatever_the_source() {
    let stage = Stage::set();
    let _service = stage.start();
    let bodies = bodies();
    for (n, body) in bodies.iter().enumerate() {
        let mut headers = signed(&format!("bad_{n}"), body, SECRET);
        for source in ["hr", "okta"] {
            if source == "okta" {
                headers.push(("authorization", SECRET.to_owned()));
            }
            let line = format!("POST /in/{source}");
            let answer = request(stage.address, &line, &headers, body).unwrap();
            let start = String::from_utf8_lossy(&body[..body.len().min(60)]);
            assert_eq!(answer.status, 400, "{source}: {start}");
        }
    }
    stage.report(stage.leave("good", "bo@example.com"));
    let aside: Vec<Quarantined> = until("the quarantine", || {
        let records = stage.records(&[Topic::Quarantine]);
        (records.len() >= 2 * bodies.len()).then(|| {
            records
                .iter()
                .map(|record| record.read().unwrap())
                .collect()
        })
    });
    for body in &bodies {
        let kept = aside
            .iter()
            .filter(|one| one.payload().as_deref() == Some(body));
        assert!(kept.count() >= 2, "{:?}", String::from_utf8_lossy(body));
    }
}
