//! Against the client library's own brokers, which make errors that real ones make only by chance.

use std::{sync::Arc, thread, time::Duration};

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::Appender;
use crate::{
    domain::{Record, Topic},
    log::{
        Health, LogError,
        kafka::{cluster::Cluster, names::Names, settings::Settings},
    },
};

const GLANCE: Duration = Duration::from_millis(20);

struct Stage {
    brokers: MockCluster<'static, DefaultProducerContext>,
    appender: Arc<Appender>,
}

impl Stage {
    fn set() -> Self {
        let brokers = MockCluster::new(1).unwrap();
        brokers.create_topic("membership", 1, 1).unwrap();
        let config = format!(
            "brokers = \"{}\"\nappend_timeout = \"1s\"",
            brokers.bootstrap_servers()
        );
        let settings = Settings::new(&toml::from_str(&config).unwrap()).unwrap();
        let names = Names::new("");
        let cluster = Cluster::new(&settings, names.clone()).unwrap();
        let appender = Appender::start(&settings, names, cluster).unwrap();
        Self { brokers, appender }
    }

    fn fail_with(&self, error: RDKafkaRespErr, times: usize) {
        let produce = RDKafkaApiKey::Produce;
        self.brokers.request_errors(produce, &vec![error; times]);
    }

    async fn append(&self) -> Result<(), LogError> {
        let record = Record::bytes(Topic::Membership, "a key".to_owned(), "{}".into());
        self.appender.append(&[record]).await
    }

    /// Until one is taken, or the test has run for too long: a client may take its time to begin.
    async fn until_taken(&self) {
        let mut last = None;
        for _ in 0..60 {
            match self.append().await {
                Ok(()) => return,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(GLANCE).await;
        }
        unreachable!("{last:?}");
    }

    /// Until it is as it is to be, or the test has run for too long.
    fn until_writable(&self) {
        for _ in 0..3000 {
            if self.appender.health() == Health::Writable {
                return;
            }
            thread::sleep(GLANCE);
        }
        unreachable!("{:?}", self.appender.health());
    }
}

#[tokio::test]
async fn a_fatal_error_ends_a_producer_and_not_the_log() {
    let stage = Stage::set();
    stage.until_taken().await;
    stage.fail_with(
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        1,
    );
    assert!(stage.append().await.is_err());
    stage.until_writable();
    stage.until_taken().await;
}

#[tokio::test]
async fn what_stands_still_while_the_brokers_answer_is_given_up() {
    let stage = Stage::set();
    stage.until_taken().await;
    stage.fail_with(
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        100_000,
    );
    assert!(stage.append().await.is_err());
    // Nobody has mended anything.
    stage.until_writable();
    stage.brokers.clear_request_errors(RDKafkaApiKey::Produce);
    stage.until_taken().await;
}
