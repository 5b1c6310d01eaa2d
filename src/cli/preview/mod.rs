//! `offkey preview`: the live function over changes that have not happened.

mod file;
mod record;
mod summary;
mod together;

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use jiff::Timestamp;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use self::{file::People, record::Recorder, summary::Summary, together::Together};
use super::{Context, End, output, report};
use crate::{
    catalogue::Catalogue,
    correlation::{Inputs, PersonHistory, Policy, correlate},
    domain::{ChangeId, ChangeKind, Email, MembershipChange, PersonRef, Report, Scope},
    projection::{ProjectionError, read::Reader},
};

/// Which changes to imagine.
#[derive(Debug, Args)]
#[command(after_help = file::FORMAT)]
pub(super) struct Preview {
    /// Whose, by address; may be given several times.
    #[arg(long, required_unless_present = "file", value_name = "ADDRESS")]
    person: Vec<Email>,
    /// A file of people: one address a line, or CSV with the columns email,change,scope,at.
    #[arg(long)]
    file: Option<PathBuf>,
    /// What happens.
    #[arg(long, default_value = "removed")]
    change: ChangeKind,
    /// How far it reaches: organisation, provider:NAME, project:PROVIDER/ID or group:ID.
    #[arg(long, default_value = "organisation")]
    scope: Scope,
    /// When it takes effect; now by default.
    #[arg(long)]
    at: Option<Timestamp>,
    /// Keep what this preview says in the log, so that the report of the real change cites it.
    #[arg(long)]
    record: bool,
    /// How many people of several the summary names.
    #[arg(long, default_value_t = 20, value_name = "N")]
    top: usize,
}

/// How many reports are made at once: what they hold is all that is kept in memory.
pub(super) const AT_ONCE: usize = 64;
/// What stands for a source where nothing was reported.
const SOURCE: &str = "preview";

/// One change to imagine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Imagined {
    pub(super) email: Email,
    pub(super) change: ChangeKind,
    pub(super) scope: Scope,
    pub(super) at: Timestamp,
}

impl Preview {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let policy = &context.config.policy;
        let defaults = file::Defaults {
            change: self.change,
            scope: self.scope.clone(),
            at: self.at.unwrap_or_else(|| context.clock.now()),
            policy,
        };
        if let Err(why) = is_known(&self.scope, policy) {
            output::complain(&format!("offkey: {why}"));
            return Ok(End::Unusable);
        }
        let file = match &self.file {
            Some(path) => Some(People::check(path, &defaults, context)?),
            None => None,
        };
        let (catalogue, db) = context.reading()?;
        let reader = Reader::new(&db).as_of_now()?;
        let mut maker = Maker::new(reader, &catalogue, policy);
        let named: Vec<Imagined> = self.person.iter().map(|one| defaults.of(one)).collect();
        for one in &named {
            maker.expect(one)?;
        }
        if let Some(file) = &file {
            file.each(&defaults, |one| maker.expect(&one))?;
        }
        let mut summary = Summary::new(self.top);
        let mut recorder = self.record.then(|| Recorder::open(context)).transpose()?;
        for one in &named {
            let report = maker.report(one)?;
            if summary.add(one, &report) {
                self.show(context, &report)?;
                if let Some(recorder) = &mut recorder {
                    recorder.add(one, &report)?;
                }
            }
        }
        if let Some(file) = &file {
            file.chunks(&defaults, AT_ONCE, |some| {
                for (one, report) in some.iter().zip(maker.reports(some)?) {
                    let is_news = summary.add(one, &report);
                    if is_news && context.output.json {
                        context.output.json(&report)?;
                    }
                    if let (Some(recorder), true) = (&mut recorder, is_news) {
                        recorder.add(one, &report)?;
                    }
                }
                Ok(())
            })?;
        }
        if let Some(recorder) = recorder {
            recorder.finish(context)?;
        }
        if file.is_some() || named.len() > 1 {
            summary.print(context.output)?;
        }
        Ok(summary.end())
    }

    /// Whoever is named is shown in full; those out of a file only as JSON, and in the summary.
    fn show(&self, context: &Context, report: &Report) -> anyhow::Result<()> {
        if context.output.json {
            return context.output.json(report);
        }
        report::print(context.output, report)?;
        if self.person.len() > 1 || self.file.is_some() {
            context.output.line("")?;
        }
        Ok(())
    }
}

/// Makes reports of imagined changes, as of one moment.
pub(super) struct Maker<'a> {
    reader: Reader<'a>,
    catalogue: &'a Catalogue,
    policy: &'a Policy,
    together: Together,
}

impl<'a> Maker<'a> {
    pub(super) fn new(reader: Reader<'a>, catalogue: &'a Catalogue, policy: &'a Policy) -> Self {
        Self {
            reader,
            catalogue,
            policy,
            together: Together::default(),
        }
    }

    /// Says before the first report that this change is one of those imagined together.
    pub(super) fn expect(&mut self, one: &Imagined) -> anyhow::Result<()> {
        let change = imagine(one, self.policy);
        let person = self.person(one, &change)?;
        Ok(self.together.expect(self.reader, person, change)?)
    }

    /// The report of one change with what is known now.
    pub(super) fn report(&self, one: &Imagined) -> Result<Report, ProjectionError> {
        Ok(self.report_and_history(one)?.0)
    }

    /// The same, and what it rests on.
    pub(super) fn report_and_history(
        &self,
        one: &Imagined,
    ) -> Result<(Report, PersonHistory), ProjectionError> {
        let (change, history) = self.case(one)?;
        Ok((
            correlate_with(self.catalogue, self.policy, &change, &history),
            history,
        ))
    }

