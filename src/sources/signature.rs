//! Proofs over raw bytes: keyed hashes, Ed25519 and shared secrets, all in constant time. No IO.
//!
//! Every presented proof is tried against every key, and nothing stops early: the time taken says
//! neither which key fits nor how far a guess was right.

use std::time::Duration;

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::Unauthentic;

/// The most proofs of one request that are looked at; a rotation needs two.
pub const MOST_PRESENTED: usize = 16;

/// Both alphabets with or without padding: vendors do not agree on it (Merge leaves it open).
const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, ANY_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, ANY_PADDING);

/// Which keyed hash (RFC 2104).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// With SHA-256.
    HmacSha256,
    /// With SHA-512.
    HmacSha512,
}

/// How a signature is written in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Lower-case hexadecimal.
    Hex,
    /// Base64 (RFC 4648 section 4), with or without padding.
    Base64,
    /// The URL-safe alphabet (RFC 4648 section 5), with or without padding.
    Base64Url,
}

impl Encoding {
    /// The bytes behind `text`; none when it is not written in this encoding.
    #[must_use]
    pub fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            // One signature has one spelling, so that a changed byte is never the same one.
            Self::Hex if text.bytes().any(|byte| byte.is_ascii_uppercase()) => None,
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64.decode(text).ok(),
            Self::Base64Url => BASE64_URL.decode(text).ok(),
        }
    }
}

