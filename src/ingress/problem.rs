//! Every refusal, as problem details (RFC 9457). Nothing that a client sent is repeated in one.

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
    },
};
use serde::Serialize;

use crate::log::LogError;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("the source is not known, or the request does not prove that it comes from it")]
    Unauthentic,
    #[error("{0}")]
    Unreadable(String),
    #[error("the body did not arrive whole")]
    Interrupted,
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("the body is larger than is taken here")]
    TooLarge,
    #[error("only JSON is taken: a content type of application/json or +json")]
    NotJson,
    #[error("no content encoding is taken; send the body as it is")]
    Encoded,
    #[error("records cannot be kept now; send it again later")]
    Unavailable,
    #[error("the process is not ready: {0}")]
    NotReady(String),
    #[error("only {0} is answered here")]
    Method(&'static str),
    #[error("nothing is here")]
    NotFound,
}

/// The members of problem details that we use.
#[derive(Serialize)]
struct Details {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
}

impl Problem {
    /// The outcome's name in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Unauthentic => "unauthentic",
            Self::Unreadable(_) => "unreadable",
            Self::Interrupted => "interrupted",
            Self::TooSlow => "too_slow",
            Self::TooLarge => "too_large",
            Self::NotJson | Self::Encoded => "unsupported",
            Self::Unavailable => "unavailable",
            Self::NotReady(_) => "not_ready",
            Self::Method(_) => "method",
            Self::NotFound => "not_found",
        }
    }

    /// Whether the rest of the request may still be on its way, so that the connection is no
    /// longer in step.
    fn leaves_a_body(&self) -> bool {
        !matches!(
            self,
            Self::Unauthentic | Self::Unreadable(_) | Self::NotReady(_)
        )
    }
}

impl From<LogError> for Problem {
    fn from(fault: LogError) -> Self {
        match fault {
            LogError::TooLarge { .. } => Self::TooLarge,
            LogError::Unavailable(_)
            | LogError::Failed(_)
            | LogError::Corrupt(_)
            | LogError::Configured(_)
            | LogError::Moved
            | LogError::Replaced(_)
            | LogError::Closed => Self::Unavailable,
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthentic => StatusCode::UNAUTHORIZED,
            Self::Unreadable(_) | Self::Interrupted => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson | Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unavailable | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let details = Details {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Refused"),
            status: status.as_u16(),
            detail: self.to_string(),
        };
        let mut response = HttpResponse::build(status);
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, "5"));
        }
        if let Self::Method(allowed) = self {
            response.insert_header((ALLOW, *allowed));
        }
        if self.leaves_a_body() {
            response.force_close();
        }
        response.body(serde_json::to_vec(&details).unwrap_or_default())
    }
}
