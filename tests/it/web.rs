//! Requests that nobody should send.

use std::fmt::Write as _;

use crate::harness::{SECRET, Stage, raw, request, signed};

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

#[test]
fn a_request_that_two_readers_would_read_differently_is_refused_or_dropped() {
    let stage = Stage::set();
    let _service = stage.start();
    let huge = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    let abuses: [&[u8]; 4] = [
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
