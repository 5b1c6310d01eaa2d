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

use self::{
    client::{CallError, Client},
    project::Reading,
    retry::Limits,
    wire::Own,
};
use crate::{
    clock::Clock,
    config::{provider::DeepgramConfig, secret::Secrets},
    inventory::{Provider, ProviderError, SeenProject, Snapshot},
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

/// What one of our keys sees.
struct Sight {
    /// Its position among the secrets.
    at: usize,
    /// What it says about itself; absent: it does not say.
    own: Option<Own>,
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
        let mut gaps = Vec::new();
        let mut first_failure = None;
        let mut sights = Vec::new();
        // Which keys see a project: `(name, positions in sights)` by id.
        let mut found: BTreeMap<String, (String, Vec<usize>)> = BTreeMap::new();
        for (at, secret) in secrets.iter().enumerate() {
            match self.client.projects(secret).await {
                Ok(projects) => {
                    for project in projects {
                        let name = project.name.unwrap_or_else(|| project.project_id.clone());
                        let seen = found.entry(project.project_id);
                        seen.or_insert((name, Vec::new())).1.push(sights.len());
                    }
                    let own = self.client.own(secret).await;
                    sights.push(Sight { at, own });
                }
                Err(why) => {
                    gaps.push(format!(
                        "key {} of {} lists no projects ({why}): those that only it sees are missing",
                        at + 1,
                        secrets.len()
                    ));
                    first_failure.get_or_insert(why);
                }
            }
        }
        if let (true, Some(why)) = (sights.is_empty(), first_failure) {
            return Err(failure(&self.name, &why));
        }
        if found.is_empty() {
            gaps.push("our credential sees no project at all".to_owned());
        }
        let reads = found
            .into_iter()
            .map(|(id, (name, seers))| self.best_reading(id, name, seers, &sights));
        let readings = join_all(reads).await;
        gaps.extend(completeness::unseen_own_keys(&sights, &readings));
        Ok(Snapshot {
            started_at,
            finished_at: self.clock.now(),
            projects: readings
                .into_iter()
                .map(|reading| reading.project)
                .collect(),
            gaps,
        })
    }
}

impl DeepgramProvider {
    /// One project, read with the first key that sees all of it, else with the one that sees most.
    async fn best_reading(
        &self,
        id: String,
        name: String,
        seers: Vec<usize>,
        sights: &[Sight],
    ) -> Reading {
        let secrets = self.secrets.current();
        let mut best: Option<Reading> = None;
        for (by, sight) in seers.iter().filter_map(|by| Some((*by, sights.get(*by)?))) {
            let Some(secret) = secrets.get(sight.at) else {
                continue;
            };
            let reading = project::Reader {
                client: &self.client,
                secret,
                own: sight.own.as_ref(),
                now: self.clock.now(),
            };
            let reading = reading.read(&id, &name, by).await;
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
        best.unwrap_or_else(|| Reading::nothing(id, name))
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

impl Reading {
    /// Of a project whose key was exchanged while we read.
    fn nothing(id: String, name: String) -> Self {
        Self {
            project: SeenProject {
                id,
                name,
                members: Vec::new(),
                keys: Vec::new(),
                gaps: vec!["our credentials changed while we read".to_owned()],
            },
            by: usize::MAX,
        }
    }
}
