//! How a sender proves who it is, as configured.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{
    Request, SourceError, Unauthentic,
    signature::{Algorithm, Encoding, pretend_to_verify, verify_age, verify_hmac, verify_shared},
    standard_webhooks::StandardProof,
    time::TimeFormat,
};
use crate::config::declarative::{HmacConfig, KeyConfig, ProofConfig, SignedPart};

/// One way to prove a request.
#[derive(Debug)]
pub(super) enum Proof {
    Hmac(Box<HmacProof>),
    Standard(StandardProof),
    Header(String),
    Bearer,
}

impl Proof {
    /// Parses the configuration of the source `name`.
    pub(super) fn parse(config: &ProofConfig, name: &str) -> Result<Self, SourceError> {
        Ok(match config {
            ProofConfig::Hmac(hmac) => Self::Hmac(Box::new(HmacProof::parse(hmac, name)?)),
            ProofConfig::StandardWebhooks(standard) => Self::Standard(StandardProof::new(
                &standard.header_prefix,
                standard.tolerance,
            )),
            ProofConfig::Header(header) => {
                Self::Header(header_name(&header.header, name, "proof.header")?)
            }
            ProofConfig::Bearer(_) => Self::Bearer,
        })
    }

    /// Checks `request` against all of `secrets`.
    pub(super) fn verify(
        &self,
        request: &Request<'_>,
        secrets: &[SecretString],
    ) -> Result<(), Unauthentic> {
        match self {
            Self::Hmac(hmac) => hmac.verify(request, secrets),
            Self::Standard(standard) => standard.verify(request, secrets),
            Self::Header(name) => verify_header(request, name, "", secrets),
            Self::Bearer => verify_header(request, "authorization", "bearer ", secrets),
        }
    }

    /// Checks at start that the secrets have the form this proof needs.
    pub(super) fn check_secrets(
        &self,
        secrets: &[SecretString],
        name: &str,
    ) -> Result<(), SourceError> {
        let is_well_formed = match self {
            Self::Hmac(hmac) => hmac.keys(secrets).len() == secrets.len(),
            Self::Standard(_) => secrets.iter().all(StandardProof::takes),
            Self::Header(_) | Self::Bearer => true,
        };
        if secrets.is_empty() || !is_well_formed {
            let why = "there has to be at least one, and each in the form that the proof needs";
            return Err(SourceError::new(name, "secrets", why));
        }
        Ok(())
    }

    /// The headers that hold the proof.
    pub(super) fn headers(&self) -> Vec<String> {
        match self {
            Self::Hmac(hmac) => vec![hmac.signature.header.clone()],
            Self::Standard(standard) => vec![standard.signature_header().to_owned()],
            Self::Header(name) => vec![name.clone()],
            Self::Bearer => vec!["authorization".to_owned()],
        }
    }
}

/// Checks that the header `name` is `scheme` (compared without case) and one of the secrets.
pub(super) fn verify_header(
    request: &Request<'_>,
    name: &str,
    scheme: &str,
    secrets: &[SecretString],
) -> Result<(), Unauthentic> {
    let presented = request.header(name).and_then(|value| {
        let (start, rest) = value.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let verdict = presented.ok_or(Unauthentic::Missing).and_then(|presented| {
        verify_shared(secrets.iter().map(ExposeSecret::expose_secret), presented)
    });
    if verdict.is_err() {
        pretend_to_verify(request.body);
    }
    verdict
}

/// A header's name as requests hold it.
pub(super) fn header_name(text: &str, name: &str, field: &str) -> Result<String, SourceError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.is_empty() || !text.bytes().all(is_token) {
        let why = format!("{text:?} is no name of a header");
        return Err(SourceError::new(name, field, why));
    }
    Ok(text.to_ascii_lowercase())
}

/// A piece of a header.
#[derive(Debug)]
struct HeaderPart {
    header: String,
    separator: Option<String>,
    prefix: String,
}

impl HeaderPart {
    /// All pieces of the value that start with the prefix, without it.
    fn pieces<'a>(&self, request: &Request<'a>) -> Vec<&'a str> {
        let Some(value) = request.header(&self.header) else {
            return Vec::new();
        };
        let all: Vec<&str> = match &self.separator {
            Some(separator) => value.split(separator.as_str()).collect(),
            None => vec![value],
        };
        all.into_iter()
            .filter_map(|piece| piece.trim().strip_prefix(self.prefix.as_str()))
            .collect()
    }
}

