//! Reads a body: JSON only, never more than the limit, never longer than the time.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
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
    if length.is_some_and(|length| length > most_bytes(limits)) {
        return Err(Problem::TooLarge);
    }
    Ok(())
}

/// Reads the body.
pub(super) async fn read(payload: &mut Payload, limits: &HttpConfig) -> Result<Bytes, Problem> {
    let most = most_bytes(limits);
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

/// The answer, holding on to the request's body until it is sent.
///
/// The server reads a chunked body that is let go of to its end, however long that is; one that is
/// still held when the answer is out has its connection closed.
pub(super) fn hold_until_sent(response: HttpResponse, unread: Payload) -> HttpResponse {
    response.map_body(|_, answer| {
        let answer = answer.try_into_bytes().unwrap_or_default();
        BoxBody::new(Held {
            answer: Some(answer),
            _unread: unread,
        })
    })
}

struct Held {
    answer: Option<Bytes>,
    _unread: Payload,
}

impl MessageBody for Held {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.answer.as_ref().map_or(0, Bytes::len) as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.answer.take().map(Ok))
    }
}

fn most_bytes(limits: &HttpConfig) -> usize {
    usize::try_from(limits.max_body.as_u64()).unwrap_or(usize::MAX)
}
