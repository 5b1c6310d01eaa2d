//! What every client of the cluster is configured with.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rdkafka::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};

use super::events::TokenSource;
use crate::config::{
    kafka::{KafkaConfig, Login, SaslConfig, TlsConfig},
    secret::{SecretError, SecretRef},
};

/// Settings of librdkafka that are ours, and why.
const OURS: [(&str, &str); 22] = [
    ("bootstrap.servers", "it is `log.kafka.brokers`"),
    ("metadata.broker.list", "it is `log.kafka.brokers`"),
    ("group.id", "every group has its work"),
    ("group.instance.id", "a dead instance's work would wait"),
    (
        "group.protocol",
        "moves of work are followed by the classic one",
    ),
    ("partition.assignment.strategy", "work moves cooperatively"),
    ("session.timeout.ms", "it is `log.kafka.session_timeout`"),
    (
        "enable.auto.commit",
        "offsets are committed with the outputs",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed with the outputs",
    ),
    ("auto.offset.reset", "a gap in the log must be seen"),
    ("isolation.level", "what was aborted must not be read"),
    ("enable.partition.eof", "ends are told by positions"),
    ("transactional.id", "it fences an instance that came back"),
    (
        "transaction.timeout.ms",
        "it is `log.kafka.transaction_timeout`",
    ),
    (
        "enable.idempotence",
        "without it a retry is a second record",
    ),
    ("acks", "an answer means that the record is durable"),
    (
        "request.required.acks",
        "an answer means that the record is durable",
    ),
    (
        "message.timeout.ms",
        "a record that timed out breaks the sequence",
    ),
    (
        "delivery.timeout.ms",
        "a record that timed out breaks the sequence",
    ),
    (
        "partitioner",
        "other clients find a key by Java's partitioner",
    ),
    ("message.max.bytes", "it is `log.kafka.max_record`"),
    ("allow.auto.create.topics", "topics need their settings"),
];

/// Why the cluster cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum KafkaConfigError {
    /// A setting that correctness needs was given.
    #[error("log.kafka.librdkafka.\"{name}\" cannot be set: {why}")]
    Ours {
        /// Which.
        name: String,
        /// Why it is ours.
        why: &'static str,
    },
    /// Security has tables of its own.
    #[error(
        "log.kafka.librdkafka.\"{0}\" cannot be set: say it in log.kafka.tls or log.kafka.sasl, \
         where secrets come from the environment or a file"
    )]
    Security(String),
    /// A secret cannot be had.
    #[error("log.kafka: {0}")]
    Secret(#[from] SecretError),
    /// Values do not fit.
    #[error("log.kafka: {0}")]
    Value(String),
}

/// What all clients share, and where their tokens come from.
#[derive(Clone)]
pub(super) struct Settings {
    base: ClientConfig,
    /// The names of the settings that the user gave.
    given: BTreeSet<String>,
    /// In milliseconds. Clients that join no group have one too, and compare it with the rest.
    session: String,
    pub(super) tokens: Option<Arc<TokenSource>>,
    pub(super) append_timeout: Duration,
    pub(super) max_record: usize,
}

