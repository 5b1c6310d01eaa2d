//! Signs as a source does.

use offkey::{
    clock::{Clock as _, SystemClock},
    sinks::webhook::signature::{SignatureKey, sign_all},
};

/// The headers of Standard Webhooks for `body`, signed now.
pub(crate) fn signed(id: &str, body: &[u8], secret: &str) -> Vec<(&'static str, String)> {
    signed_at(SystemClock.now().as_second(), id, body, secret)
}

/// The headers of Standard Webhooks for `body`, signed `seconds` after 1970.
pub(crate) fn signed_at(
    seconds: i64,
    id: &str,
    body: &[u8],
    secret: &str,
) -> Vec<(&'static str, String)> {
    let key = SignatureKey::parse(&secret.to_owned().into()).unwrap();
    vec![
        ("content-type", "application/json".to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", sign_all(&[key], id, seconds, body)),
    ]
}
