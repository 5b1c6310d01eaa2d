//! How the simulated API says no.
//!
//! Deepgram has three bodies: plain text, `{err_code, err_msg, request_id}` and
//! `{category, message, details, request_id}`. Which goes with which status is from the error
//! pages and the API description of developers.deepgram.com; what they leave open is marked.

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde_json::json;
use uuid::Uuid;

/// Every way a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The management API does not know the credential.
    #[error("Authentication failed.")]
    Unauthenticated,
    /// The data plane does not know the credential.
    #[error("Invalid credentials.")]
    InvalidAuth,
    /// `auth/grant` does not know the credential.
    #[error("Invalid credentials.")]
    GrantRefused,
    /// The credential may not do this. Documented for `auth/grant`; elsewhere assumed.
    #[error("Insufficient permissions.")]
    Forbidden,
    /// The same for invitations and for leaving.
    #[error("User does not have sufficient permissions.")]
    ForbiddenText,
    /// There is no such project, member, key, request or invitation.
    #[error("A {0} with the submitted ID cannot be found.")]
    NotFound(&'static str),
    /// The id in the path is no UUID.
    #[error("UUID parsing failed: {0}")]
    NotAUuid(String),
    /// The body is not what is expected.
    #[error("Invalid JSON submitted.")]
    InvalidJson(String),
    /// The request makes no sense.
    #[error("Invalid request: {0}")]
    Invalid(String),
    /// The project would be left without an owner. The body is assumed.
    #[error("A project must have at least one owner.")]
    SoleOwner,
    /// A fault that was switched on.
    #[error("A fault of status {status}.")]
    Injected {
        /// One of 401, 403, 429, 500 and 503.
        status: StatusCode,
        /// Seconds.
        retry_after: Option<u64>,
    },
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthenticated | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::InvalidAuth | Self::ForbiddenText => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) | Self::NotAUuid(_) => StatusCode::NOT_FOUND,
            Self::GrantRefused | Self::InvalidJson(_) | Self::Invalid(_) | Self::SoleOwner => {
                StatusCode::BAD_REQUEST
            }
            Self::Injected { status, .. } => *status,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Unauthenticated => response.json(modern(
                "UNAUTHORIZED",
                self,
                "Check that you are using the correct credentials.",
            )),
            Self::NotFound(_) => response.json(modern(
                "NOT_FOUND",
                self,
                "Check that you have submitted the intended ID and that it has not been deleted.",
            )),
            Self::InvalidJson(details) => response.json(modern("INVALID_JSON", self, details)),
            Self::SoleOwner => {
                response.json(modern("INVALID_REQUEST", self, "Name another owner first."))
            }
            Self::InvalidAuth => response.json(legacy("INVALID_AUTH", self)),
            Self::GrantRefused => response.json(legacy("BAD_REQUEST", self)),
            Self::Forbidden => response.json(legacy("FORBIDDEN", self)),
            Self::ForbiddenText | Self::NotAUuid(_) | Self::Invalid(_) => {
                response.content_type("text/plain").body(self.to_string())
            }
            Self::Injected {
                status,
                retry_after,
            } => {
                if let Some(seconds) = retry_after {
                    response.insert_header(("Retry-After", seconds.to_string()));
                }
                response.json(injected(*status, self))
            }
        }
    }
}

fn injected(status: StatusCode, refusal: &Refusal) -> serde_json::Value {
    match status.as_u16() {
        401 => legacy("INVALID_AUTH", &Refusal::InvalidAuth),
        403 => modern("UNAUTHORIZED", &Refusal::Unauthenticated, ""),
        429 => json!({
            "err_code": "TOO_MANY_REQUESTS",
            "err_msg": "Too many requests. Please try again later",
            "request_id": Uuid::new_v4(),
        }),
        _ => legacy("INTERNAL_SERVER_ERROR", refusal),
    }
}

fn legacy(code: &str, refusal: &Refusal) -> serde_json::Value {
    json!({
        "err_code": code,
        "err_msg": refusal.to_string(),
        "request_id": Uuid::new_v4(),
    })
}

fn modern(category: &str, refusal: &Refusal, details: &str) -> serde_json::Value {
    json!({
        "category": category,
        "message": refusal.to_string(),
        "details": details,
        "request_id": Uuid::new_v4(),
    })
}
