//! The catalogue: what happens to a key, as cited data. Code never knows a fate by itself.

use serde::Deserialize;

use crate::domain::{
    Fate,
    impact::{Citation, Symptom},
};

const FATES: &str = include_str!("fates.toml");

/// What a change is to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Situation {
    /// Somebody removed the member.
    MemberRemoved,
    /// The member left.
    MemberLeft,
    /// The account is deleted.
    AccountDeleted,
    /// The member is locked out and may come back.
    Suspended,
    /// The member may do less.
    RoleLowered,
    /// The key's own date has passed.
    KeyExpired,
    /// The member is invited again.
    Invited,
}

/// One cited rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names the rule.
    pub id: String,
    /// The provider's kind.
    pub provider: String,
    /// The credential class.
    pub class: String,
    /// When it applies.
    pub on: Situation,
    /// What happens.
    pub fate: Fate,
    /// What callers see then.
    pub symptom: Option<Symptom>,
    /// What to do.
    pub action: String,
    /// What the cited page says, in our words.
    pub says: String,
    /// Where.
    pub url: String,
    /// The day somebody read it there.
    pub checked: String,
}

impl Rule {
    /// The citation that goes with an impact.
    #[must_use]
    pub fn citation(&self) -> Citation {
        Citation {
            rule: self.id.clone(),
            says: self.says.clone(),
            url: self.url.clone(),
            checked: self.checked.clone(),
        }
    }
}

/// The rules and roles of all providers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The day the data was last changed.
    pub version: String,
    #[serde(rename = "provider")]
    providers: Vec<ProviderRoles>,
    #[serde(rename = "rule")]
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderRoles {
    kind: String,
    #[serde(rename = "role")]
    roles: Vec<Role>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    name: String,
    scopes: Vec<String>,
}

/// A catalogue that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the catalogue cannot be read: {0}")]
pub struct CatalogueError(#[from] toml::de::Error);

impl Catalogue {
    /// The catalogue that comes with this version.
    ///
    /// # Errors
    /// [`CatalogueError`] when the data in the binary is broken.
    pub fn built_in() -> Result<Self, CatalogueError> {
        Ok(toml::from_str(FATES)?)
    }

    /// The rule for a key of `class` at a provider of `kind`.
    #[must_use]
    pub fn rule(&self, kind: &str, class: &str, on: Situation) -> Option<&Rule> {
        self.rules
            .iter()
            .find(|rule| rule.provider == kind && rule.class == class && rule.on == on)
    }

    /// How high `role` stands at a provider of `kind`; 0 is the highest.
    #[must_use]
    pub fn rank(&self, kind: &str, role: &str) -> Option<usize> {
        self.roles(kind)?
            .iter()
            .position(|known| known.name == role)
    }

    /// What `scope`, a role's name or a scope, stands for at a provider of `kind`.
    #[must_use]
    pub fn expand<'a>(&'a self, kind: &str, scope: &'a str) -> Vec<&'a str> {
        let role = self
            .roles(kind)
            .and_then(|roles| roles.iter().find(|role| role.name == scope));
        match role {
            Some(role) => role.scopes.iter().map(String::as_str).collect(),
            None => vec![scope],
        }
    }

    fn roles(&self, kind: &str) -> Option<&[Role]> {
        self.providers
            .iter()
            .find(|known| known.kind == kind)
            .map(|known| known.roles.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Catalogue, Situation};
    use crate::domain::Fate;

    #[test]
    fn every_rule_of_the_built_in_catalogue_is_cited_dated_and_single() {
        let catalogue = Catalogue::built_in().unwrap();
        let mut seen = BTreeSet::new();
        for rule in &catalogue.rules {
            assert!(rule.url.starts_with("https://"), "{}", rule.id);
            assert!(
                rule.checked.parse::<jiff::civil::Date>().is_ok(),
                "{}",
                rule.id
            );
            assert!(
                !rule.says.is_empty() && !rule.action.is_empty(),
                "{}",
                rule.id
            );
            let stops = matches!(rule.fate, Fate::Dies | Fate::Dormant | Fate::Shrinks);
            assert_eq!(rule.symptom.is_some(), stops, "{}", rule.id);
            let place = format!("{} {} {:?}", rule.provider, rule.class, rule.on);
            assert!(
                seen.insert(rule.id.clone()) && seen.insert(place),
                "{}",
                rule.id
            );
        }
    }

    #[test]
    fn a_removed_members_key_dies_at_deepgram_and_an_unknown_class_has_no_rule() {
        let catalogue = Catalogue::built_in().unwrap();
        let rule = catalogue
            .rule("deepgram", "project-key", Situation::MemberRemoved)
            .unwrap();
        assert_eq!(rule.fate, Fate::Dies);
        assert!(
            catalogue
                .rule("deepgram", "other", Situation::MemberRemoved)
                .is_none()
        );
    }
}