impl Settings {
    /// Reads secrets and checks what was given.
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, KafkaConfigError> {
        refuse_ours(config)?;
        let max_record = usize::try_from(config.max_record.as_u64()).unwrap_or(usize::MAX);
        let mut base = ClientConfig::new();
        base.set("bootstrap.servers", &config.brokers)
            .set("client.id", "offkey")
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            // A broker that froze has to be noticed while its clients still wait.
            .set("socket.timeout.ms", "10000")
            .set("reconnect.backoff.max.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("log_level", "4");
        for (name, value) in &config.librdkafka {
            base.set(name, value);
        }
        protect(&mut base, config)?;
        let tokens = match &config.sasl {
            Some(SaslConfig::OAuthBearer(tokens)) => Some(Arc::new(TokenSource::new(tokens)?)),
            _ => None,
        };
        let settings = Self {
            base,
            given: config.librdkafka.keys().cloned().collect(),
            session: config.session_timeout.as_millis().to_string(),
            tokens,
            append_timeout: config.append_timeout,
            max_record,
        };
        settings
            .with(&[])
            .create_native_config()
            .map_err(|error| KafkaConfigError::Value(error.to_string()))?;
        Ok(settings)
    }

    /// The common settings and these. What the user gave stays: what must not was refused.
    fn with(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = self.base.clone();
        self.put(&mut config, settings);
        config
    }

    fn put(&self, config: &mut ClientConfig, settings: &[(&str, &str)]) {
        for (name, value) in settings {
            if !self.given.contains(*name) {
                config.set(*name, *value);
            }
        }
    }

    /// For questions about the cluster, what is not committed included.
    pub(super) fn questions(&self) -> ClientConfig {
        self.with(&[
            ("session.timeout.ms", &self.session),
            ("isolation.level", "read_uncommitted"),
        ])
    }

    /// For reading partitions that are named, from offsets that are named.
    pub(super) fn reader(&self) -> ClientConfig {
        self.with(&[
            // It is never joined; without a name the client gives out no records.
            ("group.id", "offkey-readers"),
            ("session.timeout.ms", &self.session),
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // Silence about a gap would be a guess.
            ("auto.offset.reset", "error"),
            ("fetch.wait.max.ms", "250"),
            ("fetch.error.backoff.ms", "100"),
            // Behind a reader that pauses nothing more is fetched: each fetch names every partition,
            // and costs the brokers a millisecond. Not fewer than 20: the client asks for some
            // partitions only when it is at the limit, and the others wait until that is answered.
            ("fetch.queue.backoff.ms", "5"),
            ("queued.min.messages", "20"),
            // What is fetched and not read takes memory, in all and for each partition of a fetch.
            ("queued.max.messages.kbytes", "8192"),
            ("fetch.message.max.bytes", "262144"),
            ("check.crcs", "true"),
        ])
    }

    /// For holding a share of a group's work.
    pub(super) fn group(&self, group: &str, config: &KafkaConfig) -> ClientConfig {
        let heartbeat = (config.session_timeout.as_millis() / 4).to_string();
        self.with(&[
            ("group.id", group),
            ("session.timeout.ms", &self.session),
            ("heartbeat.interval.ms", &heartbeat),
            ("max.poll.interval.ms", "60000"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            // Committed offsets are told only when no transaction can change them any more.
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
        ])
    }

    /// For appending: durable before it is acknowledged, in order, once.
    pub(super) fn producer(&self) -> ClientConfig {
        let max_record = self.max_record.to_string();
        self.with(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("partitioner", "murmur2_random"),
            ("message.max.bytes", &max_record),
            // Whoever waits gives up sooner; giving up in here breaks the sequence.
            ("message.timeout.ms", "0"),
            ("linger.ms", "1"),
            ("queue.buffering.max.messages", "50000"),
            ("queue.buffering.max.kbytes", "65536"),
        ])
    }

    /// For committing outputs with inputs.
    pub(super) fn transactions(&self, id: &str, timeout: Duration) -> ClientConfig {
        let timeout = timeout.as_millis().to_string();
        let mut config = self.producer();
        let settings = [
            ("transactional.id", id),
            ("transaction.timeout.ms", timeout.as_str()),
            // Outputs are many by the time that a transaction may send them, and the last of them
            // waits for no company.
            ("linger.ms", "0"),
            // A step of one transaction must not wait out the default of 100 ms because the
            // brokers are still busy with the one before.
            ("retry.backoff.ms", "1"),
            ("retry.backoff.max.ms", "50"),
        ];
        self.put(&mut config, &settings);
        // Neither may exceed the transaction's: the client fits them to it.
        config.remove("message.timeout.ms");
        config.remove("socket.timeout.ms");
        config
    }
}

fn refuse_ours(config: &KafkaConfig) -> Result<(), KafkaConfigError> {
    for name in config.librdkafka.keys() {
        let ours = OURS.iter().find(|(known, _)| known == name);
        if let Some((_, why)) = ours {
            return Err(KafkaConfigError::Ours {
                name: name.clone(),
                why,
            });
        }
        if ["ssl.", "sasl.", "security."]
            .iter()
            .any(|start| name.starts_with(start))
        {
            return Err(KafkaConfigError::Security(name.clone()));
        }
    }
    Ok(())
}

fn protect(base: &mut ClientConfig, config: &KafkaConfig) -> Result<(), KafkaConfigError> {
    let protocol = match (&config.tls, &config.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    base.set("security.protocol", protocol);
    if let Some(tls) = &config.tls {
        encrypt(base, tls)?;
    }
    if let Some(sasl) = &config.sasl {
        authenticate(base, sasl)?;
    }
    Ok(())
}

fn encrypt(base: &mut ClientConfig, tls: &TlsConfig) -> Result<(), KafkaConfigError> {
    let path = |path: &std::path::Path| path.display().to_string();
    base.set(
        "ssl.ca.location",
        tls.ca.as_deref().map_or_else(|| "probe".to_owned(), path),
    );
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            base.set("ssl.certificate.location", path(certificate));
            base.set("ssl.key.location", path(key));
        }
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => {
            return Err(KafkaConfigError::Value(
                "tls needs both a certificate and its key, or neither".to_owned(),
            ));
        }
    }
    if let Some(password) = &tls.key_password {
        base.set("ssl.key.password", one(password)?.expose_secret());
    }
    Ok(())
}

