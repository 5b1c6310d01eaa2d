//! Okta Event Hooks: <https://developer.okta.com/docs/concepts/event-hooks/>.
//!
//! Okta signs nothing: a shared secret in a header is all the proof there is, so the hook belongs
//! behind TLS and what it says is to be read back before anything is destroyed because of it.

mod event;
mod meaning;

use std::collections::BTreeMap;

use serde_json_borrow::Value;

use super::{
    Reading, Request, SharedSecrets, Source, SourceError, Unauthentic, Unusable, json,
    proof::{header_name, verify_header},
};
use crate::config::source::OktaConfig;
use event::Event;
use meaning::Meaning;

/// The longest challenge of a handshake that is answered.
const LONGEST_CHALLENGE: usize = 512;

/// One Okta organisation that sends Event Hooks.
#[derive(Debug)]
pub struct Okta {
    name: String,
    header: String,
    apps: BTreeMap<String, String>,
    secrets: SharedSecrets,
}

impl Okta {
    /// A source as configured.
    ///
    /// # Errors
    /// [`SourceError`] without a secret, or when `header` is no name of a header.
    pub fn new(config: &OktaConfig, secrets: SharedSecrets) -> Result<Self, SourceError> {
        let name = config.name.as_str();
        if secrets.current().is_empty() {
            return Err(SourceError::new(name, "secrets", "give at least one"));
        }
        Ok(Self {
            name: name.to_owned(),
            header: header_name(&config.header, name, "header")?,
            apps: config.apps.clone(),
            secrets,
        })
    }

    fn read_event(&self, event: &Value<'_>, at: usize, request: &Request<'_>, into: &mut Reading) {
        let path = format!("data.events[{at}]");
        let meaning = json::of::<Event>(event, &path).and_then(|event| {
            meaning::of(&event, &self.name, &self.apps, request.received_at)
                .map_err(|why| format!("{path}.{why}"))
        });
        match meaning {
            Ok(Meaning::Change(change)) => into.add(*change),
            Ok(Meaning::Lookup(lookup)) => into.lookups.push(lookup),
            Ok(Meaning::Nothing(ignored)) => into.ignored.push(ignored),
            Err(why) => into.unusable.push(Unusable {
                event_id: event::id(event),
                why,
            }),
        }
    }
}

impl Source for Okta {
    fn name(&self) -> &str {
        &self.name
    }

    fn verify(&self, request: &Request<'_>) -> Result<(), Unauthentic> {
        verify_header(request, &self.header, "", &self.secrets.current())
    }

    fn read(&self, request: &Request<'_>) -> Reading {
        let body = match json::tree(request.body) {
            Ok(body) => body,
            Err(why) => return Reading::unreadable(why),
        };
        let Some(events) = event::events(&body) else {
            return Reading::unreadable("the body is no event hook: data.events is no list");
        };
        let mut reading = Reading::default();
        for (at, event) in events.iter().enumerate() {
            self.read_event(event, at, request, &mut reading);
        }
        reading
    }

    fn handshake(&self, request: &Request<'_>) -> Option<serde_json::Value> {
        let challenge = request.header("x-okta-verification-challenge")?;
        (challenge.len() <= LONGEST_CHALLENGE)
            .then(|| serde_json::json!({ "verification": challenge }))
    }

    fn proof_headers(&self) -> Vec<String> {
        vec![self.header.clone()]
    }

    /// Okta takes 200 and 204 for success.
    fn accepted_status(&self) -> u16 {
        200
    }
}

#[cfg(test)]
mod tests;
