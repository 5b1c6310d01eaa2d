//! Authentic requests that could not be used, kept for a person to look at and try again.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Record, Topic, id::content_id};

/// The most bytes of `why`: a body can hold more faults than anybody reads.
const LONGEST_WHY: usize = 2000;
/// What a header's name holds when its value may be a secret.
const SECRETIVE: [&str; 9] = [
    "auth",
    "cookie",
    "credential",
    "key",
    "password",
    "secret",
    "session",
    "signature",
    "token",
];

/// A request to put aside.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// The configured name of the source.
    pub source: &'a str,
    /// When we got it.
    pub received_at: Timestamp,
    /// What is wrong, where, and what would be right.
    pub why: &'a str,
    /// The source's own id of the event, when it is about one and has one.
    pub event_id: Option<&'a str>,
    /// All headers, names in lower case.
    pub headers: &'a [(String, String)],
    /// Further headers that hold a proof, in lower case.
    pub proof_headers: &'a [String],
    /// The raw body.
    pub body: &'a [u8],
    /// Whether to keep the body and the headers.
    pub keep_payload: bool,
}

/// One authentic request that could not be used, as a whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Derived from the source, the body and the fault, so that a repeat is the same.
    pub id: uuid::Uuid,
    /// The configured name of the source.
    pub source: String,
    /// When we got it.
    pub received_at: Timestamp,
    /// What is wrong, where, and what would be right. It can quote the value of a field we read.
    pub why: String,
    /// The source's own id of the event, when it is about one and has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The headers in order, without those that can hold a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The raw body in base64; absent when the source keeps no payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The SHA-256 of the raw body, in hexadecimal.
    pub body_sha256: String,
    /// The size of the raw body in bytes.
    pub body_bytes: usize,
}

impl Quarantined {
    /// The CloudEvents type of a quarantined request.
    pub const TYPE: &str = "offkey.quarantined.v1";

    /// Puts `refused` aside.
    #[must_use]
    pub fn new(refused: &Refused<'_>) -> Self {
        let digest = Sha256::digest(refused.body);
        let end = refused.why.floor_char_boundary(LONGEST_WHY);
        let why = refused.why.get(..end).unwrap_or_default();
        let (headers, body) = if refused.keep_payload {
            let body = BASE64_STANDARD.encode(refused.body);
            (shown(refused.headers, refused.proof_headers), Some(body))
        } else {
            (Vec::new(), None)
        };
        Self {
            id: content_id(&[
                b"quarantined",
                refused.source.as_bytes(),
                &digest,
                why.as_bytes(),
            ]),
            source: refused.source.to_owned(),
            received_at: refused.received_at,
            why: why.to_owned(),
            event_id: refused.event_id.map(str::to_owned),
            headers,
            body,
            body_sha256: hex::encode(digest),
            body_bytes: refused.body.len(),
        }
    }

    /// The raw body, when it was kept.
    #[must_use]
    pub fn payload(&self) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(self.body.as_deref()?).ok()
    }

    /// The record that carries it.
    #[must_use]
    pub fn to_record(&self) -> Record {
        Record::json(Topic::Quarantine, self.source.clone(), self)
            .id(self.id.to_string())
            .kind(Self::TYPE)
            .source(format!("/sources/{}", self.source))
            .subject(self.id.to_string())
            .time(self.received_at)
            .recorded_at(self.received_at)
    }
}

/// The headers whose values can be shown.
fn shown(headers: &[(String, String)], proof_headers: &[String]) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| !proof_headers.contains(name))
        .filter(|(name, _)| !SECRETIVE.iter().any(|part| name.contains(part)))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Quarantined, Refused};

    fn refused<'a>(headers: &'a [(String, String)], proof_headers: &'a [String]) -> Refused<'a> {
        Refused {
            source: "hr",
            received_at: Timestamp::UNIX_EPOCH,
            why: "data.person: give an email or an account",
            event_id: Some("e1"),
            headers,
            proof_headers,
            body: b"{\"salary\":1}",
            keep_payload: true,
        }
    }

    #[test]
    fn no_header_that_can_hold_a_secret_is_kept() {
        let names = [
            "authorization",
            "cookie",
            "x-hub-signature-256",
            "x-gitlab-token",
            "x-api-key",
            "proxy-authorization",
            "x-our-word",
            "content-type",
            "webhook-id",
        ];
        let headers: Vec<_> = names.map(|name| (name.to_owned(), "v".to_owned())).into();
        let proof = ["x-our-word".to_owned()];
        let kept = Quarantined::new(&refused(&headers, &proof)).headers;
        let kept: Vec<_> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(kept, ["content-type", "webhook-id"]);
    }

    #[test]
    fn a_source_that_keeps_no_payload_keeps_its_hash_and_size_only() {
        let headers = [("x-employee".to_owned(), "ada".to_owned())];
        let mut refused = refused(&headers, &[]);
        refused.keep_payload = false;
        let record = Quarantined::new(&refused).to_record();
        let text = String::from_utf8(record.data.to_vec()).unwrap();
        assert!(
            !text.contains("ada") && !text.contains("\"body\""),
            "{text}"
        );
        let kept: Quarantined = record.read().unwrap();
        assert_eq!((kept.payload(), kept.body_bytes), (None, 12));
        assert_eq!(
            kept.body_sha256,
            "4f3b3bf12addb079b3ccf05e29ab2d8ea779b40da1f231fba54cd2c5e7d5a874"
        );
    }

    #[test]
    fn a_repeat_at_another_time_is_the_same_and_its_bytes_come_back() {
        let first = refused(&[], &[]);
        let mut second = first;
        second.received_at = Timestamp::from_second(9).unwrap();
        let (first, second) = (Quarantined::new(&first), Quarantined::new(&second));
        assert_eq!(first.id, second.id);
        assert_eq!(first.payload().unwrap(), b"{\"salary\":1}");
    }
}
