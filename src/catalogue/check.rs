//! What a catalogue file must keep to, beyond its form.

use std::collections::HashSet;

use toml::Spanned;
use url::Url;

use super::{
    Catalogue, Situation,
    file::{ClassEntry, Fault, File, ProviderEntry, Role, RuleEntry, ends, line_of},
};
use crate::domain::{Fate, impact::Symptom};

/// Everything that is wrong in `file`, which is called `name` and reads `text`; `known` is what it
/// adds to.
pub(super) fn faults(name: &str, text: &str, file: &File, known: &Catalogue) -> Vec<Fault> {
    let mut check = Check {
        name,
        text,
        faults: Vec::new(),
    };
    if let Some(version) = file.version.as_deref().filter(|version| !is_day(version)) {
        check.say(
            0,
            None,
            format!("the version {version:?} is no day; write YYYY-MM-DD"),
        );
    }
    for provider in &file.providers {
        check.provider(provider);
    }
    let mut seen = HashSet::new();
    for rule in &file.rules {
        check.rule(rule, classes(rule.get_ref(), file, known));
        check.single(rule, &mut seen);
    }
    check.faults
}

/// What is known of the class that `rule` is about.
fn classes(rule: &RuleEntry, file: &File, known: &Catalogue) -> Class {
    let own = file
        .providers
        .iter()
        .map(Spanned::get_ref)
        .filter(|provider| provider.kind == rule.provider);
    let listed = own
        .clone()
        .flat_map(|provider| &provider.classes)
        .map(Spanned::get_ref)
        .find(|class| class.name == rule.class);
    let there = known.provider(&rule.provider);
    match (listed, there.and_then(|there| there.class(&rule.class))) {
        (Some(class), _) => Class::Known {
            says_symptom: class.symptom.is_some() || class.no_symptom.is_some(),
        },
        (None, Some(class)) => Class::Known {
            says_symptom: class.symptom.is_some() || class.no_symptom.is_some(),
        },
        (None, None) if own.count() > 0 || there.is_some() => Class::Unknown,
        (None, None) => Class::OfNobody,
    }
}

/// What is known of a class.
#[derive(Clone, Copy)]
enum Class {
    /// It is listed.
    Known {
        /// Whether it says what callers see.
        says_symptom: bool,
    },
    /// Its provider is listed, and it is not.
    Unknown,
    /// Not even its provider is.
    OfNobody,
}

/// One file under examination.
struct Check<'a> {
    name: &'a str,
    text: &'a str,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn say(&mut self, at: usize, rule: Option<String>, why: impl Into<String>) {
        self.faults.push(Fault {
            file: self.name.to_owned(),
            line: line_of(self.text, at),
            rule,
            why: why.into(),
        });
    }

    fn provider(&mut self, entry: &Spanned<ProviderEntry>) {
        let (at, provider) = (entry.span().start, entry.get_ref());
        let kind = &provider.kind;
        if !is_plain(kind) {
            self.say(
                at,
                None,
                format!("{kind:?} is no provider; write a-z, 0-9 and -"),
            );
        }
        let mut names = HashSet::new();
        for Role { name, scopes } in &provider.roles {
            if !names.insert(name) {
                self.say(at, None, format!("{kind} has the role {name:?} twice"));
            }
            // Without scopes, losing the role would look as if it took nothing away.
            if scopes.is_empty() {
                self.say(
                    at,
                    None,
                    format!("the role {name:?} of {kind} has no scopes"),
                );
            }
        }
        let mut names = HashSet::new();
        for class in &provider.classes {
            self.class(class);
            let name = &class.get_ref().name;
            if !names.insert(name) {
                let at = class.span().start;
                self.say(at, None, format!("{kind} has the class {name:?} twice"));
            }
        }
    }

    fn class(&mut self, entry: &Spanned<ClassEntry>) {
        let (at, class) = (entry.span().start, entry.get_ref());
        let name = &class.name;
        if !is_plain(name) {
            self.say(
                at,
                None,
                format!("{name:?} is no class; write a-z, 0-9 and -"),
            );
        }
        if class.what.trim().is_empty() {
            self.say(
                at,
                None,
                format!("the class {name:?} does not say what it is"),
            );
        }
        for why in symptom(class.symptom.as_ref(), class.no_symptom.as_deref()) {
            self.say(at, None, format!("the class {name:?} {why}"));
        }
    }

    fn rule(&mut self, entry: &Spanned<RuleEntry>, class: Class) {
        let (at, rule) = (entry.span().start, entry.get_ref());
        let mut why: Vec<String> = Vec::new();
        let place = (&rule.class, &rule.provider);
        let says_symptom = match class {
            Class::Known { says_symptom } => says_symptom,
            Class::Unknown => {
                why.push(format!(
                    "{1} has no class {0:?}; add it under [[provider.class]]",
                    place.0, place.1
                ));
                true
            }
            Class::OfNobody => {
                why.push(format!(
                    "there is no provider {:?}; add it as [[provider]]",
                    place.1
                ));
                true
            }
        };
        if rule.on.is_empty() {
            why.push("it names no situation".to_owned());
        }
        let texts = [("action", &rule.action), ("says", &rule.says)];
        for (field, _) in texts.iter().filter(|(_, text)| text.trim().is_empty()) {
            why.push(format!("{field} is empty"));
        }
        why.extend(citation("it", &rule.url, &rule.checked));
        for conflict in &rule.conflicts {
            why.extend(citation("a conflict", &conflict.url, &conflict.checked));
            if conflict.says.trim().is_empty() {
                why.push("a conflict says nothing".to_owned());
            }
        }
        for cascade in &rule.takes_along {
            why.extend(citation("what goes along", &cascade.url, &cascade.checked));
            if cascade.what.trim().is_empty() || cascade.says.trim().is_empty() {
                why.push("what goes along needs what and says".to_owned());
            }
        }
        why.extend(
            symptom(rule.symptom.as_ref(), rule.no_symptom.as_deref()).map(ToOwned::to_owned),
        );
        why.extend(seen_by_callers(rule, says_symptom).map(ToOwned::to_owned));
        why.extend(returns(rule));
        for why in why {
            self.say(at, Some(rule.label()), why);
        }
    }

    /// Ids and places stand once in a file.
    fn single(&mut self, entry: &Spanned<RuleEntry>, seen: &mut HashSet<String>) {
        let (at, rule) = (entry.span().start, entry.get_ref());
        for (id, on) in rule.ids().into_iter().zip(&rule.on) {
            let place = format!("{} {} {on}", rule.provider, rule.class);
            if !seen.insert(place) {
                let why = format!(
                    "this file has another rule for {on} of {}/{}",
                    rule.provider, rule.class
                );
                self.say(at, Some(id.clone()), why);
            }
            if !id.bytes().all(|byte| is_word(byte) || byte == b'.') || id.is_empty() {
                self.say(at, Some(id.clone()), "an id is made of a-z, 0-9, - and .");
            }
            if !seen.insert(id.clone()) {
                self.say(at, Some(id), "this file has another rule of this name");
            }
        }
    }
}

