//! A client that shows every byte: what a library would tidy up is what some tests are about.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The body, shown when a test fails.
    pub(crate) body: String,
}

/// Writes `bytes` and reads until the other side closes; nothing when no whole head came back.
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .ok()?;
    stream
        .set_write_timeout(Some(Duration::from_secs(15)))
        .ok()?;
    // A refusal can come, and the connection close, before everything is written.
    let written = stream.write_all(bytes);
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    drop((written, read));
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        body: body.to_owned(),
    })
}

/// One request with its own connection.
pub(crate) fn request(
    address: SocketAddr,
    line: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> Option<Answer> {
    let mut bytes = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    raw(address, &[bytes.as_bytes(), body].concat())
}
