//! Calls to the management API: bounded in number, time and size, and tried again when it may help.

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::{
    Response, StatusCode,
    header::{AUTHORIZATION, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use url::Url;

use super::{
    retry::{Limits, parse_retry_after},
    wire::{Listed, Member, Own, Project, Said},
};
use crate::clock::Clock;

/// How many calls run at once.
const MOST_CALLS: usize = 4;
/// The longest body read, in bytes.
const LONGEST_BODY: usize = 32 << 20;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The credential is not known, or may not do this.
    #[error("HTTP {status}: {said}")]
    Refused { status: StatusCode, said: String },
    /// Another status that trying again does not help.
    #[error("HTTP {status}: {said}")]
    Status { status: StatusCode, said: String },
    /// It failed until we stopped trying.
    #[error("gave up after {attempts} attempts; the last: {last}")]
    GaveUp { attempts: u32, last: String },
    /// The answer is not what is documented.
    #[error("the answer cannot be read: {0}")]
    Unreadable(#[source] serde_json::Error),
    /// The answer is too long.
    #[error("the answer is longer than {LONGEST_BODY} bytes")]
    TooLong,
    /// The secret holds bytes that no header may.
    #[error("the API key holds characters that cannot be sent; check where it is read from")]
    Credential,
    /// There is no secret.
    #[error("no API key is configured")]
    NoCredential,
    /// The configured address is not one of a web server, or holds a password.
    #[error("base_url is no address of an API; write https://HOST, without a user")]
    Address,
    /// No client can be built.
    #[error("no HTTP client can be built: {0}")]
    Client(#[source] reqwest::Error),
}

impl CallError {
    /// Whether another credential would help.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Credential | Self::NoCredential
        )
    }
}

/// What one attempt came to.
enum Attempt {
    Done(Vec<u8>),
    Again(Option<std::time::Duration>, String),
}

/// The API at one address.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    limits: Limits,
    clock: Arc<dyn Clock>,
    permits: Semaphore,
}

impl Client {
    /// A client for the API at `base`, with or without a slash at its end.
    pub(super) fn new(base: Url, limits: Limits, clock: Arc<dyn Clock>) -> Result<Self, CallError> {
        let is_web = matches!(base.scheme(), "http" | "https");
        if !is_web || !base.username().is_empty() || base.password().is_some() {
            return Err(CallError::Address);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(limits.connect)
            .timeout(limits.request)
            .redirect(Policy::none())
            .user_agent(concat!("offkey/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(CallError::Client)?;
        Ok(Self {
            http,
            base,
            limits,
            clock,
            permits: Semaphore::new(MOST_CALLS),
        })
    }

    /// The projects that the key sees.
    pub(super) async fn projects(&self, key: &SecretString) -> Result<Vec<Project>, CallError> {
        let list: super::wire::Projects = self.get(key, &["v1", "projects"], &[]).await?;
        Ok(list.projects)
    }

    /// What the key says about itself; absent: it does not say.
    pub(super) async fn own(&self, key: &SecretString) -> Option<Own> {
        let said = self.get(key, &["v1", "auth", "token"], &[]).await;
        said.inspect_err(|why| tracing::debug!(%why, "our key says nothing about itself"))
            .ok()
    }

    /// The members of a project.
    pub(super) async fn members(
        &self,
        key: &SecretString,
        project: &str,
    ) -> Result<Vec<Member>, CallError> {
        let path = ["v1", "projects", project, "members"];
        let list: super::wire::Members = self.get(key, &path, &[]).await?;
        Ok(list.members)
    }

    /// The keys of a project that are `active` or `expired`.
    pub(super) async fn keys(
        &self,
        key: &SecretString,
        project: &str,
        status: &str,
    ) -> Result<Vec<Listed>, CallError> {
        let path = ["v1", "projects", project, "keys"];
        let list: super::wire::Keys = self.get(key, &path, &[("status", status)]).await?;
        Ok(list.api_keys)
    }

    /// Asks until there is an answer, or no hope of one.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        key: &SecretString,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, CallError> {
        let url = self.url(path)?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (asked, last) = match self.attempt(key, &url, query).await? {
                Attempt::Done(body) => {
                    return serde_json::from_slice(&body).map_err(CallError::Unreadable);
                }
                Attempt::Again(asked, last) => (asked, last),
            };
            let Some(pause) = self.limits.pause(attempts, asked, rand::random()) else {
                return Err(CallError::GaveUp { attempts, last });
            };
            tracing::debug!(path = url.path(), %last, ?pause, "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    fn url(&self, path: &[&str]) -> Result<Url, CallError> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(path),
            Err(()) => return Err(CallError::Address),
        };
        Ok(url)
    }

    async fn attempt(
        &self,
        key: &SecretString,
        url: &Url,
        query: &[(&str, &str)],
    ) -> Result<Attempt, CallError> {
        let token = format!("Token {}", key.expose_secret());
        let mut token = HeaderValue::from_str(&token).map_err(|_| CallError::Credential)?;
        token.set_sensitive(true);
        let request = self.http.get(url.clone()).query(query);
        let request = request.header(AUTHORIZATION, token);
        // Nobody closes the semaphore; without a permit we would only be less polite.
        let _permit = self.permits.acquire().await;
        let response = match request.send().await {
            Ok(response) => response,
            Err(why) => return Ok(Attempt::Again(None, chain(why))),
        };
        let status = response.status();
        let asked = retry_after(&response, self.clock.now());
        let body = match read_body(response).await? {
            Ok(body) => body,
            Err(why) => return Ok(Attempt::Again(None, chain(why))),
        };
        match status {
            _ if status.is_success() => Ok(Attempt::Done(body)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(CallError::Refused {
                status,
                said: Said::text(&body),
            }),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Ok(Attempt::Again(asked, format!("HTTP {status}")))
            }
            _ if status.is_server_error() => Ok(Attempt::Again(asked, format!("HTTP {status}"))),
            _ => Err(CallError::Status {
                status,
                said: Said::text(&body),
            }),
        }
    }
}

async fn read_body(mut response: Response) -> Result<Result<Vec<u8>, reqwest::Error>, CallError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST_BODY => {
                return Err(CallError::TooLong);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(Ok(body)),
            Err(why) => return Ok(Err(why)),
        }
    }
}

fn retry_after(response: &Response, now: Timestamp) -> Option<std::time::Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    parse_retry_after(value, now)
}

/// An error of the transport with its causes.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(why) = cause {
        text.push_str(": ");
        text.push_str(&why.to_string());
        cause = why.source();
    }
    text
}