/// What is wrong with where something is written.
fn citation(whose: &str, url: &str, checked: &str) -> impl Iterator<Item = String> {
    let cited = Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.has_host());
    let no_url = (!cited).then(|| format!("{whose} is not cited: {url:?} is no https address"));
    let no_day = (!is_day(checked))
        .then(|| format!("{whose} says checked = {checked:?}; write the day as YYYY-MM-DD"));
    no_url.into_iter().chain(no_day)
}

/// What is wrong with what callers see.
fn symptom(symptom: Option<&Symptom>, none: Option<&str>) -> impl Iterator<Item = &'static str> {
    let both = symptom.is_some() && none.is_some();
    let both = both.then_some("has both a symptom and no_symptom");
    let odd = symptom.is_some_and(|symptom| !(100..600).contains(&symptom.status));
    let odd = odd.then_some("has a symptom whose status is none of HTTP");
    let empty = none.is_some_and(|why| why.trim().is_empty());
    let empty = empty.then_some("has a no_symptom that does not say why");
    both.into_iter().chain(odd).chain(empty)
}

/// Where calls fail, the rule or its class says how, or that nobody knows.
fn seen_by_callers(rule: &RuleEntry, class_says: bool) -> Option<&'static str> {
    let says = rule.symptom.is_some() || rule.no_symptom.is_some();
    match rule.fate {
        Fate::Survives | Fate::Blocks | Fate::Unknown if rule.symptom.is_some() => {
            Some("calls do not end with this fate, so that there is no symptom")
        }
        fate if (ends(fate) || fate == Fate::Shrinks) && !says && !class_says => Some(
            "calls fail with this fate: give a symptom, or say in no_symptom why there is none",
        ),
        _ => None,
    }
    .into_iter()
    .next()
}

/// A return is said with a reinstatement, and says the same as the fate.
fn returns(rule: &RuleEntry) -> Option<String> {
    let is_return = rule.on.contains(&Situation::Reinstated);
    match (is_return, rule.returns) {
        (false, None) => None,
        (true, _) if rule.on.len() > 1 => {
            Some("a rule for reinstated stands alone, because it says what returns".to_owned())
        }
        (true, None) => Some("a rule for reinstated says what returns".to_owned()),
        (false, Some(_)) => Some("returns is for reinstated only".to_owned()),
        (true, Some(returns)) => (returns.fate() != rule.fate).then(|| {
            format!(
                "returns = {:?} goes with the fate {}",
                returns.label(),
                returns.fate()
            )
        }),
    }
}

/// `YYYY-MM-DD`, and a day that there is.
fn is_day(text: &str) -> bool {
    text.len() == "YYYY-MM-DD".len() && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_word(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_word)
}
