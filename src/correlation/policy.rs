//! What the operator decides: environments, severity, deadlines, links between accounts.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::domain::{Email, Fate, Propagation, Severity, impact::Environment};

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
    /// How soon somebody has to act where nothing happens by itself.
    #[serde(with = "humantime_serde")]
    pub manual_deadline: Duration,
    /// The severity table; the first row that fits counts.
    pub severity: Vec<SeverityRow>,
    /// The configured providers by name.
    #[serde(skip)]
    pub providers: BTreeMap<String, ProviderFacts>,
    /// Accounts that belong to one person.
    #[serde(skip)]
    pub links: Vec<Link>,
}

/// What correlation has to know about a configured provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderFacts {
    /// The kind, as the catalogue names it.
    pub kind: String,
    /// How a change elsewhere reaches it.
    pub propagation: Propagation,
}

/// Accounts that belong to one person, said by the operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The person's address.
    pub person: Email,
    /// Other addresses of theirs.
    #[serde(default)]
    pub emails: Vec<Email>,
    /// Accounts of theirs, `SYSTEM:ID`, where the system is a source's or provider's name.
    #[serde(default)]
    pub accounts: Vec<String>,
}

/// How much a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// There were requests lately.
    Active,
    /// There were none.
    Idle,
    /// Nobody could tell.
    Unknown,
}

/// One row of the severity table; an absent or empty column fits everything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeverityRow {
    /// What becomes of the key.
    #[serde(default)]
    pub fate: Vec<Fate>,
    /// Where it is used.
    #[serde(default)]
    pub environment: Vec<Environment>,
    /// How much it is used.
    #[serde(default, rename = "use")]
    pub usage: Vec<Use>,
    /// How bad that is.
    pub level: Severity,
}

impl SeverityRow {
    fn fits(&self, fate: Fate, environment: Environment, usage: Use) -> bool {
        let any = |empty: bool, found: bool| empty || found;
        any(self.fate.is_empty(), self.fate.contains(&fate))
            && any(
                self.environment.is_empty(),
                self.environment.contains(&environment),
            )
            && any(self.usage.is_empty(), self.usage.contains(&usage))
    }
}

impl Default for Policy {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            production: words(&["prod", "production", "live"]),
            non_production: words(&["dev", "development", "staging", "stage", "test", "sandbox"]),
            traffic_window: Duration::from_secs(7 * 86_400),
            manual_deadline: Duration::from_secs(86_400),
            severity: default_table(),
            providers: BTreeMap::new(),
            links: Vec::new(),
        }
    }
}

fn default_table() -> Vec<SeverityRow> {
    use Environment::{NonProduction, Production, Unknown as Unclear};
    use Fate::{Blocks, Dies, Dormant, Shrinks, Survives, Unknown};
    let row = |fate: &[Fate], environment: &[Environment], usage: &[Use], level| SeverityRow {
        fate: fate.to_vec(),
        environment: environment.to_vec(),
        usage: usage.to_vec(),
        level,
    };
    let stops = [Dies, Dormant, Shrinks];
    vec![
        row(&stops, &[Production], &[Use::Active], Severity::Critical),
        row(&stops, &[Production], &[Use::Unknown], Severity::High),
        row(&stops, &[Production], &[Use::Idle], Severity::Medium),
        row(&stops, &[Unclear], &[Use::Active], Severity::High),
        row(&stops, &[Unclear], &[], Severity::Medium),
        row(&stops, &[NonProduction], &[Use::Active], Severity::Medium),
        row(&stops, &[NonProduction], &[], Severity::Low),
        row(
            &[Survives, Unknown],
            &[Production, Unclear],
            &[],
            Severity::High,
        ),
        row(
            &[Survives, Unknown],
            &[NonProduction],
            &[],
            Severity::Medium,
        ),
        row(&[Blocks], &[], &[], Severity::High),
    ]
}

impl Policy {
    /// How bad it is; what no row fits is `high`, because nobody decided.
    #[must_use]
    pub fn severity_of(&self, fate: Fate, environment: Environment, usage: Use) -> Severity {
        self.severity
            .iter()
            .find(|row| row.fits(fate, environment, usage))
            .map_or(Severity::High, |row| row.level)
    }

    /// The environment of a key, and what says so.
    #[must_use]
    pub fn environment(
        &self,
        tags: &[String],
        label: &str,
        project: &str,
    ) -> (Environment, Option<String>) {
        let places = tags
            .iter()
            .map(|tag| ("tag", tag.as_str()))
            .chain([("label", label), ("project", project)]);
        for (place, text) in places {
            let words: Vec<String> = text
                .split(|c: char| !c.is_alphanumeric())
                .map(str::to_lowercase)
                .collect();
            let says = |known: &[String]| known.iter().any(|word| words.contains(word));
            let found = match (says(&self.production), says(&self.non_production)) {
                (true, _) => Environment::Production,
                (false, true) => Environment::NonProduction,
                (false, false) => continue,
            };
            return (found, Some(format!("{place} {text:?}")));
        }
        (Environment::Unknown, None)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Policy, Use};
    use crate::domain::{Fate, Severity, impact::Environment};

    #[rstest]
    #[case(Fate::Dies, Environment::Production, Use::Active, Severity::Critical)]
    #[case(Fate::Dies, Environment::Production, Use::Unknown, Severity::High)]
    #[case(Fate::Dies, Environment::Production, Use::Idle, Severity::Medium)]
    #[case(Fate::Shrinks, Environment::Unknown, Use::Active, Severity::High)]
    #[case(Fate::Dormant, Environment::Unknown, Use::Idle, Severity::Medium)]
    #[case(Fate::Dies, Environment::NonProduction, Use::Active, Severity::Medium)]
    #[case(Fate::Dies, Environment::NonProduction, Use::Idle, Severity::Low)]
    #[case(Fate::Survives, Environment::Production, Use::Idle, Severity::High)]
    #[case(Fate::Unknown, Environment::Unknown, Use::Unknown, Severity::High)]
    #[case(
        Fate::Survives,
        Environment::NonProduction,
        Use::Active,
        Severity::Medium
    )]
    #[case(Fate::Blocks, Environment::NonProduction, Use::Idle, Severity::High)]
    fn the_default_table(
        #[case] fate: Fate,
        #[case] environment: Environment,
        #[case] usage: Use,
        #[case] level: Severity,
    ) {
        assert_eq!(
            Policy::default().severity_of(fate, environment, usage),
            level
        );
    }

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