    /// The reports of several changes, in their order.
    pub(super) fn reports(&self, several: &[Imagined]) -> Result<Vec<Report>, ProjectionError> {
        let cases = several.iter().map(|one| self.case(one));
        let reports = self.correlate_all(cases.collect::<Result<_, _>>()?);
        Ok(reports.into_iter().map(|(report, _)| report).collect())
    }

    fn case(&self, one: &Imagined) -> Result<(MembershipChange, PersonHistory), ProjectionError> {
        let change = imagine(one, self.policy);
        let mut history = self.reader.history(&self.person(one, &change)?)?;
        self.together.note_in(self.reader, &mut history)?;
        Ok((change, history))
    }

    /// Who has the address when it happens.
    fn person(&self, one: &Imagined, change: &MembershipChange) -> Result<String, ProjectionError> {
        let identities = &self.policy.identities;
        let at = change.effective_at;
        self.reader.whose_address(&one.email, at, identities)
    }

    /// The report of a removal everywhere of somebody, by their one name, and what it rests on.
    pub(super) fn removal_of(
        &self,
        person: &str,
        at: Timestamp,
    ) -> Result<(Report, PersonHistory), ProjectionError> {
        let history = self.reader.history(person)?;
        let change = removal(person, at);
        let report = correlate_with(self.catalogue, self.policy, &change, &history);
        Ok((report, history))
    }

    /// The reports of a removal everywhere of each of `people`, by their one name, and what each
    /// rests on.
    pub(super) fn removals_of(
        &self,
        people: &[String],
        at: Timestamp,
    ) -> Result<Vec<(Report, PersonHistory)>, ProjectionError> {
        let cases = people.iter().map(|person| {
            let history = self.reader.history(person)?;
            Ok((removal(person, at), history))
        });
        Ok(self.correlate_all(cases.collect::<Result<_, ProjectionError>>()?))
    }

    /// As many at the same time as the machine can.
    fn correlate_all(
        &self,
        cases: Vec<(MembershipChange, PersonHistory)>,
    ) -> Vec<(Report, PersonHistory)> {
        let (catalogue, policy) = (self.catalogue, self.policy);
        let report = |(change, history)| {
            let report = correlate_with(catalogue, policy, &change, &history);
            (report, history)
        };
        cases.into_par_iter().map(report).collect()
    }
}

fn correlate_with(
    catalogue: &Catalogue,
    policy: &Policy,
    change: &MembershipChange,
    history: &PersonHistory,
) -> Report {
    correlate(&Inputs {
        change,
        history,
        catalogue,
        policy,
    })
}

/// Somebody's removal everywhere; they may have no address.
fn removal(person: &str, at: Timestamp) -> MembershipChange {
    let email = Email::parse(person).ok();
    let who = PersonRef {
        account: email.is_none().then(|| person.to_owned()),
        email,
        ..PersonRef::default()
    };
    let everywhere = (ChangeKind::Removed, &Scope::Organisation {});
    imagine_of(who, person, SOURCE, everywhere, at)
}

/// A change that has not happened.
pub(super) fn imagine(one: &Imagined, policy: &Policy) -> MembershipChange {
    let who = PersonRef {
        email: Some(one.email.clone()),
        ..PersonRef::default()
    };
    let source = source_of(&one.scope, policy);
    let what = (one.change, &one.scope);
    imagine_of(who, one.email.as_str(), source, what, one.at)
}

/// Who would tell of a change: within a provider it happens there, so that nothing has to
/// propagate; a group is its source's.
fn source_of<'a>(scope: &'a Scope, policy: &'a Policy) -> &'a str {
    match scope {
        Scope::Provider { provider } | Scope::Project { provider, .. } => provider,
        Scope::Group { group } => sources_of(group, policy).first().copied().unwrap_or(SOURCE),
        Scope::Organisation {} => SOURCE,
    }
}

/// The sources of which the configuration maps a group of this id.
pub(super) fn sources_of<'a>(group: &str, policy: &'a Policy) -> BTreeSet<&'a str> {
    let mapped = policy.groups.iter().filter(|one| one.group == group);
    mapped.map(|one| one.source.as_str()).collect()
}

/// The same of somebody by any name.
fn imagine_of(
    person: PersonRef,
    name: &str,
    source: &str,
    (change, scope): (ChangeKind, &Scope),
    at: Timestamp,
) -> MembershipChange {
    let event_id = format!("preview/{name}/{change}/{scope}");
    MembershipChange {
        id: ChangeId::derive(source, &event_id),
        source: source.to_owned(),
        event_id,
        change,
        person,
        scope: scope.clone(),
        effective_at: at,
        not_before: None,
        published_at: at,
        role: None,
        actor: None,
        reason: None,
    }
}

/// Whether a scope names a provider that there is, and one group.
pub(super) fn is_known(scope: &Scope, policy: &Policy) -> Result<(), String> {
    match scope {
        Scope::Provider { provider } | Scope::Project { provider, .. }
            if !policy.providers.contains_key(provider) =>
        {
            Err(format!(
                "the scope {scope} names no configured provider; there are {}",
                policy
                    .providers
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ")
            ))
        }
        Scope::Group { group } if sources_of(group, policy).len() > 1 => Err(format!(
            "the scope {scope} can be a group of {}: nobody can tell which is meant",
            Vec::from_iter(sources_of(group, policy)).join(" or of ")
        )),
        Scope::Organisation {}
        | Scope::Provider { .. }
        | Scope::Project { .. }
        | Scope::Group { .. } => Ok(()),
    }
}