fn authenticate(base: &mut ClientConfig, sasl: &SaslConfig) -> Result<(), KafkaConfigError> {
    let (mechanism, login): (_, Option<&Login>) = match sasl {
        SaslConfig::Plain(login) => ("PLAIN", Some(login)),
        SaslConfig::ScramSha256(login) => ("SCRAM-SHA-256", Some(login)),
        SaslConfig::ScramSha512(login) => ("SCRAM-SHA-512", Some(login)),
        SaslConfig::OAuthBearer(_) => ("OAUTHBEARER", None),
    };
    base.set("sasl.mechanisms", mechanism);
    if let Some(login) = login {
        base.set("sasl.username", &login.username);
        base.set("sasl.password", one(&login.password)?.expose_secret());
    }
    Ok(())
}

/// The first secret behind a reference.
pub(super) fn one(reference: &SecretRef) -> Result<SecretString, KafkaConfigError> {
    let first = reference.read()?.into_iter().next();
    first.ok_or_else(|| KafkaConfigError::Value("a secret is empty".to_owned()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{KafkaConfigError, Settings};

    fn settings(more: &str) -> Result<Settings, KafkaConfigError> {
        let text = format!("brokers = \"127.0.0.1:1\"\n{more}");
        Settings::new(&toml::from_str(&text).unwrap())
    }

    #[rstest]
    #[case("acks", "0")]
    #[case("isolation.level", "read_uncommitted")]
    #[case("enable.idempotence", "false")]
    #[case("transactional.id", "x")]
    #[case("sasl.password", "secret")]
    #[case("ssl.key.pem", "secret")]
    fn what_correctness_needs_cannot_be_changed(#[case] name: &str, #[case] value: &str) {
        let error = settings(&format!("[librdkafka]\n\"{name}\" = \"{value}\""))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(name), "{error}");
        assert!(!error.contains("secret\""), "{error}");
    }

    #[test]
    fn anything_else_reaches_every_client_and_what_does_not_exist_is_refused() {
        let known = settings("[librdkafka]\n\"socket.nagle.disable\" = \"true\"").unwrap();
        for config in [known.reader(), known.producer(), known.questions()] {
            assert_eq!(config.get("socket.nagle.disable"), Some("true"));
        }
        let known = settings("[librdkafka]\n\"linger.ms\" = \"7\"").unwrap();
        assert_eq!(known.producer().get("linger.ms"), Some("7"));
        let error = settings("[librdkafka]\n\"socket.nagel\" = \"true\"").err();
        assert!(error.unwrap().to_string().contains("socket.nagel"));
    }

    #[test]
    fn half_a_client_certificate_is_refused() {
        assert!(settings("[tls]\ncertificate = \"c.pem\"").is_err());
    }

    #[test]
    fn the_protocol_follows_from_what_is_configured() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "a password").unwrap();
        let sasl = format!(
            "[sasl]\nmechanism = \"scram-sha-512\"\nusername = \"offkey\"\n\
             password = {{ file = {file:?} }}\n"
        );
        for (more, protocol) in [
            (String::new(), "plaintext"),
            ("[tls]\n".to_owned(), "ssl"),
            (sasl.clone(), "sasl_plaintext"),
            (format!("[tls]\n{sasl}"), "sasl_ssl"),
        ] {
            let config = settings(&more).unwrap().reader();
            assert_eq!(config.get("security.protocol"), Some(protocol));
        }
    }
}
