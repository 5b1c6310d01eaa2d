//! Reads a body: JSON only, never more than the limit, never longer than the time.

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH},
    web::{Bytes, BytesMut, Payload},
};
use futures_util::StreamExt;

use super::problem::Problem;
use crate::config::http::HttpConfig;

/// Refuses, before the body is read, what says that it is no plain JSON or is too large.
pub(super) fn check(request: &HttpRequest, limits: &HttpConfig) -> Result<(), Problem> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(Problem::Encoded);
    }
    let kind = request.content_type().to_ascii_lowercase();
    if kind != "application/json" && !kind.ends_with("+json") {
        return Err(Problem::NotJson);
    }
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limits.max_body.0) {
        return Err(Problem::TooLarge);
    }
    Ok(())
}

/// Reads the body.
pub(super) async fn read(payload: &mut Payload, limits: &HttpConfig) -> Result<Bytes, Problem> {
    let most = limits.max_body.0;
    let arrival = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Problem::Interrupted)?;
            if body.len().saturating_add(chunk.len()) > most {
                return Err(Problem::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(limits.body_timeout, arrival)
        .await
        .unwrap_or(Err(Problem::TooSlow))
}
