//! What the operator decides: environments, severity, deadlines, links between accounts.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

pub use super::severity::SeverityRow;
use super::{identity::Identities, schedule::Reminders, severity_table::default_table};
use crate::domain::{MembershipChange, Propagation, Scope, impact::Environment};

/// The decisions correlation is made with.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// A key is production when one of these is a whole word of its tags, its label or its
    /// project's name, looked for in this order.
    pub production: Vec<String>,
    /// The same for everything else.
    pub non_production: Vec<String>,
    /// A key last used no longer ago than this is in use (Deepgram's own guide waits 7 days).
    #[serde(with = "humantime_serde")]
    pub traffic_window: Duration,
    /// A key last used no longer ago than this may serve a job that runs once a month.
    #[serde(with = "humantime_serde")]
    pub seasonal_window: Duration,
    /// With so long until the deadline there is time to move callers.
    #[serde(with = "humantime_serde")]
    pub ample_notice: Duration,
    /// How soon somebody has to act where nothing happens by itself.
    #[serde(with = "humantime_serde")]
    pub manual_deadline: Duration,
    /// For how long after the time at which a fate should have shown itself a complete list of the
    /// provider is waited for.
    #[serde(with = "humantime_serde")]
    pub verify_within: Duration,
    /// How far from a deadline somebody is reminded of it.
    pub reminders: Reminders,
    /// The severity table; the first row that fits counts.
    pub severity: Vec<SeverityRow>,
    /// The configured providers by name.
    #[serde(skip)]
    pub providers: BTreeMap<String, ProviderFacts>,
    /// What the groups of sources open.
    #[serde(skip)]
    pub groups: Vec<GroupMapping>,
    /// Whose accounts are whose.
    #[serde(skip)]
    pub identities: Identities,
}

/// What correlation has to know about a configured provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderFacts {
    /// The kind, as the catalogue names it.
    pub kind: String,
    /// How a change elsewhere reaches it.
    pub propagation: Propagation,
}

/// A group of a source whose members are let into a project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMapping {
    /// The configured name of the source.
    pub source: String,
    /// The source's own id of the group.
    pub group: String,
    /// The configured name of the provider.
    pub provider: String,
    /// The provider's own id of the project; absent: all of them.
    #[serde(default)]
    pub project: Option<String>,
    /// The provider's own word for the role that the group gives there; absent: nobody says.
    #[serde(default)]
    pub role: Option<String>,
}

impl GroupMapping {
    /// Whether its members are let into `project` of `provider`.
    #[must_use]
    pub fn opens(&self, provider: &str, project: &str) -> bool {
        self.provider == provider && self.project.as_deref().is_none_or(|one| one == project)
    }
}

impl Default for Policy {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            production: words(&["prod", "production", "live"]),
            non_production: words(&["dev", "development", "staging", "stage", "test", "sandbox"]),
            traffic_window: Duration::from_secs(7 * 86_400),
            seasonal_window: Duration::from_secs(40 * 86_400),
            ample_notice: Duration::from_secs(7 * 86_400),
            manual_deadline: Duration::from_secs(86_400),
            verify_within: Duration::from_secs(7 * 86_400),
            reminders: Reminders::default(),
            severity: default_table(),
            providers: BTreeMap::new(),
            groups: Vec::new(),
            identities: Identities::default(),
        }
    }
}

impl Policy {
    /// Whether a key in `project` of `provider` lies within the scope of `change`; what a group
    /// opens is configured.
    #[must_use]
    pub fn covers(&self, change: &MembershipChange, provider: &str, project: &str) -> bool {
        let Scope::Group { group } = &change.scope else {
            return change.scope.covers(provider, project);
        };
        self.mappings(&change.source, group)
            .any(|mapping| mapping.opens(provider, project))
    }

    /// What the group of a source opens.
    pub fn mappings<'a>(
        &'a self,
        source: &'a str,
        group: &'a str,
    ) -> impl Iterator<Item = &'a GroupMapping> {
        let is_it = move |one: &&GroupMapping| one.source == source && one.group == group;
        self.groups.iter().filter(is_it)
    }

    /// The environment of a key, and what says so: what sort of text it is, and the text.
    #[must_use]
    pub fn environment<'t>(
        &self,
        tags: &'t [String],
        label: &'t str,
        project: &'t str,
    ) -> (Environment, Option<(&'static str, &'t str)>) {
        let places = tags
            .iter()
            .map(|tag| ("tag", tag.as_str()))
            .chain([("label", label), ("project", project)]);
        for (place, text) in places {
            let words = text.split(|c: char| !c.is_alphanumeric());
            let says = |known: &[String]| {
                let mut words = words.clone();
                words.any(|word| known.iter().any(|known| is_lower(word, known)))
            };
            let found = match (says(&self.production), says(&self.non_production)) {
                (true, _) => Environment::Production,
                (false, true) => Environment::NonProduction,
                (false, false) => continue,
            };
            return (found, Some((place, text)));
        }
        (Environment::Unknown, None)
    }
}

/// Whether `word` is `known` when it is written in lower case.
fn is_lower(word: &str, known: &str) -> bool {
    if word.is_ascii() {
        let lower = word.bytes().map(|byte| byte.to_ascii_lowercase());
        return word.len() == known.len() && lower.eq(known.bytes());
    }
    word.to_lowercase() == known
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Policy;
    use crate::domain::impact::Environment;

    #[rstest]
    #[case(&["prod"], "x", "y", Environment::Production)]
    #[case(&["staging"], "prod", "prod", Environment::NonProduction)]
    #[case(&[], "Live captions", "", Environment::Production)]
    #[case(&[], "reproduction", "Voice dev", Environment::NonProduction)]
    #[case(&["west"], "captions", "Voice", Environment::Unknown)]
    fn tags_speak_before_labels_and_labels_before_projects(
        #[case] tags: &[&str],
        #[case] label: &str,
        #[case] project: &str,
        #[case] expected: Environment,
    ) {
        let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
        assert_eq!(
            Policy::default().environment(&tags, label, project).0,
            expected
        );
    }
}
