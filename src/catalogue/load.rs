//! Puts the catalogue together out of its files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use super::{
    Catalogue, Class, Provider, Replaced, Rule, built_in,
    check::faults,
    file::{self, ClassEntry, Fault, File, ProviderEntry},
};
use crate::domain::Shared;

/// A catalogue that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogueError {
    /// A file is not there, or is no text.
    #[error("the catalogue file {file} cannot be read: {why}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A file says what it must not.
    #[error("the catalogue cannot be used: {first}{}", others(*.more))]
    Broken {
        /// The first fault.
        first: Fault,
        /// How many there are besides.
        more: usize,
    },
}

fn others(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(" (and {more} more; `offkey catalogue check` lists them)"),
    }
}

impl Catalogue {
    /// The catalogue that comes with this version.
    ///
    /// # Errors
    /// [`CatalogueError`] when the data in the binary is broken.
    pub fn built_in() -> Result<Self, CatalogueError> {
        static BUILT_IN: LazyLock<Result<Catalogue, CatalogueError>> = LazyLock::new(|| {
            let mut catalogue = Catalogue::default();
            for (name, text) in built_in::FILES {
                let version = catalogue.take(name, text)?;
                catalogue.version = catalogue.version.max(version.unwrap_or_default());
            }
            Ok(catalogue)
        });
        BUILT_IN.clone()
    }

    /// The catalogue that comes with this version, with what `files` add and put in its place; a
    /// later file counts more.
    ///
    /// # Errors
    /// [`CatalogueError`] names the file, the line and the rule of what is wrong first.
    pub fn load(files: &[PathBuf]) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::built_in()?;
        for file in files {
            catalogue.take(&file.display().to_string(), &text_of(file)?)?;
        }
        Ok(catalogue)
    }

    /// Everything that is wrong in the files that come with this version.
    #[must_use]
    pub fn check() -> Vec<Fault> {
        let none = Self::default();
        let check = |(name, text): &(&str, &str)| none.faults_of(name, text);
        built_in::FILES.iter().flat_map(check).collect()
    }

    /// Everything that is wrong in `file` as an addition to this catalogue.
    ///
    /// # Errors
    /// [`CatalogueError::Unreadable`].
    pub fn check_file(&self, file: &Path) -> Result<Vec<Fault>, CatalogueError> {
        Ok(self.faults_of(&file.display().to_string(), &text_of(file)?))
    }

    fn faults_of(&self, name: &str, text: &str) -> Vec<Fault> {
        match file::read(name, text) {
            Ok(file) => faults(name, text, &file, self),
            Err(fault) => vec![fault],
        }
    }

    /// Takes in the file called `name`, which reads `text`; its version.
    fn take(&mut self, name: &str, text: &str) -> Result<Option<String>, CatalogueError> {
        let broken = |first, more| CatalogueError::Broken { first, more };
        let file = file::read(name, text).map_err(|fault| broken(fault, 0))?;
        let mut faults = faults(name, text, &file, self).into_iter();
        if let Some(first) = faults.next() {
            return Err(broken(first, faults.len()));
        }
        let File {
            version,
            providers,
            rules,
        } = file;
        let name: Arc<str> = name.into();
        for provider in providers {
            self.add_provider(provider.into_inner(), &name);
        }
        for entry in rules {
            let entry = entry.into_inner();
            let class = self
                .provider(&entry.provider)
                .and_then(|known| known.class(&entry.class));
            let usual = class.and_then(|class| class.symptom.clone());
            for rule in entry.rules(&name, usual.as_ref()) {
                self.add_rule(rule);
            }
        }
        Ok(version)
    }

    fn add_provider(&mut self, entry: ProviderEntry, file: &Arc<str>) {
        let ProviderEntry {
            kind,
            name,
            roles,
            classes,
        } = entry;
        let known = self
            .providers
            .entry(kind.clone())
            .or_insert_with(|| Provider {
                name: kind.clone(),
                kind,
                roles: Vec::new(),
                classes: BTreeMap::new(),
            });
        if let Some(name) = name {
            known.name = name;
        }
        if !roles.is_empty() {
            known.roles = roles;
        }
        for class in classes {
            let ClassEntry {
                name,
                what,
                symptom,
                no_symptom,
            } = class.into_inner();
            let old = known.classes.remove(&name);
            let class = Class {
                name: name.clone(),
                what,
                symptom: symptom.map(Shared::from),
                no_symptom,
                file: file.clone(),
                rules: old.map(|old| old.rules).unwrap_or_default(),
            };
            known.classes.insert(name, class);
        }
    }

    /// Adds `rule` in place of the one of its name and of the one for its situation.
    fn add_rule(&mut self, mut rule: Rule) {
        let place = (rule.provider.clone(), rule.class.clone(), rule.on);
        let of_its_name = self.places.remove(&rule.id);
        for (kind, class, on) in of_its_name.into_iter().chain([place.clone()]) {
            let known = self.providers.get_mut(&kind);
            let class = known.and_then(|known| known.classes.get_mut(&class));
            if let Some(old) = class.and_then(|class| class.rules.remove(&on)) {
                self.places.remove(&old.id);
                rule.replaces.push(Replaced {
                    id: old.id,
                    file: old.file,
                });
            }
        }
        self.places.insert(rule.id.clone(), place);
        let known = self.providers.get_mut(&rule.provider);
        if let Some(class) = known.and_then(|known| known.classes.get_mut(&rule.class)) {
            class.rules.insert(rule.on, rule);
        }
    }
}

fn text_of(file: &Path) -> Result<String, CatalogueError> {
    fs::read_to_string(file).map_err(|error| CatalogueError::Unreadable {
        file: file.to_owned(),
        why: error.to_string(),
    })
}
