//! Signatures of outgoing webhooks, after Standard Webhooks 1.0.0
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// What is wrong with a secret; never the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing says what it is.
    #[error("a webhook secret begins with whsec_ (HMAC-SHA256) or whsk_ (ed25519)")]
    Prefix,
    /// What follows the prefix is not base64.
    #[error("a webhook secret is base64 after its prefix")]
    Base64,
    /// The specification wants 24 to 64 bytes.
    #[error("a whsec_ secret has 24 to 64 bytes; this one has {0}")]
    HmacLength(usize),
    /// Neither a seed nor a pair of keys.
    #[error("a whsk_ secret is a seed of 32 bytes, or the seed and its public key")]
    Ed25519,
}

/// What signs.
pub enum SignatureKey {
    /// `v1`.
    Symmetric(Vec<u8>),
    /// `v1a`.
    Asymmetric(Box<SigningKey>),
}

impl SignatureKey {
    /// Reads `whsec_…` or `whsk_…`.
    pub fn parse(secret: &SecretString) -> Result<Self, KeyError> {
        let text = secret.expose_secret();
        let decode = |encoded: &str| STANDARD.decode(encoded).map_err(|_| KeyError::Base64);
        if let Some(encoded) = text.strip_prefix("whsec_") {
            let key = decode(encoded)?;
            match key.len() {
                24..=64 => Ok(Self::Symmetric(key)),
                other => Err(KeyError::HmacLength(other)),
            }
        } else if let Some(encoded) = text.strip_prefix("whsk_") {
            let bytes = decode(encoded)?;
            let key = if let Ok(seed) = <[u8; 32]>::try_from(bytes.as_slice()) {
                SigningKey::from_bytes(&seed)
            } else {
                let pair = <[u8; 64]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Ed25519)?;
                SigningKey::from_keypair_bytes(&pair).map_err(|_| KeyError::Ed25519)?
            };
            Ok(Self::Asymmetric(Box::new(key)))
        } else {
            Err(KeyError::Prefix)
        }
    }

    fn sign(&self, content: &[u8]) -> String {
        match self {
            Self::Symmetric(key) => {
                let signature = Hmac::<Sha256>::new_from_slice(key)
                    .map(|mac| mac.chain_update(content).finalize().into_bytes());
                // HMAC takes a key of any length.
                let encoded = signature.map(|bytes| STANDARD.encode(bytes));
                format!("v1,{}", encoded.unwrap_or_default())
            }
            Self::Asymmetric(key) => {
                format!("v1a,{}", STANDARD.encode(key.sign(content).to_bytes()))
            }
        }
    }
}

/// The header `webhook-signature`: one signature a key, so that a receiver with any of them can
/// verify. `seconds` is the time of the attempt, since the epoch.
pub fn sign_all(keys: &[SignatureKey], id: &str, seconds: i64, body: &[u8]) -> String {
    let content = [
        id.as_bytes(),
        b".",
        seconds.to_string().as_bytes(),
        b".",
        body,
    ]
    .concat();
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(&content)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use ed25519_dalek::{Signature, SigningKey};
    use rstest::rstest;
    use serde_json::Value;

    use super::{KeyError, SignatureKey, sign_all};

    fn key(secret: &str) -> Result<SignatureKey, KeyError> {
        SignatureKey::parse(&secret.to_owned().into())
    }

    fn vector(name: &str) -> Option<Value> {
        let root = env::var("OFFKEY_SHARED")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").to_owned());
        let path = Path::new(&root)
            .join("fixtures/downstream/webhook")
            .join(name);
        let Ok(text) = fs::read_to_string(&path) else {
            eprintln!(
                "NOT TESTED: {} is absent; set OFFKEY_SHARED",
                path.display()
            );
            return None;
        };
        Some(serde_json::from_str(&text).unwrap())
    }

    #[rstest]
    #[case::symmetric("standard_webhooks_vector.json", &["secret"])]
    #[case::both("standard_webhooks_v1_v1a_vector.json", &["secret_v1", "secret_v1a"])]
    fn the_published_vectors_are_reproduced(#[case] name: &str, #[case] secrets: &[&str]) {
        let Some(vector) = vector(name) else {
            return;
        };
        let text = |field: &str| vector[field].as_str().unwrap().to_owned();
        let keys: Vec<_> = secrets
            .iter()
            .map(|name| key(&text(name)).unwrap())
            .collect();
        let seconds = text("webhook-timestamp").parse().unwrap();
        let signature = sign_all(&keys, &text("webhook-id"), seconds, text("body").as_bytes());
        assert_eq!(signature, text("webhook-signature"));
    }

    #[test]
    fn a_pair_of_keys_signs_like_its_seed() {
        let signing = SigningKey::from_bytes(&[7; 32]);
        let seed = key(&format!("whsk_{}", STANDARD.encode([7; 32]))).unwrap();
        let pair = STANDARD.encode(signing.to_keypair_bytes());
        let pair = key(&format!("whsk_{pair}")).unwrap();
        let signature = sign_all(&[seed], "id", 5, b"{}");
        assert_eq!(signature, sign_all(&[pair], "id", 5, b"{}"));
        let bytes = STANDARD
            .decode(signature.strip_prefix("v1a,").unwrap())
            .unwrap();
        let signature = Signature::from_slice(&bytes).unwrap();
        assert!(signing.verify(b"id.5.{}", &signature).is_ok());
    }

    #[rstest]
    #[case::no_prefix("abc", KeyError::Prefix)]
    #[case::a_public_key("whpk_AAAA", KeyError::Prefix)]
    #[case::no_base64("whsec_***", KeyError::Base64)]
    #[case::short("whsec_AAAA", KeyError::HmacLength(3))]
    #[case::short_seed("whsk_AAAA", KeyError::Ed25519)]
    fn a_bad_secret_is_refused(#[case] secret: &str, #[case] why: KeyError) {
        assert_eq!(key(secret).err(), Some(why));
    }

    #[test]
    fn a_public_key_of_another_seed_is_refused() {
        let mut pair = SigningKey::from_bytes(&[7; 32]).to_keypair_bytes();
        pair[..32].copy_from_slice(&[8; 32]);
        let secret = format!("whsk_{}", STANDARD.encode(pair));
        assert_eq!(key(&secret).err(), Some(KeyError::Ed25519));
    }
}
