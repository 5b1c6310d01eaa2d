//! What only a raw connection can send.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use offkey::config::{http::HttpConfig, secret::Secrets};
use rstest::rstest;

use crate::harness::{KEY, TestApp, whsec};

const CHUNKED: &str = "POST /in/hr HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                       transfer-encoding: chunked\r\n\r\n";

/// Sends `head`, then `chunk` again and again until the server answers or closes, and gives back
/// the answer's first line and how many bytes were sent.
fn flood(address: SocketAddr, head: &str, chunk: &[u8]) -> (String, usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let answer = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&bytes)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    });
    let mut sent = 0;
    if stream.write_all(head.as_bytes()).is_ok() && !chunk.is_empty() {
        while sent < 64 << 20 && stream.write_all(chunk).is_ok() {
            sent += chunk.len();
        }
    }
    (answer.join().unwrap(), sent)
}

#[actix_web::test]
async fn an_endless_body_is_cut_off_at_the_limit() {
    let app = TestApp::start().await;
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let (answer, sent) = flood(app.address, CHUNKED, chunk.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
    assert!(sent < 16 << 20, "{sent} bytes were taken");
}

#[actix_web::test]
async fn a_body_said_to_be_huge_is_refused_before_it_comes() {
    let app = TestApp::start().await;
    let head = CHUNKED.replace("transfer-encoding: chunked", "content-length: 10000000000");
    let (answer, _) = flood(app.address, &head, b"");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
}

#[actix_web::test]
async fn a_body_that_does_not_come_is_given_up() {
    let config = HttpConfig {
        body_timeout: Duration::from_millis(20),
        ..HttpConfig::default()
    };
    let app = TestApp::start_with(config, Secrets::fixed(vec![whsec(KEY).into()])).await;
    let head = CHUNKED.replace("transfer-encoding: chunked", "content-length: 10");
    let (answer, _) = flood(app.address, &head, b"");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
}

#[rstest]
#[case::two_lengths("content-length: 2\r\ncontent-length: 3")]
#[case::a_length_and_chunks("content-length: 2\r\ntransfer-encoding: chunked")]
#[case::a_length_that_is_none("content-length: -1")]
#[actix_web::test]
async fn a_body_whose_end_two_readers_would_see_elsewhere_is_refused(#[case] framing: &str) {
    let app = TestApp::start().await;
    let head = CHUNKED.replace("transfer-encoding: chunked", framing);
    let (answer, _) = flood(app.address, &format!("{head}0\r\n\r\n"), b"");
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer:?}");
    assert!(app.appended().is_empty());
}
