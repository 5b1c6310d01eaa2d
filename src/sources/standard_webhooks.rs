//! Standard Webhooks: our own change format, signed with a shared secret or a key pair.
//!
//! The specification is <https://github.com/standard-webhooks/standard-webhooks>, section
//! "Signature scheme": what is signed is `id.timestamp.body`.

use jiff::tz::TimeZone;
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
    zone: TimeZone,
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
            zone: config.zone.0.clone(),
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
            Some(id) => change_format::read_in(&self.zone, &self.name, id, request),
            None => Reading::unreadable("the message has no id"),
        }
    }

    fn proof_headers(&self) -> Vec<String> {
        vec![self.proof.signature_header().to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use ed25519_dalek::{Signer, SigningKey};
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use rstest::rstest;
    use secrecy::SecretString;

    use super::{StandardProof, StandardWebhooks};
    use crate::{
        config::{secret::Secrets, source::StandardWebhooksConfig, zone::Zone},
        sources::{
            Request, Unauthentic,
            signature::{Algorithm, hmac},
            tests::vectors,
        },
    };

    const BODY: &[u8] = br#"{"type":"membership.changed"}"#;

    fn signed_at() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn secret(key: &[u8]) -> SecretString {
        format!("whsec_{}", BASE64_STANDARD.encode(key)).into()
    }

    fn sign(key: &[u8], id: &str, body: &[u8]) -> String {
        let start = format!("{id}.{}.", signed_at().as_second());
        let mac = hmac(Algorithm::HmacSha256, key, &[start.as_bytes(), body]);
        format!("v1,{}", BASE64_STANDARD.encode(mac))
    }

    fn headers(id: &str, signature: &str) -> Vec<(String, String)> {
        let time = signed_at().as_second().to_string();
        [
            ("webhook-id", id),
            ("webhook-timestamp", &time),
            ("webhook-signature", signature),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn verify(
        headers: &[(String, String)],
        body: &[u8],
        secrets: &[SecretString],
    ) -> Result<(), Unauthentic> {
        let proof = StandardProof::new("webhook", Duration::from_mins(5));
        let request = Request {
            headers,
            body,
            received_at: signed_at(),
        };
        proof.verify(&request, secrets)
    }

    #[test]
    fn both_secrets_of_a_rotation_verify_and_a_third_does_not() {
        let secrets = [secret(b"old key"), secret(b"new key")];
        for (key, expected) in [
            (b"old key", Ok(())),
            (b"new key", Ok(())),
            (b"bad key", Err(Unauthentic::Wrong)),
        ] {
            let headers = headers("msg_1", &sign(key, "msg_1", BODY));
            assert_eq!(verify(&headers, BODY, &secrets), expected);
        }
    }

    #[rstest]
    #[case::empty("", Err(Unauthentic::Missing))]
    #[case::version_only("v1,", Err(Unauthentic::Wrong))]
    #[case::no_version("RIGHT", Err(Unauthentic::Missing))]
    #[case::another_version("v2,RIGHT", Err(Unauthentic::Missing))]
    #[case::capital("V1,RIGHT", Err(Unauthentic::Missing))]
    #[case::asymmetric("v1a,RIGHT", Err(Unauthentic::Wrong))]
    #[case::cut_short("v1,RIGH", Err(Unauthentic::Missing))]
    #[case::among_others("v2,x v1,AAAA v1,RIGHT v1a,AAAA", Ok(()))]
    fn the_list_of_signatures_is_read_as_specified(
        #[case] list: &str,
        #[case] expected: Result<(), Unauthentic>,
    ) {
        let right = sign(b"key", "msg_1", BODY).replace("v1,", "");
        let list = list
            .replace("RIGHT", &right)
            .replace("RIGH", right.trim_end_matches('=').split_at(41).0);
        assert_eq!(
            verify(&headers("msg_1", &list), BODY, &[secret(b"key")]),
            expected
        );
    }

    #[test]
    fn a_header_given_twice_or_left_out_proves_nothing() {
        let whole = headers("msg_1", &sign(b"key", "msg_1", BODY));
        for at in 0..whole.len() {
            let mut doubled = whole.clone();
            doubled.push(whole[at].clone());
            let mut without = whole.clone();
            without.remove(at);
            for headers in [doubled, without] {
                let verdict = verify(&headers, BODY, &[secret(b"key")]);
                assert_eq!(verdict, Err(Unauthentic::Missing));
            }
        }
    }

    #[rstest]
    #[case("hello")]
    #[case("")]
    #[case("99999999999999999999")]
    fn a_timestamp_that_is_none_proves_nothing(#[case] time: &str) {
        let mut headers = headers("msg_1", &sign(b"key", "msg_1", BODY));
        time.clone_into(&mut headers[1].1);
        let verdict = verify(&headers, BODY, &[secret(b"key")]);
        assert_eq!(verdict, Err(Unauthentic::Missing));
    }

    #[test]
    fn a_secret_that_is_no_key_is_refused_at_load() {
        let config = || StandardWebhooksConfig {
            name: "hr".to_owned().try_into().unwrap(),
            secrets: Vec::new(),
            keep_payload: true,
            tolerance: Duration::from_mins(5),
            header_prefix: "webhook".to_owned(),
            zone: Zone::default(),
        };
        for bad in ["whsec_", "whsec_***", "whpk_AAAA", "not base64!"] {
            let secrets = Arc::new(Secrets::fixed(vec![bad.to_owned().into()]));
            let fault = StandardWebhooks::new(&config(), secrets).unwrap_err();
            assert_eq!(
                (fault.name.as_str(), fault.field.as_str()),
                ("hr", "secrets")
            );
        }
        let none = Arc::new(Secrets::fixed(Vec::new()));
        assert!(StandardWebhooks::new(&config(), none).is_err());
    }

    #[test]
    fn the_published_vectors_verify() {
        let Some(all) = vectors("standard-webhooks/vectors.json") else {
            return;
        };
        let mut checked = 0;
        for vector in all["vectors"].as_array().unwrap() {
            let key = ["secret", "public_key", "public_key_computed_locally"]
                .iter()
                .find_map(|name| vector[name].as_str());
            let secret = SecretString::from(key.unwrap().to_owned());
            let headers: Vec<_> = vector["headers"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            let time: i64 = vector["headers"]["webhook-timestamp"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            let mut request = Request {
                headers: &headers,
                body: vector["body"].as_str().unwrap().as_bytes(),
                received_at: Timestamp::from_second(time).unwrap(),
            };
            let proof = StandardProof::new("webhook", Duration::from_mins(5));
            let secrets = [secret];
            assert_eq!(
                proof.verify(&request, &secrets),
                Ok(()),
                "{}",
                vector["name"]
            );
            request.received_at += SignedDuration::from_mins(6);
            let verdict = proof.verify(&request, &secrets);
            assert_eq!(verdict, Err(Unauthentic::Stale), "{}", vector["name"]);
            checked += 1;
        }
        assert_eq!(checked, 4);
    }

    proptest! {
        #[test]
        fn an_asymmetric_signature_verifies_beside_a_shared_secret(
            seed in any::<[u8; 32]>(),
            body in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let key = SigningKey::from_bytes(&seed);
            let content = format!("msg_1.{}.", signed_at().as_second());
            let content = [content.as_bytes(), body.as_slice()].concat();
            let signature = BASE64_STANDARD.encode(key.sign(&content).to_bytes());
            let headers = headers("msg_1", &format!("v1a,{signature}"));
            let public = BASE64_STANDARD.encode(key.verifying_key().as_bytes());
            let public = SecretString::from(format!("whpk_{public}"));
            prop_assert_eq!(verify(&headers, &body, &[secret(b"other"), public]), Ok(()));
            prop_assert!(verify(&headers, &body, &[secret(b"other")]).is_err());
        }

        #[test]
        fn any_text_in_the_headers_is_answered(id in ".*", list in ".*") {
            let verdict = verify(&headers(&id, &list), BODY, &[secret(b"key")]);
            prop_assert!(verdict.is_err());
        }
    }
}
