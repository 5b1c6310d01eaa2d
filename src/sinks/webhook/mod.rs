//! Webhooks: one signed POST an attempt, after Standard Webhooks 1.0.0.

mod answer;
pub mod signature;

#[cfg(test)]
mod tests;

use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, RETRY_AFTER},
    redirect::Policy,
};
use serde::Serialize;
use serde_json::value::RawValue;
use url::Url;

pub use signature::KeyError;

use self::{
    answer::{excerpt, read_answer, read_retry_after},
    signature::{SignatureKey, sign_all},
};
use super::{
    Delivery, Sink,
    address::{AddressGuard, BlockedAddress, GuardedResolver},
};
use crate::{
    clock::Clock,
    config::{secret::Secrets, sink::WebhookConfig},
    domain::Record,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of an answer that are read.
const MOST_ANSWER: usize = 16 * 1024;

/// Why a webhook cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Neither `https` nor allowed to be `http`.
    #[error("the webhook {0} needs an https URL; http is for hosts within allow_networks")]
    Scheme(String),
    /// A password in a URL ends up in logs.
    #[error("the URL of the webhook {0} holds a user or a password; remove them")]
    UserInfo(String),
    /// Nothing would sign.
    #[error("the webhook {0} has no secret")]
    NoSecret(String),
    /// A secret cannot sign.
    #[error("a secret of the webhook {name} is of no use: {reason}")]
    Key {
        /// Which webhook.
        name: String,
        /// Why.
        #[source]
        reason: KeyError,
    },
    /// The receiver's address may not be connected to.
    #[error("the webhook {name} may not connect: {reason}")]
    Address {
        /// Which webhook.
        name: String,
        /// Why.
        #[source]
        reason: BlockedAddress,
    },
    /// The HTTP client cannot be set up.
    #[error("the webhook {name} has no HTTP client: {reason}")]
    Client {
        /// Which webhook.
        name: String,
        /// Why.
        #[source]
        reason: reqwest::Error,
    },
}

/// A receiver of signed POSTs.
pub struct WebhookSink {
    name: String,
    url: Url,
    client: Client,
    secrets: Arc<Secrets>,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Timestamp,
    data: &'a RawValue,
}

impl WebhookSink {
    /// Sets the webhook up; connects to nothing.
    ///
    /// # Errors
    /// [`WebhookError`] when the configuration or a secret is of no use.
    pub fn new(
        config: &WebhookConfig,
        secrets: Arc<Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WebhookError> {
        let name = config.name.as_str().to_owned();
        let guard = check_url(&name, config)?;
        match read_keys(&secrets) {
            Ok(keys) if keys.is_empty() => return Err(WebhookError::NoSecret(name)),
            Ok(_) => {}
            Err(reason) => return Err(WebhookError::Key { name, reason }),
        }
        let client = Client::builder()
            .user_agent(concat!("offkey/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT.min(config.timeout))
            .timeout(config.timeout)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(GuardedResolver(Arc::new(guard)))
            .build();
        let client = client.map_err(|reason| WebhookError::Client {
            name: name.clone(),
            reason,
        })?;
        Ok(Self {
            name,
            url: config.url.clone(),
            client,
            secrets,
            clock,
        })
    }

    async fn post(&self, impact: &Record, signature: (i64, String), body: Vec<u8>) -> Delivery {
        let (seconds, signature) = signature;
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &impact.id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature)
            .body(body);
        if let Some(trace) = impact.traceparent() {
            request = request.header("traceparent", trace);
        }
        match request.send().await {
            Ok(response) => self.read(response).await,
            Err(error) => read_failure(&error.without_url()),
        }
    }

    async fn read(&self, mut response: Response) -> Delivery {
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER);
        let after =
            after.and_then(|value| read_retry_after(value.to_str().ok()?, self.clock.now()));
        let mut text = Vec::new();
        // The status has said it: a body that breaks off changes nothing.
        while text.len() < MOST_ANSWER
            && let Ok(Some(chunk)) = response.chunk().await
        {
            let room = MOST_ANSWER - text.len();
            text.extend(chunk.into_iter().take(room));
        }
        read_answer(status, &excerpt(&text), after)
    }
}

#[async_trait]
impl Sink for WebhookSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, impact: &Record) -> Delivery {
        let keys = match read_keys(&self.secrets) {
            Ok(keys) => keys,
            Err(reason) => {
                return Delivery::Park {
                    why: reason.to_string(),
                };
            }
        };
        let body = match body_of(impact) {
            Ok(body) => body,
            Err(reason) => {
                return Delivery::Refused {
                    why: format!("the record is not JSON: {reason}"),
                };
            }
        };
        let seconds = self.clock.now().as_second();
        let signature = sign_all(&keys, &impact.id, seconds, &body);
        self.post(impact, (seconds, signature), body).await
    }
}

fn check_url(name: &str, config: &WebhookConfig) -> Result<AddressGuard, WebhookError> {
    let url = &config.url;
    let plain = match url.scheme() {
        "https" => false,
        "http" if !config.allow_networks.is_empty() => true,
        _ => return Err(WebhookError::Scheme(name.to_owned())),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(WebhookError::UserInfo(name.to_owned()));
    }
    let guard = AddressGuard::new(config.allow_networks.clone(), plain);
    match guard.check_literal(url) {
        Ok(()) => Ok(guard),
        Err(reason) => Err(WebhookError::Address {
            name: name.to_owned(),
            reason,
        }),
    }
}

fn read_keys(secrets: &Secrets) -> Result<Vec<SignatureKey>, KeyError> {
    secrets.current().iter().map(SignatureKey::parse).collect()
}

fn body_of(impact: &Record) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Body {
        kind: &impact.kind,
        timestamp: impact.happened_at(),
        data: serde_json::from_slice(&impact.data)?,
    })
}

/// What a failure without an answer means. `error` names no URL: its path can be a secret.
fn read_failure(error: &reqwest::Error) -> Delivery {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut deepest = String::new();
    while let Some(current) = cause {
        if let Some(blocked) = current.downcast_ref::<BlockedAddress>() {
            return Delivery::Park {
                why: blocked.to_string(),
            };
        }
        deepest = current.to_string();
        cause = current.source();
    }
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the request failed"
    };
    Delivery::Retry {
        why: format!("{what}: {deepest}"),
        after: None,
    }
}
