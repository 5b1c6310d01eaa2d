//! Deepgram: projects, members, keys and their use.
//!
//! Facts: the management API reference and "Working with Roles & API Scopes" on
//! developers.deepgram.com. Nothing pages, and nothing says that a list is short: see
//! [`completeness`]. The call that shows a single key is never made, and no body's `key` is read.

mod client;
mod completeness;
mod project;
mod retry;
#[cfg(test)]
mod tests;
mod usage;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures_util::future::join_all;
use secrecy::SecretString;

use self::{
    client::{CallError, Client},
    project::Reading,
    retry::Limits,
    wire::Own,
};
use crate::{
    clock::Clock,
    config::{provider::DeepgramConfig, secret::Secrets},
    inventory::{Provider, ProviderError, Snapshot},
};

/// The credential class of all keys, as the catalogue names it.
const CLASS: &str = "project-key";

/// One Deepgram account, read with one or several keys.
pub struct DeepgramProvider {
    name: String,
    client: Client,
    secrets: Arc<Secrets>,
    clock: Arc<dyn Clock>,
}

/// One of our keys that lists projects.
struct Sight<'a> {
    /// Its position among the secrets, from 1.
    number: usize,
    secret: &'a SecretString,
    /// What it says about itself; absent: it does not say.
    own: Option<Own>,
}

/// What our keys list.
#[derive(Default)]
struct Sights<'a> {
    keys: Vec<Sight<'a>>,
    /// Project id to its name and the positions of the `keys` that list it.
    projects: BTreeMap<String, (String, Vec<usize>)>,
    /// Why others of our keys list nothing: their number, and what happened.
    failures: Vec<(usize, CallError)>,
}

impl DeepgramProvider {
    /// A provider that asks nothing yet.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] when no HTTP client can be built for the address.
    pub fn new(
        config: &DeepgramConfig,
        api_key: Arc<Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ProviderError> {
        Self::with_limits(config, api_key, clock, Limits::default())
    }

    fn with_limits(
        config: &DeepgramConfig,
        secrets: Arc<Secrets>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Result<Self, ProviderError> {
        let client = Client::new(config.base_url.clone(), limits, Arc::clone(&clock));
        Ok(Self {
            name: config.name.clone(),
            client: client.map_err(|why| failure(&config.name, &why))?,
            secrets,
            clock,
        })
    }
}

#[async_trait]
impl Provider for DeepgramProvider {
    fn name(&self) -> &str {
        &self.name
    }

    async fn snapshot(&self) -> Result<Snapshot, ProviderError> {
        let started_at = self.clock.now();
        let secrets = self.secrets.current();
        let sights = self.look(&secrets).await;
        if sights.keys.is_empty() {
            return Err(sights.failure(&self.name));
        }
        let reads = sights
            .projects
            .iter()
            .map(|(id, (name, seers))| self.best_reading(id, name, seers, &sights.keys));
        let readings: Vec<_> = join_all(reads).await.into_iter().flatten().collect();
        let mut gaps = sights.gaps(secrets.len());
        gaps.extend(completeness::unseen_own_keys(&sights.keys, &readings));
        Ok(Snapshot {
            started_at,
            finished_at: self.clock.now(),
            projects: readings.into_iter().map(|one| one.project).collect(),
            gaps,
            own_keys: sights.own_keys(),
        })
    }
}

impl DeepgramProvider {
    /// Asks each of our keys which projects it sees.
    async fn look<'a>(&self, secrets: &'a [SecretString]) -> Sights<'a> {
        let mut sights = Sights::default();
        for (number, secret) in (1..).zip(secrets) {
            let projects = match self.client.projects(secret).await {
                Ok(projects) => projects,
                Err(why) => {
                    sights.failures.push((number, why));
                    continue;
                }
            };
            for project in projects {
                let name = project.name.unwrap_or_else(|| project.project_id.clone());
                let seen = sights.projects.entry(project.project_id);
                let (_, seers) = seen.or_insert_with(|| (name, Vec::new()));
                seers.push(sights.keys.len());
            }
            let own = self.client.own(secret).await;
            sights.keys.push(Sight {
                number,
                secret,
                own,
            });
        }
        sights
    }

    /// One project, read with the first key that sees all of it, else with the one that misses
    /// least; absent: no key lists it.
    async fn best_reading(
        &self,
        id: &str,
        name: &str,
        seers: &[usize],
        keys: &[Sight<'_>],
    ) -> Option<Reading> {
        let mut best: Option<Reading> = None;
        for by in seers.iter().copied() {
            let sight = keys.get(by)?;
            let reader = project::Reader {
                client: &self.client,
                secret: sight.secret,
                own: sight.own.as_ref(),
                now: self.clock.now(),
            };
            let reading = reader.read(id, name, by).await;
            let gaps = reading.project.gaps.len();
            if best
                .as_ref()
                .is_none_or(|one| gaps < one.project.gaps.len())
            {
                best = Some(reading);
            }
            if gaps == 0 {
                break;
            }
        }
        best
    }
}

impl Sights<'_> {
    /// The ids of our keys; absent when one does not say which it is.
    fn own_keys(&self) -> Option<Vec<String>> {
        let ids = self.keys.iter().map(|sight| sight.own.as_ref());
        let ids = ids.map(|own| own.map(|own| own.api_key_id.clone()));
        let mut ids = ids.collect::<Option<Vec<String>>>()?;
        ids.sort();
        ids.dedup();
        Some(ids)
    }

    /// Why nothing can be read. What may pass comes before what does not.
    fn failure(&self, provider: &str) -> ProviderError {
        let mut reasons = self.failures.iter().map(|(_, why)| why);
        let passing = reasons.clone().find(|why| !why.is_refusal());
        match passing.or_else(|| reasons.next()) {
            Some(why) => failure(provider, why),
            None => failure(provider, &CallError::NoCredential),
        }
    }

    /// Why projects may be missing.
    fn gaps(&self, of: usize) -> Vec<String> {
        let failed = self.failures.iter().map(|(number, why)| {
            format!(
                "key {number} of {of} lists no projects ({why}): those that only it sees are missing"
            )
        });
        let mut gaps: Vec<_> = failed.collect();
        if self.projects.is_empty() {
            gaps.push("our credential sees no project at all".to_owned());
        }
        gaps
    }
}

fn failure(provider: &str, why: &CallError) -> ProviderError {
    let (provider, reason) = (provider.to_owned(), why.to_string());
    if why.is_refusal() {
        ProviderError::Refused { provider, reason }
    } else {
        ProviderError::Unavailable { provider, reason }
    }
}
