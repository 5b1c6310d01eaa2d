//! One catalogue file: its form, and where in it something is wrong.

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::{Cascade, Conflict, Situation, rule::Rule};
use crate::domain::{
    Fate, Returns, Shared,
    impact::{Citation, Symptom},
};

/// A file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The day the file was last changed.
    pub(super) version: Option<String>,
    #[serde(default, rename = "provider")]
    pub(super) providers: Vec<Spanned<ProviderEntry>>,
    #[serde(default, rename = "rule")]
    pub(super) rules: Vec<Spanned<RuleEntry>>,
}

/// `[[provider]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderEntry {
    pub(super) kind: String,
    pub(super) name: Option<String>,
    #[serde(default, rename = "role")]
    pub(super) roles: Vec<Role>,
    #[serde(default, rename = "class")]
    pub(super) classes: Vec<Spanned<ClassEntry>>,
}

/// `[[provider.role]]`: what a role may do; the best role stands first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
}

/// `[[provider.class]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassEntry {
    pub(super) name: String,
    pub(super) what: String,
    /// What callers see of an ended key, where the rule says nothing else.
    pub(super) symptom: Option<Symptom>,
    /// Why nobody can say that.
    pub(super) no_symptom: Option<String>,
}

/// `[[rule]]`; one with several situations stands for one rule each.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleEntry {
    /// Left out: `PROVIDER.CLASS.SITUATION`.
    pub(super) id: Option<String>,
    pub(super) provider: String,
    pub(super) class: String,
    #[serde(deserialize_with = "one_or_several")]
    pub(super) on: Vec<Situation>,
    pub(super) fate: Fate,
    pub(super) returns: Option<Returns>,
    pub(super) symptom: Option<Symptom>,
    pub(super) no_symptom: Option<String>,
    pub(super) action: String,
    pub(super) says: String,
    pub(super) url: String,
    pub(super) checked: String,
    pub(super) inferred: Option<String>,
    #[serde(default)]
    pub(super) conflicts: Vec<Conflict>,
    #[serde(default)]
    pub(super) takes_along: Vec<Cascade>,
}

/// Something that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The rule, where it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What is wrong.
    pub why: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} line {}", self.file, self.line)?;
        if let Some(rule) = &self.rule {
            write!(f, ", rule {rule}")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl RuleEntry {
    /// The ids of the rules that the entry stands for, in the order of `on`.
    pub(super) fn ids(&self) -> Vec<String> {
        let kebab = |on: &Situation| on.label().replace('_', "-");
        match (&self.id, self.on.as_slice()) {
            (Some(id), [_]) => vec![id.clone()],
            (Some(id), several) => several
                .iter()
                .map(|on| format!("{id}.{}", kebab(on)))
                .collect(),
            (None, several) => {
                let place = format!("{}.{}", self.provider, self.class);
                several
                    .iter()
                    .map(|on| format!("{place}.{}", kebab(on)))
                    .collect()
            }
        }
    }

    /// How messages call it.
    pub(super) fn label(&self) -> String {
        match self.ids() {
            ids if ids.is_empty() => format!("{}.{}", self.provider, self.class),
            ids => ids.join(", "),
        }
    }

    /// The rules that the entry stands for; `file` is where they are from, and `usual` what
    /// callers see of an ended key of this class.
    pub(super) fn rules<'a>(
        &'a self,
        file: &'a std::sync::Arc<str>,
        usual: Option<&'a Shared<Symptom>>,
    ) -> impl Iterator<Item = Rule> + 'a {
        let usual = usual.filter(|_| ends(self.fate) && self.no_symptom.is_none());
        let own = self.symptom.clone().map(Shared::from);
        let symptom = own.or_else(|| usual.cloned());
        let action = Shared::from(self.action.clone());
        let along: Vec<_> = self.takes_along.iter().map(Shared::from).collect();
        self.ids()
            .into_iter()
            .zip(&self.on)
            .map(move |(id, &on)| Rule {
                cited: Shared::from(Citation {
                    rule: id.clone(),
                    says: self.says.clone(),
                    url: self.url.clone(),
                    checked: self.checked.clone(),
                }),
                id,
                provider: self.provider.clone(),
                class: self.class.clone(),
                on,
                fate: self.fate,
                returns: self.returns,
                symptom: symptom.clone(),
                action: action.clone(),
                says: self.says.clone(),
                url: self.url.clone(),
                checked: self.checked.clone(),
                inferred: self.inferred.clone(),
                conflicts: self.conflicts.clone(),
                takes_along: along.clone(),
                file: file.clone(),
                replaces: Vec::new(),
            })
    }
}

/// Whether every call with the key fails from then on.
pub(super) fn ends(fate: Fate) -> bool {
    matches!(fate, Fate::Dies | Fate::Dormant)
}

/// Reads `text`, the content of the file called `name`.
///
/// # Errors
/// The first fault that keeps it from being read.
pub(super) fn read(name: &str, text: &str) -> Result<File, Fault> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Fault {
            file: name.to_owned(),
            line: line_of(text, at),
            rule: rule_around(text, at),
            why: error.message().replace('\n', "; "),
        }
    })
}

/// The line, from 1, of the byte at `at`.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|&&byte| byte == b'\n').count()
}

/// Where entries begin, of a file that cannot be read as a whole.
#[derive(Deserialize)]
struct Sketch {
    #[serde(default)]
    provider: Vec<Spanned<toml::Value>>,
    #[serde(default)]
    rule: Vec<Spanned<toml::Value>>,
}

/// The rule that the byte at `at` is in, by as much of its name as can be read.
fn rule_around(text: &str, at: usize) -> Option<String> {
    let sketch: Sketch = toml::from_str(text).ok()?;
    let begun = |entry: &&Spanned<toml::Value>| entry.span().start <= at;
    let start = |entry: &Spanned<toml::Value>| entry.span().start;
    let rule = sketch.rule.iter().rfind(begun)?;
    let provider = sketch.provider.iter().rfind(begun).map(start);
    if provider.is_some_and(|provider| provider > start(rule)) {
        return None;
    }
    let word = |name: &str| rule.get_ref().get(name).and_then(toml::Value::as_str);
    word("id").map(ToOwned::to_owned).or_else(|| {
        let words = ["provider", "class", "on"].into_iter().filter_map(word);
        let words: Vec<&str> = words.collect();
        (!words.is_empty()).then(|| words.join("."))
    })
}

fn one_or_several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Situation>, D::Error> {
    struct Visitor;

    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Vec<Situation>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a situation, or a list of them")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.parse().map(|on| vec![on]).map_err(E::custom)
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut several = Vec::new();
            while let Some(text) = items.next_element::<String>()? {
                several.push(text.parse().map_err(de::Error::custom)?);
            }
            Ok(several)
        }
    }

    from.deserialize_any(Visitor)
}
