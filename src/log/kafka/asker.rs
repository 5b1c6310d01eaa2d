//! A client that only asks. One that finds no broker is made anew: when all were away, the library's at
//! times looks for none any more.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    config::ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    client::Client,
    events::{Events, TokenSource},
};
use crate::{log::LogError, telemetry::metrics as names};

/// How many things a client can have to tell at once.
const MOST_EVENTS: usize = 32;

/// How long a client is given to find its brokers again.
const OLD: Duration = Duration::from_secs(5);

/// Why there is no answer.
pub(super) enum Silence {
    /// It may be the client's fault.
    Lasts(String),
    /// The brokers say so.
    Told(String),
}

impl From<KafkaError> for Silence {
    fn from(error: KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown,
            ) => Self::Lasts(error.to_string()),
            _ => Self::Told(error.to_string()),
        }
    }
}

/// Asks with one client after the other.
pub(super) struct Asker {
    config: ClientConfig,
    tokens: Option<Arc<TokenSource>>,
    client: Mutex<(Arc<Client>, Instant)>,
}

impl Asker {
    pub(super) fn new(
        config: ClientConfig,
        tokens: Option<Arc<TokenSource>>,
    ) -> Result<Self, LogError> {
        let client = Self::client(&config, tokens.clone())?;
        Ok(Self {
            config,
            tokens,
            client: Mutex::new((client, Instant::now())),
        })
    }

    fn client(
        config: &ClientConfig,
        tokens: Option<Arc<TokenSource>>,
    ) -> Result<Arc<Client>, LogError> {
        Client::new(config, Events::new("questions", tokens)).map(Arc::new)
    }

    fn lock(&self) -> MutexGuard<'_, (Arc<Client>, Instant)> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&BaseConsumer<Events>) -> Result<T, Silence>,
    ) -> Result<T, LogError> {
        let (client, made_at) = self.lock().clone();
        // It tells what it needs, a token for one, when it is polled.
        drop(client.poll(Duration::ZERO));
        let why = match question(&client) {
            Ok(answer) => return Ok(answer),
            Err(Silence::Told(why)) => return Err(LogError::Unavailable(why)),
            Err(Silence::Lasts(why)) => why,
        };
        // Of a password that was refused and a certificate that nobody knows silence says nothing,
        // and the client does; one call tells one thing.
        for _ in 0..MOST_EVENTS {
            drop(client.poll(Duration::ZERO));
        }
        let trouble = client.context().trouble();
        if made_at.elapsed() > OLD {
            let mut known = self.lock();
            if Arc::ptr_eq(&known.0, &client) {
                metrics::counter!(names::KAFKA_REBUILDS, "what" => "questions").increment(1);
                *known = (
                    Self::client(&self.config, self.tokens.clone())?,
                    Instant::now(),
                );
            }
        }
        Err(LogError::Unavailable(match trouble {
            Some(trouble) => format!("{why}: {trouble}"),
            None => why,
        }))
    }
}
