//! Making and deleting keys. A secret is shown once; what stays is its hash.

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Caller, Credential, Key, Token, Traffic, World};
use crate::simulator::{
    refusal::Refusal,
    role::{Rights, Role},
};

/// How many temporary tokens are remembered.
const MOST_TOKENS: usize = 1000;

/// The body of a request for a key.
#[derive(Debug, Deserialize)]
pub(crate) struct NewKey {
    comment: String,
    scopes: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    expiration_date: Option<Timestamp>,
    #[serde(default)]
    time_to_live_in_seconds: Option<u32>,
}

/// A secret of the form that Deepgram's have: 40 hexadecimal digits.
pub(super) fn generate() -> SecretString {
    SecretString::from(hex::encode(rand::random::<[u8; 20]>()))
}

pub(super) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl World {
    /// Makes a key of the caller's; answers with it and its secret.
    pub(crate) fn create_key(
        &mut self,
        caller: &Caller,
        new: NewKey,
    ) -> Result<(Key, SecretString), Refusal> {
        caller.must("keys:write:own")?;
        let now = self.now();
        let expires = new.expires(now)?;
        let wanted = new.scopes.iter().filter_map(|scope| Role::parse(scope));
        if wanted.max() > caller.rights.role() && !caller.rights.may("keys:write") {
            return Err(Refusal::Forbidden);
        }
        let project = self.project_mut(caller)?;
        let creator = project.member(caller.account);
        let secret = generate();
        let key = Key {
            id: Uuid::new_v4(),
            creator: creator.ok_or(Refusal::Forbidden)?.person.clone(),
            comment: new.comment,
            scopes: new.scopes,
            tags: new.tags,
            created: now,
            expires,
            deleted: None,
            administrative: false,
            traffic: Traffic {
                from: now,
                until: None,
                per_day: 0,
            },
            secret: hash(secret.expose_secret()),
        };
        project.keys.push(key.clone());
        Ok((key, secret))
    }

    /// The keys that the caller may see: everybody's, or its own without saying so.
    pub(crate) fn visible_keys(&self, caller: &Caller) -> Result<Vec<&Key>, Refusal> {
        caller.must("keys:read:own")?;
        let everything = caller.rights.sees_all_keys() && caller.rights.may("keys:read");
        let there = self.project(caller)?.keys.iter();
        Ok(there
            .filter(|key| key.deleted.is_none())
            .filter(|key| everything || key.creator.id == caller.account)
            .collect())
    }

    /// Deletes a key.
    pub(crate) fn delete_key(&mut self, caller: &Caller, id: Uuid) -> Result<(), Refusal> {
        let visible = self.visible_keys(caller)?;
        let key = visible.into_iter().find(|key| key.id == id);
        let key = key.ok_or(Refusal::NotFound("key"))?;
        let is_own = key.creator.id == caller.account;
        caller.must(if is_own {
            "keys:write:own"
        } else {
            "keys:write"
        })?;
        let now = self.now();
        let keys = &mut self.project_mut(caller)?.keys;
        for key in keys.iter_mut().filter(|key| key.id == id) {
            key.deleted = Some(now);
        }
        Ok(())
    }

    /// Gives a living key another secret: the way to act as an application of the company.
    pub(crate) fn reissue(&mut self, id: Uuid) -> Option<SecretString> {
        let now = self.now();
        let mut all = self.projects.iter_mut().flat_map(|one| &mut one.keys);
        let key = all.find(|key| key.id == id && key.is_alive(now))?;
        let secret = generate();
        key.secret = hash(secret.expose_secret());
        Some(secret)
    }

    /// Exchanges a key for a temporary token.
    pub(crate) fn grant(&mut self, who: &Credential, ttl: u32) -> Result<SecretString, Refusal> {
        let (home, key) = self.authenticate(who).ok_or(Refusal::GrantRefused)?;
        let (key, project) = (key.clone(), self.projects.get(home));
        let rights = project.and_then(|project| project.rights(&key));
        if rights.as_ref().and_then(Rights::role).is_none() {
            return Err(Refusal::Forbidden);
        }
        let now = self.now();
        let secret = generate();
        let span = SignedDuration::from_secs(i64::from(ttl));
        self.tokens.push_back(Token {
            secret: hash(secret.expose_secret()),
            key: key.id,
            expires: now.checked_add(span).unwrap_or(now),
        });
        if self.tokens.len() > MOST_TOKENS {
            self.tokens.pop_front();
        }
        Ok(secret)
    }
}

impl NewKey {
    fn expires(&self, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
        match (self.expiration_date, self.time_to_live_in_seconds) {
            (Some(_), Some(_)) => Err(Refusal::Invalid(
                "give expiration_date or time_to_live_in_seconds, not both.".to_owned(),
            )),
            (date, None) => Ok(date),
            (None, Some(seconds)) => {
                let span = SignedDuration::from_secs(i64::from(seconds));
                Ok(now.checked_add(span).ok())
            }
        }
    }
}
