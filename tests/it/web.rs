//! Requests that nobody should send.

use std::{fmt::Write as _, thread};

use offkey::domain::{ChangeId, Topic};

use crate::harness::{Connection, SECRET, Service, Stage, raw, request, signed};

/// The head of a signed request to `hr` without the length of its body.
fn head(id: &str, body: &[u8], more: &str) -> String {
    let mut head = format!("POST /in/hr HTTP/1.1\r\nhost: offkey\r\n{more}");
    for (name, value) in signed(id, body, SECRET) {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head
}

#[test]
fn a_body_over_the_limit_is_answered_413_whether_its_size_is_told_or_not() {
    let stage = Stage::set();
    let _service = stage.start();
    let body = vec![b' '; 256 * 1024 + 1];
    let told = stage.send("msg_1", &body).unwrap();
    assert_eq!(told.status, 413, "{told:?}");

    let mut bytes = "POST /in/hr HTTP/1.1\r\nhost: offkey\r\nconnection: close\r\n".to_owned();
    for (name, value) in signed("msg_2", &body, SECRET) {
        write!(bytes, "{name}: {value}\r\n").unwrap();
    }
    write!(
        bytes,
        "transfer-encoding: chunked\r\n\r\n{:x}\r\n",
        body.len()
    )
    .unwrap();
    let whole = [bytes.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let chunked = raw(stage.address, &whole);
    // Closing with unread bytes can reset the connection before the answer is read.
    assert!(chunked.is_none_or(|answer| answer.status == 413));
    stage.leave("msg_3", "ada@example.com");
}

/// The most that a flood of oversized bodies may cost.
const MOST_GROWTH: u64 = 16 << 20;

/// More than anybody takes in before the connection is closed, however fast the machine is.
const ENDLESS: usize = 1 << 36;

/// Writes `chunk` again and again until the other side has had enough; the bytes written.
fn flood(stage: &Stage, head: &str, chunk: &[u8]) -> usize {
    let mut connection = Connection::open(stage.address);
    let mut written = 0;
    if connection.write(head.as_bytes()).is_ok() {
        while written < ENDLESS && connection.write(chunk).is_ok() {
            written += chunk.len();
        }
    }
    written
}

#[test]
fn bodies_without_end_cost_no_memory() {
    let stage = Stage::set();
    let service: Service = stage.start();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let heads = [
        head("chunked", b"", "transfer-encoding: chunked\r\n"),
        head("huge", b"", "content-length: 10000000000\r\n"),
        // A bomb is refused by its header; what it would inflate to never matters.
        head(
            "gzip",
            b"",
            "content-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        ),
        head("nobody", b"", "transfer-encoding: chunked\r\n").replace("/in/hr", "/in/nobody"),
    ];
    let flood_all = || {
        thread::scope(|scope| {
            for head in &heads {
                let (stage, chunk) = (&stage, chunk.as_bytes());
                scope.spawn(move || {
                    let written = flood(stage, &format!("{head}\r\n"), chunk);
                    assert!(written < ENDLESS, "nobody stopped it: {head}");
                });
            }
        });
    };
    // What is allocated once, such as the buffers of a connection, is there before it is measured.
    flood_all();
    let before = service.memory("VmHWM");
    for _ in 0..6 {
        flood_all();
    }
    let grown = service.memory("VmHWM").saturating_sub(before);
    assert!(grown < MOST_GROWTH, "grown by {grown} bytes");
    stage.report(stage.leave("msg_1", "ada@example.com"));
}

#[test]
fn requests_on_one_connection_are_answered_in_order_and_each_with_its_own() {
    let stage = Stage::set();
    let _service = stage.start();
    let mut all = Vec::new();
    for n in 0..20 {
        let body = Stage::body("bo@example.com", "removed");
        let id = format!("msg_{n}");
        let length = format!("content-length: {}\r\n", body.len());
        all.extend([head(&id, &body, &length).as_bytes(), b"\r\n", &body].concat());
    }
    let mut connection = Connection::open(stage.address);
    connection.write(&all).unwrap();
    for n in 0..20 {
        let answer = connection.answer().unwrap();
        let id = ChangeId::derive("hr", &format!("msg_{n}")).to_string();
        assert_eq!(answer.status, 202, "{answer:?}");
        assert!(answer.body.contains(&id), "{n}: {answer:?}");
    }
}

#[test]
fn a_request_hidden_in_another_is_never_answered_and_never_kept() {
    let stage = Stage::set();
    let _service = stage.start();
    let hidden_body = Stage::body("ada@example.com", "removed");
    let length = format!("content-length: {}\r\n", hidden_body.len());
    let hidden = head("hidden", &hidden_body, &length);
    let hidden = [hidden.as_bytes(), b"\r\n", &hidden_body].concat();
    let framings = [
        format!(
            "content-length: {}\r\ntransfer-encoding: chunked\r\n",
            5 + hidden.len()
        ),
        format!(
            "content-length: 5\r\ncontent-length: {}\r\n",
            5 + hidden.len()
        ),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding: xchunked\r\ncontent-length: 5\r\n".to_owned(),
        "content-length: +5\r\n".to_owned(),
        "content-length: 5, 5\r\n".to_owned(),
        "transfer-encoding : chunked\r\ncontent-length: 5\r\n".to_owned(),
    ];
    for framing in framings {
        let outer = head("outer", b"0\r\n\r\n", &framing);
        let mut connection = Connection::open(stage.address);
        connection
            .write(&[outer.as_bytes(), b"\r\n0\r\n\r\n", &hidden].concat())
            .unwrap();
        while let Some(answer) = connection.answer() {
            assert!((400..500).contains(&answer.status), "{framing}: {answer:?}");
        }
    }
    stage.report(stage.leave("msg_1", "bo@example.com"));
    let hidden = ChangeId::derive("hr", "hidden").to_string();
    let records = stage.records(&[Topic::Membership]);
    assert!(records.iter().all(|record| record.id != hidden));
}

#[test]
fn a_request_that_two_readers_would_read_differently_is_refused_or_dropped() {
    let stage = Stage::set();
    let _service = stage.start();
    let huge = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(5000)
    );
    let abuses: [&[u8]; 8] = [
        b"GET /metrics\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"GET /metrics HTTP/1.1\r\nhost: a\r\nx\x00y: z\r\n\r\n",
        many.as_bytes(),
        b"POST /in/hr HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\
          connection: close\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /in/hr HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"\x16\x03\x01 this is no HTTP\r\n\r\n",
        huge.as_bytes(),
    ];
    for abuse in abuses {
        let answer = raw(stage.address, abuse);
        let is_refused = answer
            .as_ref()
            .is_none_or(|it| (400..500).contains(&it.status));
        assert!(is_refused, "{answer:?}");
    }
    stage.report(stage.leave("msg_1", "ada@example.com"));
}

#[test]
fn what_is_not_signed_or_nobodys_is_answered_401_and_not_kept() {
    let stage = Stage::set();
    let _service = stage.start();
    let body = Stage::body("ada@example.com", "removed");
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_eq!(
        stage.send_signed("msg_1", &body, other).unwrap().status,
        401
    );
    let headers = signed("msg_1", &body, SECRET);
    let stranger = request(stage.address, "POST /in/nobody", &headers, &body).unwrap();
    assert_eq!(stranger.status, 401);
    let records = stage.records(&[offkey::domain::Topic::Membership]);
    assert!(records.iter().all(|record| record.source != "/sources/hr"));
}
