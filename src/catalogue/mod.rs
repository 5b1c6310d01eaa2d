//! The catalogue: what happens to a key, as cited data. Code never knows a fate by itself.
//!
//! One file a provider comes with this version (`fates/`); the files that the configuration names
//! add to them and stand in their place.

mod built_in;
mod check;
mod file;
mod load;
mod rule;
mod situation;

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use self::file::Role;
pub use self::{
    file::Fault,
    load::CatalogueError,
    rule::{Cascade, Conflict, Replaced, Rule},
    situation::Situation,
};
pub use crate::domain::Returns;
use crate::domain::{Shared, impact::Symptom};

/// The rules and roles of all providers.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// The day the data of this version was last changed.
    pub version: String,
    providers: BTreeMap<String, Provider>,
    /// Where each rule stands, by its id.
    places: BTreeMap<String, Place>,
}

/// Provider, class and situation of a rule.
type Place = (String, String, Situation);

/// What is known of the providers of one kind.
#[derive(Debug, Clone)]
pub struct Provider {
    /// The kind.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// The best role first.
    roles: Vec<Role>,
    classes: BTreeMap<String, Class>,
}

/// One kind of key of one provider.
#[derive(Debug, Clone, Serialize)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// What it is.
    pub what: String,
    /// What callers see of an ended key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symptom: Option<Shared<Symptom>>,
    /// Why nobody can say that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_symptom: Option<String>,
    /// The file that it is from.
    pub file: Arc<str>,
    #[serde(skip)]
    rules: BTreeMap<Situation, Rule>,
}

impl Catalogue {
    /// The rule for a key of `class` at a provider of `kind`.
    #[must_use]
    pub fn rule(&self, kind: &str, class: &str, on: Situation) -> Option<&Rule> {
        self.class(kind, class)?.rule(on)
    }

    /// What is known of keys of `class` at a provider of `kind`.
    #[must_use]
    pub fn class(&self, kind: &str, class: &str) -> Option<&Class> {
        self.provider(kind)?.class(class)
    }

    /// The rule named `id`.
    #[must_use]
    pub fn rule_named(&self, id: &str) -> Option<&Rule> {
        let (kind, class, on) = self.places.get(id)?;
        self.rule(kind, class, *on)
    }

    /// Every rule, by provider, class and situation.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.providers()
            .flat_map(Provider::classes)
            .flat_map(Class::rules)
    }

    /// Every provider, by kind.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values()
    }

    /// The providers of `kind`.
    #[must_use]
    pub fn provider(&self, kind: &str) -> Option<&Provider> {
        self.providers.get(kind)
    }

    /// How high `role` stands at a provider of `kind`; 0 is the highest.
    #[must_use]
    pub fn rank(&self, kind: &str, role: &str) -> Option<usize> {
        let roles = &self.provider(kind)?.roles;
        roles.iter().position(|known| known.name == role)
    }

    /// What `scope`, a role's name or a scope, stands for at a provider of `kind`.
    #[must_use]
    pub fn expand<'a>(&'a self, kind: &str, scope: &'a str) -> Vec<&'a str> {
        let role = self
            .provider(kind)
            .and_then(|known| known.roles.iter().find(|role| role.name == scope));
        match role {
            Some(role) => role.scopes.iter().map(String::as_str).collect(),
            None => vec![scope],
        }
    }
}

impl Provider {
    /// What its roles are called, as far as they are known, the best first.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| role.name.as_str())
    }

    /// Every credential class, by name.
    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.classes.values()
    }

    /// The credential class named `name`.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.get(name)
    }
}

impl Class {
    /// Its rules, by situation.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.values()
    }

    /// The rule for a situation.
    #[must_use]
    pub fn rule(&self, on: Situation) -> Option<&Rule> {
        self.rules.get(&on)
    }
}

#[cfg(test)]
mod tests;
