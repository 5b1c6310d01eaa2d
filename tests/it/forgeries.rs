//! Requests of somebody who does not know the secret.

use std::{fmt::Write as _, thread};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use offkey::{
    domain::Topic,
    sources::signature::{Algorithm, hmac},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::harness::{Connection, SECRET, Stage, is_long, seed, signed};

/// How many are on their way at once on one connection.
const VOLLEY: usize = 32;
const CONNECTIONS: usize = 4;

/// A source that is described by its configuration, signed in hexadecimal.
fn generic(stage: &Stage) -> String {
    format!(
        r#"
[[source]]
name = "generic"
kind = "declarative"
secrets = [{{ file = {:?} }}]
[source.proof]
kind = "hmac"
algorithm = "hmac-sha256"
encoding = "hex"
signature = {{ header = "x-signature", prefix = "sha256=" }}
[source.events]
id = {{ header = "x-id" }}
type = [{{ path = "$.event" }}]
person = {{ email = {{ path = "$.email" }} }}
[source.events.types]
"left" = "removed"
"#,
        stage.path("secret")
    )
}

fn post(source: &str, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "POST /in/{source} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers.iter().filter(|(name, _)| *name != "content-type") {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// A request to `hr` with this signature instead of its own.
fn to_hr(signature: &str, body: &[u8]) -> Vec<u8> {
    let mut headers = signed("forged", body, SECRET);
    headers.retain(|(name, _)| *name != "webhook-signature");
    headers.push(("webhook-signature", signature.to_owned()));
    post("hr", &headers, body)
}

fn to_generic(header: &'static str, signature: &str, body: &[u8]) -> Vec<u8> {
    let headers = [
        ("x-id", "forged".to_owned()),
        (header, signature.to_owned()),
    ];
    post("generic", &headers, body)
}

/// Sends them on one connection, some at once, and expects 401 for each.
fn expect_refusals(stage: &Stage, forgeries: &[Vec<u8>]) {
    let mut connection = Connection::open(stage.address);
    for volley in forgeries.chunks(VOLLEY) {
        connection.write(&volley.concat()).unwrap();
        for one in volley {
            let answer = connection.answer().unwrap();
            let text = String::from_utf8_lossy(one);
            assert_eq!(answer.status, 401, "{text}");
        }
    }
}

/// `text` with one bit changed, for every bit whose change leaves a header that can be sent.
fn flips(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for at in 0..text.len() {
        for bit in 0..7 {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            if bytes[at].is_ascii_graphic() {
                all.push(String::from_utf8(bytes).unwrap());
            }
        }
    }
    all
}

fn forged_by_hand() -> Vec<Vec<u8>> {
    let body = Stage::body("ada@example.com", "removed");
    let headers = signed("forged", &body, SECRET);
    let right = headers.last().unwrap().1.clone();
    let encoded = right.strip_prefix("v1,").unwrap();
    let raw = BASE64_STANDARD.decode(encoded).unwrap();
    let mut signatures = flips(&right);
    // Padding can be left out; anything else not.
    signatures.extend((0..right.len() - 1).map(|end| right.split_at(end).0.to_owned()));
    let wrong = format!("v1,{}", BASE64_STANDARD.encode([7; 32]));
    signatures.extend([
        String::new(),
        " ".to_owned(),
        encoded.to_owned(),
        format!("v1,{}", hex::encode(&raw)),
        format!("v1,{}", BASE64_STANDARD.encode(&raw[..20])),
        format!("v1a,{encoded}"),
        format!("v2,{encoded}"),
        format!("v1={encoded}"),
        right.to_ascii_lowercase(),
        right.to_ascii_uppercase(),
        [vec![wrong.clone(); 16], vec![right.clone()]]
            .concat()
            .join(" "),
        vec![wrong; 400].join(" "),
    ]);
    let mut all: Vec<_> = signatures.iter().map(|one| to_hr(one, &body)).collect();
    // The right signature of something else, or told twice.
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut twice = headers.clone();
        twice.extend(headers.iter().filter(|(known, _)| *known == name).cloned());
        all.push(post("hr", &twice, &body));
        let mut absent = headers.clone();
        absent.retain(|(known, _)| *known != name);
        all.push(post("hr", &absent, &body));
    }
    all.push(post(
        "hr",
        &headers,
        &Stage::body("bo@example.com", "removed"),
    ));
    all.extend(forged_in_hexadecimal(&raw));
    all
}

fn forged_in_hexadecimal(other: &[u8]) -> Vec<Vec<u8>> {
    let body = br#"{"event":"left","email":"ada@example.com"}"#;
    let mac = |algorithm| hex::encode(hmac(algorithm, SECRET.as_bytes(), &[body]));
    let right = mac(Algorithm::HmacSha256);
    let mut signatures = flips(&format!("sha256={right}"));
    signatures.extend((0..right.len()).map(|end| format!("sha256={}", right.split_at(end).0)));
    signatures.extend([
        right.clone(),
        format!("sha256={}", right.to_ascii_uppercase()),
        format!("SHA256={right}"),
        format!("sha256={right}00"),
        format!("sha256={}", hex::encode(other)),
        format!("sha512={}", mac(Algorithm::HmacSha512)),
        format!("sha256={}", mac(Algorithm::HmacSha512)),
        format!("sha1={}", right.split_at(40).0),
    ]);
    let of_header = |one: &String| to_generic("x-signature", one, body);
    let mut all: Vec<_> = signatures.iter().map(of_header).collect();
    all.push(to_generic(
        "x-signature-sha1",
        &format!("sha256={right}"),
        body,
    ));
    all
}

/// A guess, of one of the kinds that look most like the real thing.
fn guess(random: &mut StdRng, body: &[u8]) -> Vec<u8> {
    let mut bytes = [0; 64];
    random.fill(&mut bytes);
    let encoded = BASE64_STANDARD.encode(&bytes[..32]);
    match random.random_range(0..5) {
        0 => to_generic(
            "x-signature",
            &format!("sha256={}", hex::encode(&bytes[..32])),
            body,
        ),
        1 => to_hr(&format!("v1a,{}", BASE64_STANDARD.encode(bytes)), body),
        2 => to_hr(&vec![format!("v1,{encoded}"); 16].join(" "), body),
        3 => {
            let secret = format!("whsec_{encoded}");
            post("hr", &signed("forged", body, &secret), body)
        }
        _ => to_hr(&format!("v1,{encoded}"), body),
    }
}

#[test]
fn no_forged_request_of_very_many_is_believed() {
    let stage = Stage::set_with("1h", generic);
    let _service = stage.start();
    // The same requests, rightly signed, are believed.
    let body = br#"{"event":"left","email":"ada@example.com"}"#;
    let mac = hmac(Algorithm::HmacSha256, SECRET.as_bytes(), &[body]);
    let right = to_generic("x-signature", &format!("sha256={}", hex::encode(mac)), body);
    let mut connection = Connection::open(stage.address);
    connection.write(&right).unwrap();
    assert_eq!(connection.answer().unwrap().status, 202);

    expect_refusals(&stage, &forged_by_hand());
    let seed = seed("forgeries");
    let each = if is_long() { 1_000_000 } else { 8000 } / CONNECTIONS;
    thread::scope(|scope| {
        for number in 0..CONNECTIONS as u64 {
            let stage = &stage;
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(seed.wrapping_add(number));
                let mut left = each;
                while left > 0 {
                    let some = left.min(VOLLEY * 32);
                    let forgeries: Vec<_> = (0..some).map(|_| guess(&mut random, body)).collect();
                    expect_refusals(stage, &forgeries);
                    left -= some;
                }
            });
        }
    });
    eprintln!("{} random forgeries, none believed", each * CONNECTIONS);
    let records = stage.records(&[Topic::Membership, Topic::Quarantine]);
    assert_eq!(records.len(), 1, "only what was rightly signed is kept");
}
