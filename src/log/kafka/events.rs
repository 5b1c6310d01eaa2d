//! What the client library tells us, and the tokens it asks for.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientContext, Message as _, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryResult, ProducerContext},
    types::RDKafkaRespErr,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::settings::{KafkaConfigError, one};
use crate::{
    clock::{Clock as _, SystemClock},
    config::kafka::TokenConfig,
    telemetry::metrics as names,
};

/// How long the token endpoint may take.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a token is used that does not say.
const TOKEN_LIFE_SECONDS: i64 = 300;

/// Hears what happens to one client.
pub(super) struct Events {
    /// What the client is for.
    pub(super) client: &'static str,
    tokens: Option<Arc<TokenSource>>,
    moved: AtomicBool,
    /// What went wrong last with a broker.
    trouble: Mutex<Option<String>>,
    /// Where the first record of a transaction lies, by topic and partition.
    first: Mutex<BTreeMap<(String, i32), i64>>,
}

impl Events {
    pub(super) fn new(client: &'static str, tokens: Option<Arc<TokenSource>>) -> Self {
        Self {
            client,
            tokens,
            moved: AtomicBool::new(false),
            trouble: Mutex::default(),
            first: Mutex::default(),
        }
    }

    /// What went wrong last with a broker: a refused password, a certificate nobody knows.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    /// Where the first record lies of those that were delivered since this was asked last, by topic
    /// and partition.
    pub(super) fn take_first(&self) -> BTreeMap<(String, i32), i64> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut first)
    }

    /// Whether the group gave or took partitions since this was asked last.
    pub(super) fn has_moved(&self) -> bool {
        self.moved.swap(false, Ordering::AcqRel)
    }
}

impl ClientContext for Events {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.client;
        match level {
            // Of a connection that failed `error` hears as well.
            _ if facility == "FAIL" => tracing::debug!(client, facility, message, "kafka"),
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(client, facility, message, "kafka"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(client, facility, message, "kafka");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        metrics::counter!(names::KAFKA_ERRORS, "client" => self.client).increment(1);
        // That all are down is said dozens of times a second, and less than why one is.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            tracing::debug!(client = self.client, %error, reason, "kafka");
            return;
        }
        tracing::warn!(client = self.client, %error, reason, "kafka");
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *trouble = Some(reason.to_owned());
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let tokens = self
            .tokens
            .as_ref()
            .ok_or("no token source is configured")?;
        tokens.fetch()
    }
}

impl ConsumerContext for Events {
    /// Takes and gives partitions as the group says. They stay paused: a group only tells whose
    /// turn it is, and readers read.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let is_cooperative = matches!(
            consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        let done = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            consumer
                .incremental_assign(partitions)
                .and_then(|()| consumer.pause(partitions))
        } else if is_cooperative {
            consumer.incremental_unassign(partitions)
        } else {
            consumer.unassign()
        };
        if let Err(error) = done {
            tracing::warn!(client = self.client, %error, "partitions could not be moved");
        }
        self.moved.store(true, Ordering::Release);
        metrics::counter!(names::KAFKA_REBALANCES, "client" => self.client).increment(1);
    }
}

impl ProducerContext for Events {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                let place = (message.topic().to_owned(), message.partition());
                let known = first.entry(place).or_insert_with(|| message.offset());
                *known = message.offset().min(*known);
            }
            Err((error, _)) => {
                tracing::warn!(client = self.client, %error, "a record was not delivered");
            }
        }
    }
}

/// Gets bearer tokens by the client credentials grant (RFC 6749 section 4.4).
pub(super) struct TokenSource {
    config: TokenConfig,
    secret: SecretString,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<i64>,
}

impl TokenSource {
    pub(super) fn new(config: &TokenConfig) -> Result<Self, KafkaConfigError> {
        Ok(Self {
            config: config.clone(),
            secret: one(&config.client_secret)?,
        })
    }

    /// Blocks the calling thread, which is a client's own.
    fn fetch(&self) -> Result<OAuthToken, Box<dyn Error>> {
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(self.ask())
            });
            asked
                .join()
                .map_err(|_| anyhow::anyhow!("asking for a token failed"))?
        })
        .map_err(Into::into)
    }

    async fn ask(&self) -> anyhow::Result<OAuthToken> {
        let client = reqwest::Client::builder()
            .timeout(TOKEN_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(self.config.scope.as_deref().map(|scope| ("scope", scope)));
        let asked_at = SystemClock.now().as_millisecond();
        let answer = client
            .post(self.config.token_url.clone())
            .basic_auth(&self.config.client_id, Some(self.secret.expose_secret()))
            .form(&form)
            .send()
            .await?
            .error_for_status()?;
        let answer: TokenAnswer = answer.json().await?;
        let life = answer.expires_in.unwrap_or(TOKEN_LIFE_SECONDS);
        Ok(OAuthToken {
            token: answer.access_token,
            principal_name: self.config.client_id.clone(),
            lifetime_ms: asked_at.saturating_add(life.saturating_mul(1000)),
        })
    }
}
