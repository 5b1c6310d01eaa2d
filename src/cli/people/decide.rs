//! Says who is who, by hand: kept in the log, with what was known of them then.

use clap::Args;
use serde::Serialize;

use super::{
    super::{Context, End, output},
    show::{Shown, find, find_one},
};
use crate::{
    app,
    domain::{
        Email,
        decision::{Anchor, Decided, PeopleDecision},
        whole_microseconds,
    },
    projection::read::Reader,
};

/// Two who are one.
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// One: an address, or an account as SYSTEM:ID.
    one: String,
    /// The other.
    other: String,
    /// Show the evidence, and decide nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Who is not that person.
#[derive(Debug, Args)]
pub(super) struct Split {
    /// An account, as SYSTEM:ID, whose addresses say nothing; or an address to which no change of
    /// address leads.
    apart: String,
    /// Show the evidence, and decide nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Who is no human.
#[derive(Debug, Args)]
pub(super) struct ServiceAccount {
    /// An account as SYSTEM:ID, or an address.
    account: String,
    /// A human who uses it and answers for it; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    behind: Vec<Email>,
    /// Show the evidence, and decide nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Which decision.
#[derive(Debug, Args)]
pub(super) struct Undo {
    /// Its id, or the beginning of it, as `offkey people decisions` shows it.
    id: String,
}

/// What a command decided, or would.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    id: String,
    dry_run: bool,
    decision: &'a PeopleDecision,
    people: Vec<Shown>,
}

impl Merge {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let (_, db) = context.reading()?;
        let reader = Reader::new(&db).as_of_now()?;
        let (one, first) = find_one(context, reader, &self.one)?;
        let (other, second) = find_one(context, reader, &self.other)?;
        anyhow::ensure!(
            first != second,
            "{one} and {other} are one person already: {first}"
        );
        let people = vec![
            Shown::of(context, reader, &first)?,
            Shown::of(context, reader, &second)?,
        ];
        decide(context, Decided::Merge { one, other }, people, self.dry_run)
    }
}

impl Split {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let (_, db) = context.reading()?;
        let reader = Reader::new(&db).as_of_now()?;
        let (apart, people) = find(context, reader, &self.apart)?;
        let people: Result<Vec<Shown>, _> = people
            .iter()
            .map(|person| Shown::of(context, reader, person))
            .collect();
        let people = people?;
        let name = apart.to_string();
        anyhow::ensure!(
            people
                .iter()
                .any(|one| one.person != name || one.evidence.len() > 1),
            "{name} stands alone already"
        );
        decide(context, Decided::Split { apart }, people, self.dry_run)
    }
}

impl ServiceAccount {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let (_, db) = context.reading()?;
        let reader = Reader::new(&db).as_of_now()?;
        let (account, person) = find_one(context, reader, &self.account)?;
        for human in &self.behind {
            let anchor = Anchor::Address(human.clone());
            let named = reader.named(&anchor, &context.config.policy.identities)?;
            anyhow::ensure!(!named.is_empty(), "nobody is known as {human}");
            anyhow::ensure!(
                !named.contains(&person),
                "{human} is {account} itself: name a human"
            );
        }
        let mut behind = self.behind.clone();
        behind.sort();
        behind.dedup();
        let people = vec![Shown::of(context, reader, &person)?];
        let decided = Decided::ServiceAccount { account, behind };
        decide(context, decided, people, self.dry_run)
    }
}

impl Undo {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let (_, db) = context.reading()?;
        let mut found = Reader::new(&db).decisions()?;
        found.retain(|one| one.what.id().starts_with(&self.id.to_lowercase()));
        let decision = found.pop();
        let Some(decision) = decision.filter(|_| found.is_empty()) else {
            anyhow::bail!(
                "{} decisions begin with {:?}; `offkey people decisions` lists them",
                found.len(),
                self.id
            );
        };
        let undone = PeopleDecision {
            undone: true,
            decided_at: later_than(&decision, context),
            ..decision
        };
        tell(context, &undone, Vec::new(), false)
    }
}

/// The moment of a decision that stands for `before`: later than that one, whatever the clock says.
fn later_than(before: &PeopleDecision, context: &Context) -> jiff::Timestamp {
    let now = whole_microseconds(context.clock.now());
    let next = before.decided_at + jiff::SignedDuration::from_micros(1);
    now.max(next)
}

fn decide(
    context: &Context,
    what: Decided,
    people: Vec<Shown>,
    dry_run: bool,
) -> anyhow::Result<End> {
    let evidence = people
        .iter()
        .flat_map(|shown| shown.evidence.iter().map(move |one| (shown, one)));
    let evidence =
        evidence.map(|(shown, one)| format!("{}: {}, {}", shown.person, one.what, one.fact));
    let evidence = evidence.collect();
    let (_, db) = context.reading()?;
    let known = Reader::new(&db).decision(&what.key())?;
    let decided_at = match &known {
        Some(known) => later_than(known, context),
        None => whole_microseconds(context.clock.now()),
    };
    let decision = PeopleDecision {
        what,
        evidence,
        decided_at,
        undone: false,
    };
    tell(context, &decision, people, dry_run)
}

/// Appends the decision, and says what it rests on.
fn tell(
    context: &Context,
    decision: &PeopleDecision,
    people: Vec<Shown>,
    dry_run: bool,
) -> anyhow::Result<End> {
    if !dry_run {
        let log = app::attach_log(&context.config, context.clock.clone())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(log.append(vec![decision.to_record()]))?;
    }
    let id = decision.what.id();
    if context.output.json {
        context.output.json(&Answer {
            id,
            dry_run,
            decision,
            people,
        })?;
        return Ok(End::Done);
    }
    for shown in &people {
        shown.print(context)?;
    }
    let what = super::decisions::sentence(&decision.what);
    let text = match (dry_run, decision.undone) {
        (true, _) => format!("would be decided: {what}"),
        (false, true) => format!("taken back: {what}; the service makes their reports again"),
        (false, false) => format!(
            "decided: {what}; the service makes their reports again. Take it back: offkey people \
             undo {}",
            output::short(&id)
        ),
    };
    context.output.line(&text)?;
    Ok(End::Done)
}
