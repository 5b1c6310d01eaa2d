//! The digest of a report: the same inputs, the same digest, on every machine.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::domain::{
    Impact, Observed, OutcomeResult, Shared,
    impact::{AffectedKey, Evidence},
    json::Text,
};

/// Hashed at once, so many bytes cost a fraction of what they cost one impact after the other.
const ENOUGH: usize = 64 * 1024;

/// BLAKE3, in hex, over what the report says, without revisions.
///
/// What impacts share goes into it by the mark it has of its own: it is hashed once.
pub(super) fn digest(result: OutcomeResult, reason: &str, impacts: &[Impact]) -> String {
    let mut hash = blake3::Hasher::new();
    let mut text = Text(Vec::with_capacity(ENOUGH.min(1024 * (1 + impacts.len()))));
    write(&mut text, &(result, reason));
    if let Some(first) = impacts.first() {
        write(&mut text, &of_change(first));
    }
    for impact in impacts {
        if text.0.len() + 4096 > ENOUGH {
            hash.update(&text.0);
            text.0.clear();
        }
        write(&mut text, &of_key(impact));
    }
    hash.update(&text.0).finalize().to_hex().to_string()
}

/// As postcard: everything with its length, on every machine alike. A vector takes everything.
///
/// What is one of several is told by its number there: a new one that is not the last makes other
/// digests, and a report that is made again is then told again.
fn write(text: &mut Text, what: &impl Serialize) {
    drop(postcard::to_io(what, text));
}

/// What every impact of a report says of the change that it is of.
fn of_change(impact: &Impact) -> impl Serialize + '_ {
    (
        impact.change_id,
        impact.change,
        &impact.source,
        &impact.event_id,
        &impact.scope,
        micros(impact.change_effective_at),
        impact.reconciled,
        &impact.person,
    )
}

/// What an impact says beside that. Its id is made of the change's and the key's.
fn of_key(impact: &Impact) -> impl Serialize + '_ {
    let Impact {
        impact_id: _,
        revision: _,
        report_digest: _,
        change_id: _,
        change: _,
        source: _,
        event_id: _,
        scope: _,
        change_effective_at: _,
        reconciled: _,
        person: _,
        status,
        key,
        fate,
        lost_scopes,
        returns,
        replaced_by,
        takes_along,
        propagation,
        effective_at,
        until_then,
        severity,
        act_by,
        responsible,
        symptom,
        successor,
        recommended_action,
        rule,
        evidence,
        observed,
    } = impact;
    let seen = observed.as_ref().map(of_look);
    let what = (
        (status, fate, lost_scopes, returns, replaced_by, seen),
        propagation,
        (effective_at.map(micros), micros(*act_by)),
        Facts(evidence),
    );
    let marks = (
        Marks(takes_along),
        (severity.mark(), successor.mark(), rule.mark()),
        recommended_action.mark(),
        until_then.as_ref().map(Shared::mark),
        responsible.as_ref().map(Shared::mark),
        symptom.as_ref().map(Shared::mark),
    );
    (of_place(key), what, marks)
}

fn of_look(observed: &Observed) -> impl Serialize + '_ {
    let Observed {
        expected_by,
        gone_at,
        last_seen,
        tests_rule,
        says,
    } = observed;
    let seen = (gone_at.map(micros), last_seen.map(micros));
    (expected_by.map(micros), seen, tests_rule, says)
}

fn of_place(key: &AffectedKey) -> impl Serialize + '_ {
    let AffectedKey {
        provider,
        project,
        project_name,
        id,
        label,
        class,
        scopes,
        tags,
        environment,
        created_at,
        expires_at,
        last_used_at,
        requests_7d,
        ours,
    } = key;
    (
        (provider, project, project_name, id, label, class),
        (scopes, tags, environment),
        (created_at.map(micros), expires_at.map(micros)),
        (last_used_at.map(micros), requests_7d, ours),
    )
}

struct Marks<'a, T>(&'a [Shared<T>]);

impl<T: Serialize> Serialize for Marks<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(Shared::mark))
    }
}

/// What a fate rests on: most of it is of this key alone, and not worth a mark.
struct Facts<'a>(&'a [Shared<Evidence>]);

impl Serialize for Facts<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let facts = self.0.iter();
        to.collect_seq(facts.map(|known| (known.fact.as_str(), known.at.map(micros))))
    }
}

