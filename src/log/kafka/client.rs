//! A client that reads or asks, for whose end nobody has to wait.

use std::{ops::Deref, sync::Arc, thread};

use rdkafka::{
    config::{ClientConfig, FromClientConfigAndContext as _},
    consumer::BaseConsumer,
};

use super::{cluster::away, events::Events};
use crate::log::LogError;

/// Dropped, it ends on a thread of its own: the library waits for its coordinator then, and where
/// nobody tells it one, without end (librdkafka issue 3740).
pub(super) struct Client {
    client: Arc<BaseConsumer<Events>>,
    // Behind `client`, so that it is the last.
    last: Last,
}

impl Client {
    pub(super) fn new(config: &ClientConfig, events: Events) -> Result<Self, LogError> {
        let client = BaseConsumer::from_config_and_context(config, events);
        let client = client.map(Arc::new).map_err(|error| away(&error))?;
        Ok(Self {
            last: Last(Some(client.clone())),
            client,
        })
    }

    /// Ends it, and waits for that: a member has left its group then.
    pub(super) fn end(self) {
        let Self { client, mut last } = self;
        drop(client);
        drop(last.0.take());
    }
}

impl Deref for Client {
    type Target = BaseConsumer<Events>;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

struct Last(Option<Arc<BaseConsumer<Events>>>);

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            let thread = thread::Builder::new().name("offkey-kafka-end".to_owned());
            // Where no thread can start, it ends here.
            drop(thread.spawn(move || drop(client)));
        }
    }
}