#[derive(Debug)]
struct SignedTime {
    at: HeaderPart,
    format: TimeFormat,
    tolerance: Duration,
}

/// A keyed hash over parts of the request.
#[derive(Debug)]
pub(super) struct HmacProof {
    algorithm: Algorithm,
    encoding: Encoding,
    signature: HeaderPart,
    key: KeyConfig,
    key_prefix: String,
    signed: Vec<SignedPart>,
    timestamp: Option<SignedTime>,
}

impl HmacProof {
    fn parse(config: &HmacConfig, name: &str) -> Result<Self, SourceError> {
        let refuse = |field: &str, why: &str| Err(SourceError::new(name, field, why));
        let part = |header: &str, separator: &Option<String>, prefix: &str, field: &str| {
            if separator.as_deref() == Some("") {
                return Err(SourceError::new(name, field, "the separator is empty"));
            }
            Ok(HeaderPart {
                header: header_name(header, name, field)?,
                separator: separator.clone(),
                prefix: prefix.to_owned(),
            })
        };
        let is_timed = config.signed.contains(&SignedPart::Timestamp);
        if !config.signed.contains(&SignedPart::Body) {
            return refuse("proof.signed", "\"body\" has to be among it");
        }
        if is_timed != config.timestamp.is_some() {
            let why = "\"timestamp\" has to be signed exactly when proof.timestamp is there";
            return refuse("proof.signed", why);
        }
        if config.key == KeyConfig::Utf8 && !config.key_prefix.is_empty() {
            return refuse("proof.key_prefix", "needs key = \"base64\"");
        }
        let mut signed = config.signed.clone();
        for one in &mut signed {
            if let SignedPart::Header(header) = one {
                *header = header_name(header, name, "proof.signed")?;
            }
        }
        let from = &config.signature;
        let timestamp = match &config.timestamp {
            None => None,
            Some(time) => Some(SignedTime {
                at: part(
                    &time.header,
                    &time.separator,
                    &time.prefix,
                    "proof.timestamp",
                )?,
                format: time.format,
                tolerance: time.tolerance,
            }),
        };
        Ok(Self {
            algorithm: config.algorithm,
            encoding: config.encoding,
            signature: part(
                &from.header,
                &from.separator,
                &from.prefix,
                "proof.signature",
            )?,
            key: config.key,
            key_prefix: config.key_prefix.clone(),
            signed,
            timestamp,
        })
    }

    /// The key bytes of the secrets that have the right form.
    fn keys(&self, secrets: &[SecretString]) -> Vec<Vec<u8>> {
        let key = |secret: &SecretString| {
            let text = secret.expose_secret();
            match self.key {
                KeyConfig::Utf8 => Some(text.as_bytes().to_vec()),
                KeyConfig::Base64 => {
                    let bare = text.strip_prefix(&self.key_prefix).unwrap_or(text);
                    Encoding::Base64.decode(bare)
                }
            }
        };
        secrets.iter().filter_map(key).collect()
    }

    fn verify(&self, request: &Request<'_>, secrets: &[SecretString]) -> Result<(), Unauthentic> {
        let presented: Vec<_> = self
            .signature
            .pieces(request)
            .into_iter()
            .filter_map(|text| self.encoding.decode(text))
            .collect();
        let time = match &self.timestamp {
            None => None,
            Some(time) => match time.at.pieces(request).as_slice() {
                [one] => Some((time, *one)),
                _ => return Err(Unauthentic::Missing),
            },
        };
        let mut parts: Vec<&[u8]> = Vec::with_capacity(self.signed.len());
        for part in &self.signed {
            parts.push(match part {
                SignedPart::Body => request.body,
                SignedPart::Literal(text) => text.as_bytes(),
                SignedPart::Timestamp => time.map_or("", |(_, text)| text).as_bytes(),
                SignedPart::Header(name) => {
                    request.header(name).ok_or(Unauthentic::Missing)?.as_bytes()
                }
            });
        }
        verify_hmac(self.algorithm, &self.keys(secrets), &parts, &presented)?;
        let Some((time, text)) = time else {
            return Ok(());
        };
        let signed_at = time.format.parse(text).map_err(|_| Unauthentic::Stale)?;
        verify_age(signed_at, request.received_at, time.tolerance)
    }
}
