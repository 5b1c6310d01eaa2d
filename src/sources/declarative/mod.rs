//! Any JSON webhook, described by its configuration.

mod events;

use serde_json::Value;

use super::{
    Ignored, Lookup, Reading, Request, SharedSecrets, Source, SourceError, Unauthentic, Unusable,
    json,
    mapping::{Parser, Seen, text},
    proof::Proof,
};
use crate::config::declarative::DeclarativeConfig;
use events::{Action, Events};

/// A sender described by its configuration.
pub struct Declarative {
    name: String,
    accepted_status: u16,
    proof: Proof,
    secrets: SharedSecrets,
    events: Events,
}

impl Declarative {
    /// A source as configured.
    ///
    /// # Errors
    /// [`SourceError`] with the path of the field that says something that cannot be.
    pub fn new(config: &DeclarativeConfig, secrets: SharedSecrets) -> Result<Self, SourceError> {
        let name = config.name.as_str();
        let proof = Proof::parse(&config.proof, name)?;
        proof.check_secrets(&secrets.current(), name)?;
        if !(200..300).contains(&config.accepted_status) {
            return Err(SourceError::new(
                name,
                "accepted_status",
                "is not 200 to 299",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            accepted_status: config.accepted_status,
            proof,
            secrets,
            events: Events::parse(
                &config.events,
                Parser {
                    name,
                    zone: &config.zone.0,
                },
            )?,
        })
    }

    fn read_event(&self, seen: &Seen<'_>, into: &mut Reading) {
        let id = self.events.id.id(seen);
        let meaning = id.clone().and_then(|id| self.meaning(id, seen, into));
        if let Err(why) = meaning {
            let why = match seen.number {
                Some(number) => format!("event {number}: {why}"),
                None => why,
            };
            let event_id = id.ok();
            into.unusable.push(Unusable { event_id, why });
        }
    }

    fn meaning(&self, id: String, seen: &Seen<'_>, into: &mut Reading) -> Result<(), String> {
        let events = &self.events;
        let kind = events.kind(seen)?;
        match events.types.get(&kind) {
            Some(Action::Change(change)) => {
                into.add(events.change(*change, &kind, (&self.name, id), seen)?);
            }
            Some(Action::Lookup) => {
                let account = text(events.account.as_ref(), seen)?
                    .ok_or("events.person.account: finds nothing to look up")?;
                let source = self.name.clone();
                into.lookups.push(Lookup {
                    source,
                    event_id: id,
                    account,
                });
            }
            Some(Action::Ignore) | None => into.ignored.push(Ignored {
                event_id: id,
                why: "the configuration gives this type no meaning",
            }),
        }
        Ok(())
    }
}

impl Source for Declarative {
    fn name(&self) -> &str {
        &self.name
    }

    fn verify(&self, request: &Request<'_>) -> Result<(), Unauthentic> {
        self.proof.verify(request, &self.secrets.current())
    }

    fn read(&self, request: &Request<'_>) -> Reading {
        let body = match json::tree(request.body) {
            Ok(body) => Value::from(body),
            Err(why) => return Reading::unreadable(why),
        };
        let mut reading = Reading::default();
        let seen = |event, number| Seen {
            request,
            body: &body,
            event,
            number,
        };
        match &self.events.each {
            None => self.read_event(&seen(&body, None), &mut reading),
            Some(each) => {
                for (number, event) in each.query(&body).iter().enumerate() {
                    self.read_event(&seen(event, Some(number)), &mut reading);
                }
            }
        }
        reading
    }

    fn proof_headers(&self) -> Vec<String> {
        self.proof.headers()
    }

    fn accepted_status(&self) -> u16 {
        self.accepted_status
    }
}

#[cfg(test)]
mod tests;