/// A number takes less than a date, and records tell no more than this of a moment.
fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::{Value, json};

    use super::digest;
    use crate::domain::{Impact, OutcomeResult};

    /// What a text can be changed to where not any other will do.
    const WORDS: [&str; 9] = [
        "2035-01-01T00:00:00Z",
        "00000000-0000-8000-8000-000000000000",
        "unknown",
        "info",
        "low",
        "suspended",
        "confirmed",
        "direct",
        "gone_for_good",
    ];

    /// The published examples; together they hold every field there is.
    fn examples() -> Vec<Value> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        let of_impacts = files.filter(|file| {
            let name = file.file_name();
            name.to_str().unwrap().starts_with("offkey.impact.")
        });
        of_impacts
            .map(|file| serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap())
            .collect()
    }

    /// The paths of all values, in objects and lists, as JSON pointers (RFC 6901).
    fn paths(value: &Value, at: &str, all: &mut Vec<String>) {
        let mut inner = |name: &str, value: &Value| {
            let path = format!("{at}/{name}");
            paths(value, &path, all);
            all.push(path);
        };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, field)| inner(name, field)),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items.for_each(|(index, item)| inner(&index.to_string(), item));
            }
            _ => {}
        }
    }

    /// What `value` can be instead.
    fn others(value: &Value) -> Vec<Value> {
        match value {
            Value::Bool(is_so) => vec![json!(!is_so)],
            Value::Number(number) => vec![json!(number.as_u64().unwrap() + 1)],
            Value::String(text) => {
                let longer = format!("{text}x");
                let words = WORDS.iter().filter(|word| *word != text);
                let words = words.map(|&word| word.to_owned());
                [longer].into_iter().chain(words).map(Value::from).collect()
            }
            _ => Vec::new(),
        }
    }

    /// `example` with something else at `path`: every value that an impact can have there.
    fn changed(example: &Value, path: &str) -> Vec<Impact> {
        let with = |other: Value| {
            let mut changed = example.clone();
            *changed.pointer_mut(path).unwrap() = other;
            serde_json::from_value(changed).ok()
        };
        let others = others(example.pointer(path).unwrap()).into_iter();
        others.filter_map(with).collect()
    }

    /// `example` without what is at `path`, where an impact can be without it.
    fn without(example: &Value, path: &str) -> Option<Impact> {
        let mut less = example.clone();
        let (holder, name) = path.rsplit_once('/').unwrap();
        match less.pointer_mut(holder).unwrap() {
            Value::Object(fields) => drop(fields.remove(name)),
            Value::Array(items) => drop(items.remove(name.parse().unwrap())),
            _ => unreachable!("only these hold something"),
        }
        serde_json::from_value(less).ok()
    }

    #[test]
    fn whatever_an_impact_says_is_in_the_digest() {
        let of =
            |impact: &Impact| digest(OutcomeResult::Report, "one", std::slice::from_ref(impact));
        let (mut told, mut untold) = (0, Vec::new());
        for example in examples() {
            let impact: Impact = serde_json::from_value(example.clone()).unwrap();
            assert_eq!(of(&impact), of(&impact.clone()));
            let mut all = Vec::new();
            paths(&example, "", &mut all);
            for path in all {
                let others = changed(&example, &path).into_iter();
                for other in others.chain(without(&example, &path)) {
                    if of(&other) == of(&impact) {
                        untold.push(path.clone());
                    } else {
                        told += 1;
                    }
                }
            }
        }
        untold.sort();
        untold.dedup();
        assert_eq!(untold, ["/impact_id", "/report_digest", "/revision"]);
        assert!(told > 500, "{told} changes were told");
    }

    #[test]
    fn where_one_impact_ends_and_another_begins_is_in_the_digest() {
        let text = include_str!("../../schemas/examples/offkey.impact.v1.1.json");
        let impact: Impact = serde_json::from_str(text).unwrap();
        let many = vec![impact; 200];
        let of = |count: usize| digest(OutcomeResult::Report, "", &many[..count]);
        let all: std::collections::BTreeSet<String> = (0..=200).map(of).collect();
        assert_eq!(all.len(), 201);
        let reason = |reason| digest(OutcomeResult::Report, reason, &many[..1]);
        assert_ne!(reason("a"), reason("b"));
        let result = |result| digest(result, "", &many[..1]);
        assert_ne!(
            result(OutcomeResult::Report),
            result(OutcomeResult::Ambiguous)
        );
    }
}