/// The keyed hash of `parts`, one after the other.
#[must_use]
pub fn hmac(algorithm: Algorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    match algorithm {
        Algorithm::HmacSha256 => keyed::<Hmac<Sha256>>(key, parts),
        Algorithm::HmacSha512 => keyed::<Hmac<Sha512>>(key, parts),
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // A keyed hash takes a key of any length (RFC 2104 section 2).
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return Vec::new();
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Checks that one of `presented` is the keyed hash of `parts` under one of `keys`.
///
/// # Errors
/// [`Unauthentic::NoSecret`] without keys, [`Unauthentic::Missing`] without anything presented,
/// [`Unauthentic::Wrong`] when nothing fits.
pub fn verify_hmac(
    algorithm: Algorithm,
    keys: &[Vec<u8>],
    parts: &[&[u8]],
    presented: &[Vec<u8>],
) -> Result<(), Unauthentic> {
    if keys.is_empty() {
        return Err(Unauthentic::NoSecret);
    }
    if presented.is_empty() {
        return Err(Unauthentic::Missing);
    }
    let mut fits = Choice::from(0);
    for key in keys {
        let expected = hmac(algorithm, key, parts);
        for one in presented.iter().take(MOST_PRESENTED) {
            fits |= expected.as_slice().ct_eq(one.as_slice());
        }
    }
    answer(fits)
}

/// Checks that one of `presented` is an Ed25519 signature of `content` by one of `keys`.
///
/// # Errors
/// As [`verify_hmac`].
pub fn verify_ed25519(
    keys: &[VerifyingKey],
    content: &[u8],
    presented: &[Vec<u8>],
) -> Result<(), Unauthentic> {
    if keys.is_empty() {
        return Err(Unauthentic::NoSecret);
    }
    let signatures: Vec<_> = presented
        .iter()
        .take(MOST_PRESENTED)
        .filter_map(|bytes| Signature::from_slice(bytes).ok())
        .collect();
    if signatures.is_empty() {
        return Err(Unauthentic::Missing);
    }
    let mut fits = Choice::from(0);
    for key in keys {
        for signature in &signatures {
            let is_right = key.verify_strict(content, signature).is_ok();
            fits |= Choice::from(u8::from(is_right));
        }
    }
    answer(fits)
}

/// Checks that `presented` is one of `secrets`; the length of a secret does not show either.
///
/// # Errors
/// [`Unauthentic::NoSecret`] without secrets, [`Unauthentic::Wrong`] when none is it.
pub fn verify_shared<'a>(
    secrets: impl IntoIterator<Item = &'a str>,
    presented: &str,
) -> Result<(), Unauthentic> {
    let presented = Sha256::digest(presented.as_bytes());
    let mut known = 0_usize;
    let mut fits = Choice::from(0);
    for secret in secrets {
        known += 1;
        fits |= Sha256::digest(secret.as_bytes()).ct_eq(&presented);
    }
    if known == 0 {
        return Err(Unauthentic::NoSecret);
    }
    answer(fits)
}

fn answer(fits: Choice) -> Result<(), Unauthentic> {
    if bool::from(fits) {
        Ok(())
    } else {
        Err(Unauthentic::Wrong)
    }
}

/// Checks that `signed` lies within `tolerance` of `now`, both ways, the edges included.
///
/// # Errors
/// [`Unauthentic::Stale`] when it does not.
pub fn verify_age(
    signed: Timestamp,
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), Unauthentic> {
    let tolerance = SignedDuration::try_from(tolerance).unwrap_or(SignedDuration::MAX);
    if now.duration_since(signed).abs() <= tolerance {
        Ok(())
    } else {
        Err(Unauthentic::Stale)
    }
}

/// Hashes `body` as a signature check would, so that a refusal that needed no check takes as long.
pub fn pretend_to_verify(body: &[u8]) {
    std::hint::black_box(hmac(Algorithm::HmacSha256, b"decoy", &[body]));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ed25519_dalek::{Signer, SigningKey};
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use rstest::rstest;

    use super::{
        Algorithm, Encoding, hmac, verify_age, verify_ed25519, verify_hmac, verify_shared,
    };
    use crate::sources::Unauthentic;

    /// RFC 4231 section 4.3, test case 2.
    #[rstest]
    #[case(
        Algorithm::HmacSha256,
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )]
    #[case(
        Algorithm::HmacSha512,
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
    )]
    fn the_published_example_comes_out(#[case] algorithm: Algorithm, #[case] expected: &str) {
        let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        assert_eq!(hex::encode(hmac(algorithm, b"Jefe", &parts)), expected);
    }

    #[rstest]
    #[case(Encoding::Hex, "00ff", Some(vec![0, 255]))]
    #[case(Encoding::Hex, "00FF", None)]
    #[case(Encoding::Hex, "00f", None)]
    #[case(Encoding::Base64, "+/8=", Some(vec![251, 255]))]
    #[case(Encoding::Base64, "+/8", Some(vec![251, 255]))]
    #[case(Encoding::Base64, "-_8=", None)]
    #[case(Encoding::Base64Url, "-_8", Some(vec![251, 255]))]
    #[case(Encoding::Base64Url, "-_9", None)]
    fn one_signature_has_one_spelling(
        #[case] encoding: Encoding,
        #[case] text: &str,
        #[case] expected: Option<Vec<u8>>,
    ) {
        assert_eq!(encoding.decode(text), expected);
    }

    #[test]
    fn any_presented_signature_may_fit_any_active_key() {
        let right = hmac(Algorithm::HmacSha256, b"new", &[b"body"]);
        let keys = [b"old".to_vec(), b"new".to_vec()];
        let presented = [vec![0; 32], right];
        let verify = |keys: &[Vec<u8>], presented: &[Vec<u8>]| {
            verify_hmac(Algorithm::HmacSha256, keys, &[b"body"], presented)
        };
        assert_eq!(verify(&keys, &presented), Ok(()));
        assert_eq!(verify(&keys[..1], &presented), Err(Unauthentic::Wrong));
        assert_eq!(verify(&keys, &[]), Err(Unauthentic::Missing));
        assert_eq!(verify(&[], &presented), Err(Unauthentic::NoSecret));
        assert_eq!(verify(&keys, &[Vec::new()]), Err(Unauthentic::Wrong));
    }

    #[rstest]
    #[case(300, 0, Ok(()))]
    #[case(-300, 0, Ok(()))]
    #[case(300, 1, Err(Unauthentic::Stale))]
    #[case(-300, -1, Err(Unauthentic::Stale))]
    fn the_tolerance_includes_its_edges_and_nothing_beyond(
        #[case] seconds: i64,
        #[case] microseconds: i64,
        #[case] expected: Result<(), Unauthentic>,
    ) {
        let signed: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let late = SignedDuration::from_secs(seconds) + SignedDuration::from_micros(microseconds);
        assert_eq!(
            verify_age(signed, signed + late, Duration::from_mins(5)),
            expected
        );
    }

    #[test]
    fn a_shared_secret_is_compared_as_a_whole() {
        let secrets = ["first", "second"];
        assert_eq!(verify_shared(secrets, "second"), Ok(()));
        for wrong in ["", "secon", "second ", "Second", "firstsecond"] {
            assert_eq!(verify_shared(secrets, wrong), Err(Unauthentic::Wrong));
        }
        assert_eq!(verify_shared([], ""), Err(Unauthentic::NoSecret));
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_a_changed_bit_does_not(
            key in proptest::collection::vec(any::<u8>(), 1..80),
            body in proptest::collection::vec(any::<u8>(), 1..200),
            at in any::<proptest::sample::Index>(),
            bit in 0_u32..8,
        ) {
            let keys = [key];
            let mac = hmac(Algorithm::HmacSha512, &keys[0], &[&body]);
            let verify = |body: &[u8], mac: Vec<u8>| {
                verify_hmac(Algorithm::HmacSha512, &keys, &[body], &[mac])
            };
            prop_assert_eq!(verify(&body, mac.clone()), Ok(()));
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1 << bit;
            prop_assert!(verify(&changed, mac.clone()).is_err());
            let mut forged = mac;
            forged[at.index(64)] ^= 1 << bit;
            prop_assert!(verify(&body, forged).is_err());
        }

        #[test]
        fn an_ed25519_signature_fits_only_its_content_and_its_key(
            seed in any::<[u8; 32]>(),
            body in proptest::collection::vec(any::<u8>(), 0..100),
            at in 0_usize..64,
        ) {
            let key = SigningKey::from_bytes(&seed);
            let keys = [key.verifying_key()];
            let signature = key.sign(&body).to_bytes().to_vec();
            prop_assert_eq!(verify_ed25519(&keys, &body, &[vec![1], signature.clone()]), Ok(()));
            let mut forged = signature;
            forged[at] ^= 1;
            prop_assert!(verify_ed25519(&keys, &body, &[forged]).is_err());
        }
    }
}
