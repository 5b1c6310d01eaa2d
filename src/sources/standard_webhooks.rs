//! Standard Webhooks: our own change format, signed with a shared secret or a key pair.
//!
//! The specification is <https://github.com/standard-webhooks/standard-webhooks>, section
//! "Signature scheme": what is signed is `id.timestamp.body`.

use std::time::Duration;

use ed25519_dalek::VerifyingKey;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Reading, Request, SharedSecrets, Source, SourceError, Unauthentic, change_format,
    signature::{Algorithm, Encoding, verify_age, verify_ed25519, verify_hmac},
    time::TimeFormat,
};
use crate::config::source::StandardWebhooksConfig;

/// The longest id of a message taken.
const LONGEST_ID: usize = 256;

/// The proof that Standard Webhooks describe.
#[derive(Debug)]
pub(super) struct StandardProof {
    id: String,
    timestamp: String,
    signature: String,
    tolerance: Duration,
}

enum Key {
    Shared(Vec<u8>),
    Public(VerifyingKey),
}

impl Key {
    /// `whsec_` and base64 is a shared secret, `whpk_` and base64 an Ed25519 public key.
    fn parse(secret: &SecretString) -> Option<Self> {
        let text = secret.expose_secret();
        if let Some(public) = text.strip_prefix("whpk_") {
            let bytes: [u8; 32] = Encoding::Base64.decode(public)?.try_into().ok()?;
            return VerifyingKey::from_bytes(&bytes).ok().map(Self::Public);
        }
        let bytes = Encoding::Base64.decode(text.strip_prefix("whsec_").unwrap_or(text))?;
        (!bytes.is_empty()).then_some(Self::Shared(bytes))
    }
}

impl StandardProof {
    /// A proof in the headers `PREFIX-id`, `PREFIX-timestamp` and `PREFIX-signature`.
    pub(super) fn new(prefix: &str, tolerance: Duration) -> Self {
        let prefix = prefix.to_ascii_lowercase();
        Self {
            id: format!("{prefix}-id"),
            timestamp: format!("{prefix}-timestamp"),
            signature: format!("{prefix}-signature"),
            tolerance,
        }
    }

    /// Whether `secret` has a form that is known here.
    pub(super) fn takes(secret: &SecretString) -> bool {
        Key::parse(secret).is_some()
    }

    pub(super) fn signature_header(&self) -> &str {
        &self.signature
    }

    /// The message's id, which deduplicates.
    pub(super) fn id<'a>(&self, request: &Request<'a>) -> Option<&'a str> {
        request
            .header(&self.id)
            .filter(|id| (1..=LONGEST_ID).contains(&id.len()))
    }

    pub(super) fn verify(
        &self,
        request: &Request<'_>,
        secrets: &[SecretString],
    ) -> Result<(), Unauthentic> {
        let id = self.id(request).ok_or(Unauthentic::Missing)?;
        let time = request
            .header(&self.timestamp)
            .ok_or(Unauthentic::Missing)?;
        let list = request
            .header(&self.signature)
            .ok_or(Unauthentic::Missing)?;
        let signed_at = TimeFormat::Seconds
            .parse(time)
            .map_err(|_| Unauthentic::Missing)?;

        let (mut shared, mut public) = (Vec::new(), Vec::new());
        for key in secrets.iter().filter_map(Key::parse) {
            match key {
                Key::Shared(bytes) => shared.push(bytes),
                Key::Public(key) => public.push(key),
            }
        }
        if shared.is_empty() && public.is_empty() {
            return Err(Unauthentic::NoSecret);
        }
        let (by_secret, by_key) = (presented(list, "v1,"), presented(list, "v1a,"));
        if by_secret.is_empty() && by_key.is_empty() {
            return Err(Unauthentic::Missing);
        }
        let start = format!("{id}.{time}.");
        let parts = [start.as_bytes(), request.body];
        let by_secret = verify_hmac(Algorithm::HmacSha256, &shared, &parts, &by_secret);
        let by_key = if public.is_empty() {
            Err(Unauthentic::NoSecret)
        } else {
            verify_ed25519(&public, &parts.concat(), &by_key)
        };
        if by_secret.is_err() && by_key.is_err() {
            return Err(Unauthentic::Wrong);
        }
        verify_age(signed_at, request.received_at, self.tolerance)
    }
}

/// The signatures of one version in the header; other versions and what is not base64 are skipped.
fn presented(list: &str, version: &str) -> Vec<Vec<u8>> {
    list.split(' ')
        .filter_map(|entry| entry.strip_prefix(version))
        .filter_map(|text| Encoding::Base64.decode(text))
        .collect()
}

/// A sender of our own change format.
#[derive(Debug)]
pub struct StandardWebhooks {
    name: String,
    proof: StandardProof,
    secrets: SharedSecrets,
}

impl StandardWebhooks {
    /// A source as configured.
    ///
    /// # Errors
    /// [`SourceError`] when a secret is neither `whsec_` nor `whpk_` and base64.
    pub fn new(
        config: &StandardWebhooksConfig,
        secrets: SharedSecrets,
    ) -> Result<Self, SourceError> {
        let name = config.name.as_str();
        let current = secrets.current();
        if current.is_empty() || !current.iter().all(StandardProof::takes) {
            let why = "write at least one, each whsec_ or whpk_ and base64";
            return Err(SourceError::new(name, "secrets", why));
        }
        Ok(Self {
            name: name.to_owned(),
            proof: StandardProof::new(&config.header_prefix, config.tolerance),
            secrets,
        })
    }
}

impl Source for StandardWebhooks {
    fn name(&self) -> &str {
        &self.name
    }

    fn verify(&self, request: &Request<'_>) -> Result<(), Unauthentic> {
        self.proof.verify(request, &self.secrets.current())
    }

    fn read(&self, request: &Request<'_>) -> Reading {
        match self.proof.id(request) {
            Some(id) => change_format::read(&self.name, id, request),
            None => Reading::unreadable("the message has no id"),
        }
    }

    fn proof_headers(&self) -> Vec<String> {
        vec![self.proof.signature_header().to_owned()]
    }
}
