//! Who is calling, and what they may do.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Key, Project, World, keys};
use crate::simulator::{refusal::Refusal, role::Rights};

/// The `Authorization` header: `Token KEY`, or `Bearer TOKEN` for a temporary one.
#[derive(Debug)]
pub(crate) struct Credential {
    scheme: String,
    secret: SecretString,
}

/// A request that was let in.
pub(crate) struct Caller {
    /// The position of the project.
    pub(crate) at: usize,
    /// Whose account.
    pub(crate) account: Uuid,
    /// What it may do there.
    pub(crate) rights: Rights,
}

impl FromRequest for Credential {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let header = request.headers().get(AUTHORIZATION);
        let header = header.and_then(|value| value.to_str().ok()).unwrap_or("");
        let (scheme, secret) = header.split_once(' ').unwrap_or_default();
        ready(Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            secret: SecretString::from(secret.trim()),
        }))
    }
}

impl World {
    /// The living key that the credential is, with the position of its home project.
    pub(crate) fn authenticate(&self, who: &Credential) -> Option<(usize, &Key)> {
        let presented = keys::hash(who.secret.expose_secret());
        let now = self.now();
        let homes = self.projects.iter().enumerate();
        let mut living = homes.flat_map(|(at, project)| {
            let alive = project.keys.iter().filter(move |key| key.is_alive(now));
            alive.map(move |key| (at, key))
        });
        match who.scheme.as_str() {
            "token" => living.find(|(_, key)| bool::from(key.secret.ct_eq(&presented))),
            "bearer" => {
                let mut tokens = self.tokens.iter().filter(|token| token.expires > now);
                let token = tokens.find(|one| bool::from(one.secret.ct_eq(&presented)))?;
                living.find(|(_, key)| key.id == token.key)
            }
            _ => None,
        }
    }

    /// Lets a management request in. Temporary tokens do not open the management API.
    pub(crate) fn administrator(&self, who: &Credential) -> Result<(usize, &Key), Refusal> {
        let known = (who.scheme == "token").then(|| self.authenticate(who));
        known.flatten().ok_or(Refusal::Unauthenticated)
    }

    /// Lets a management request into one project.
    pub(crate) fn enter(&self, who: &Credential, project: &str) -> Result<Caller, Refusal> {
        let (home, key) = self.administrator(who)?;
        let id = parse_id(project)?;
        let found = self.projects.iter().position(|project| project.id == id);
        let at = found.ok_or(Refusal::NotFound("project"))?;
        let rights = self.projects.get(at).and_then(|here| {
            let reaches = key.administrative || at == home;
            reaches.then(|| here.rights(key)).flatten()
        });
        Ok(Caller {
            at,
            account: key.creator.id,
            rights: rights.ok_or(Refusal::NotFound("project"))?,
        })
    }

    /// The projects that a key reaches.
    pub(crate) fn reached(&self, who: &Credential) -> Result<Vec<&Project>, Refusal> {
        let (home, key) = self.administrator(who)?;
        let all = self.projects.iter().enumerate();
        let reached = all.filter(|(at, project)| {
            (key.administrative || *at == home) && project.rights(key).is_some()
        });
        Ok(reached.map(|(_, project)| project).collect())
    }

    /// The project that a caller was let into.
    pub(crate) fn project(&self, caller: &Caller) -> Result<&Project, Refusal> {
        let project = self.projects.get(caller.at);
        project.ok_or(Refusal::NotFound("project"))
    }

    /// The project that a caller was let into, to be changed.
    pub(crate) fn project_mut(&mut self, caller: &Caller) -> Result<&mut Project, Refusal> {
        let project = self.projects.get_mut(caller.at);
        project.ok_or(Refusal::NotFound("project"))
    }
}

impl Project {
    /// What a key may do here; absent: its creator is no member.
    pub(crate) fn rights(&self, key: &Key) -> Option<Rights> {
        let creator = self.member(key.creator.id)?;
        Some(Rights::new(creator.role, &key.scopes))
    }
}

impl Caller {
    /// Refuses what the caller may not do.
    pub(crate) fn must(&self, permission: &str) -> Result<(), Refusal> {
        if self.rights.may(permission) {
            Ok(())
        } else {
            Err(Refusal::Forbidden)
        }
    }
}

/// An id from a path.
pub(crate) fn parse_id(text: &str) -> Result<Uuid, Refusal> {
    Uuid::parse_str(text).map_err(|why| Refusal::NotAUuid(why.to_string()))
}
