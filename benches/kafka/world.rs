//! Signed webhooks; people, keys and their changes as in the other benchmark.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use offkey::{
    clock::{Clock as _, SystemClock},
    domain::ChangeId,
};
use sha2::Sha256;

#[path = "../offkey/world.rs"]
#[expect(
    dead_code,
    reason = "webhooks are signed here, and sent by another source"
)]
mod people;

pub(crate) use people::{address, event_id, just_now, keys, leave};

/// Who sends the webhooks.
pub(crate) const SOURCE: &str = "hr";

/// What webhooks are signed with.
const SECRET: &[u8] = b"thirty-two bytes that nobody has";

/// Makes a body about 1 KB.
const REASON: usize = 840;

/// The secret as a configuration says it.
pub(crate) fn secret() -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(SECRET))
}

/// What signs, and checks, a message of this id and time (Standard Webhooks).
pub(crate) fn signer(id: &str, time: &str, body: &[u8]) -> Hmac<Sha256> {
    let keyed = Hmac::<Sha256>::new_from_slice(SECRET);
    // HMAC takes a key of any length.
    let mut signer =
        keyed.unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
    for part in [id.as_bytes(), b".", time.as_bytes(), b".", body] {
        signer.update(part);
    }
    signer
}

/// The id of the change that the event becomes.
pub(crate) fn change_of(event: &str) -> ChangeId {
    ChangeId::derive(SOURCE, event)
}

/// A signed webhook of about 1 KB that says that a person left.
pub(crate) fn request(event: usize, person: usize) -> Vec<u8> {
    let (id, address, just_now) = (event_id(event), address(person), just_now());
    let time = SystemClock.now().as_second().to_string();
    let body = format!(
        r#"{{"type":"membership.changed","timestamp":"{just_now}","data":{{"change":"removed","person":{{"email":"{address}"}},"reason":"{:-<REASON$}"}}}}"#,
        "left"
    );
    let signature = signer(&id, &time, body.as_bytes()).finalize().into_bytes();
    let signature = BASE64_STANDARD.encode(signature);
    let length = body.len();
    format!(
        "POST /in/{SOURCE} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         webhook-id: {id}\r\nwebhook-timestamp: {time}\r\nwebhook-signature: v1,{signature}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
