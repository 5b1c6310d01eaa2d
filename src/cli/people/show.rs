//! `offkey people show`: one person, and what says that it is one.

use anyhow::Context as _;
use clap::Args;
use comfy_table::Cell;
use serde::Serialize;

use super::super::{Context, End, output};
use crate::{
    correlation::{ownership::ServiceAccount, ties::service_account},
    domain::decision::Anchor,
    projection::read::{Reader, people::Evidence},
};

/// Who.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// An address, or an account as SYSTEM:ID.
    who: String,
}

/// Everything about one person that says who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Shown {
    pub(super) person: String,
    /// Absent: a human.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<ServiceAccount>,
    pub(super) evidence: Vec<Evidence>,
}

impl Shown {
    pub(super) fn of(context: &Context, reader: Reader<'_>, person: &str) -> anyhow::Result<Self> {
        let rules = &context.config.policy.identities.rules;
        Ok(Self {
            person: person.to_owned(),
            service: service_account(&reader.history(person)?, rules),
            evidence: reader.evidence(person)?,
        })
    }

    pub(super) fn print(&self, context: &Context) -> anyhow::Result<()> {
        context.output.line(&self.person)?;
        if let Some(service) = &self.service {
            let behind: Vec<String> = service.behind.iter().map(ToString::to_string).collect();
            let behind = if behind.is_empty() {
                "nobody is known behind it".to_owned()
            } else {
                format!("behind it: {}", behind.join(", "))
            };
            let because = &service.because;
            context
                .output
                .line(&format!("a service account ({because}); {behind}"))?;
        }
        let mut table = output::table(&["what", "evidence", "since"]);
        for one in &self.evidence {
            table.add_row([
                Cell::new(&one.what),
                Cell::new(&one.fact),
                Cell::new(one.since.map_or_else(String::new, output::moment)),
            ]);
        }
        Ok(context.output.table(&table)?)
    }
}

impl Show {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let (_, db) = context.reading()?;
        let reader = Reader::new(&db).as_of_now()?;
        let (_, people) = find(context, reader, &self.who)?;
        for person in people {
            let shown = Shown::of(context, reader, &person)?;
            if context.output.json {
                context.output.json(&shown)?;
            } else {
                shown.print(context)?;
            }
        }
        Ok(End::Done)
    }
}

/// What `who` names, and everybody to whom that leads.
pub(super) fn find(
    context: &Context,
    reader: Reader<'_>,
    who: &str,
) -> anyhow::Result<(Anchor, Vec<String>)> {
    // Somebody who got an address later is called after the account too: ada@example.com (okta:2).
    let account = who
        .split_once(" (")
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    let anchor: Anchor = account.unwrap_or(who).parse()?;
    let people = reader.named(&anchor, &context.config.policy.identities)?;
    anyhow::ensure!(!people.is_empty(), "nobody is known as {anchor}");
    Ok((anchor, people))
}

/// The same, where it is one person.
pub(super) fn find_one(
    context: &Context,
    reader: Reader<'_>,
    who: &str,
) -> anyhow::Result<(Anchor, String)> {
    let (anchor, mut people) = find(context, reader, who)?;
    let all = people.join(", ");
    let person = people.pop().filter(|_| people.is_empty());
    let person = person.with_context(|| {
        format!("{anchor} led to several people ({all}); name an account of the one you mean")
    })?;
    Ok((anchor, person))
}
