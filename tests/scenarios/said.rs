//! Says what was expected and what came in the same words, so that they can be compared.

use offkey::domain::{Impact, Report, Severity, Status, impact::Successor};

use crate::form::{Expected, ExpectedKey, parse_moment};

/// The lines that must come.
pub(crate) fn expected(expected: &Expected) -> Vec<String> {
    let because = expected.because.as_deref();
    let mut lines = vec![format!("{:?}{}", expected.outcome, because_of(because))];
    for key in &expected.key {
        let when = parse_moment(&key.when).map_or_else(|| key.when.clone(), |at| at.to_string());
        let line = (key.id.as_str(), key.fate.label(), key.severity, key.status);
        lines.push(main_line(line, &when, &key.rule, &key.loses));
        lines.extend(details(key));
    }
    lines
}

/// The lines that came, as far as `expected` asks.
pub(crate) fn got(expected: &Expected, report: &Report) -> Vec<String> {
    let reason = &report.outcome.reason;
    let because = expected
        .because
        .as_ref()
        .map(|part| if reason.contains(part) { part } else { reason }.as_str());
    let result = report.outcome.result;
    let mut lines = vec![format!("{result:?}{}", because_of(because))];
    for (number, impact) in report.impacts.iter().enumerate() {
        let when = impact
            .effective_at
            .map_or_else(|| "somebody acts".to_owned(), |at| at.to_string());
        let level = impact.severity.level;
        let line = (
            impact.key.id.as_str(),
            impact.fate.label(),
            level,
            impact.status,
        );
        lines.push(main_line(
            line,
            &when,
            &impact.rule.rule,
            &impact.lost_scopes,
        ));
        if let Some(key) = expected.key.get(number) {
            lines.extend(details(&seen(key, impact)));
        }
    }
    lines
}

fn because_of(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(", because {reason}"))
}

fn main_line(
    (id, fate, level, status): (&str, &str, Severity, Status),
    when: &str,
    rule: &str,
    loses: &[String],
) -> String {
    format!("{id}: {fate}, {level}, {status:?}, when {when}, loses {loses:?}, by {rule}")
}

fn details(key: &ExpectedKey) -> Vec<String> {
    let act_by = key.act_by.map(|at| format!("  act by {at}"));
    let successor = key.successor.as_ref().map(|who| format!("  then {who}"));
    let says = key.says.iter().map(|text| format!("  says {text}"));
    let returns = key
        .returns
        .map(|back| format!("  returns {}", back.label()));
    let replaced = key
        .replaced_by
        .as_ref()
        .map(|id| format!("  replaced by {id}"));
    let along = key
        .takes_along
        .iter()
        .map(|what| format!("  takes along {what}"));
    let known = act_by.into_iter().chain(successor).chain(returns);
    known.chain(replaced).chain(along).chain(says).collect()
}

/// What came of everything that `expected` names.
fn seen(expected: &ExpectedKey, impact: &Impact) -> ExpectedKey {
    let words = words(impact);
    let successor = match &*impact.successor {
        Successor::Found(contact) => contact.email.as_str().replace("@example.com", ""),
        Successor::None { .. } => "nobody".to_owned(),
    };
    let says = expected.says.iter().map(|part| {
        if words.contains(part) {
            part.clone()
        } else {
            format!("not {part:?}, but\n{words}")
        }
    });
    let along = impact.takes_along.iter().enumerate().map(|(number, one)| {
        let told = format!("{}: {}", one.what, one.fate);
        match expected.takes_along.get(number) {
            Some(part) if told.contains(part) => part.clone(),
            _ => told,
        }
    });
    let along: Vec<String> = along.collect();
    let replaced_by = impact.replaced_by.as_ref().map(|other| other.id.clone());
    ExpectedKey {
        returns: impact.returns,
        replaced_by,
        takes_along: along,
        act_by: expected.act_by.map(|_| impact.act_by),
        successor: expected.successor.as_ref().map(|_| successor),
        says: says.collect(),
        ..expected.clone()
    }
}

/// Everything that an impact tells in words.
fn words(impact: &Impact) -> String {
    let reasons = impact.severity.reasons.iter().map(ToString::to_string);
    let evidence = impact.evidence.iter().map(|one| one.fact.to_string());
    let rest = impact.until_then.iter().chain([&impact.recommended_action]);
    let observed = impact.observed.iter().map(|seen| seen.says.clone());
    let rest = rest.map(ToString::to_string);
    let all = reasons.chain(evidence).chain(rest).chain(observed);
    let all: Vec<String> = all.collect();
    all.join("\n")
}
