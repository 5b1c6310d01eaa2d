//! `offkey gate`: whether removing somebody is safe, as an exit code.

mod github;
mod text;

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    Context, End, output,
    preview::{Imagined, Maker, is_known, sources_of},
};
use crate::{
    correlation::{
        Policy,
        gate::{Answer, Judged, Removal, gate},
    },
    domain::{ChangeKind, Email, Scope},
    projection::read::Reader,
};

/// Whom to ask about, and what counts.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Gate {
    /// Whom, by address; several are taken to leave together.
    #[arg(long, required = true, value_name = "ADDRESS")]
    person: Vec<Email>,
    /// What happens to them.
    #[arg(long, default_value = "removed")]
    change: ChangeKind,
    /// How far it reaches: organisation, provider:NAME, project:PROVIDER/ID or group:ID.
    #[arg(long, default_value = "organisation")]
    scope: Scope,
    /// For how many days traffic counts, instead of `policy.traffic_window`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: Option<u32>,
    /// A key that may be lost, by its id or as PROVIDER/PROJECT/ID; may be given several times.
    #[arg(long, value_name = "KEY")]
    accept: Vec<String>,
    /// Not safe either: what nothing says is production, and an inventory with gaps.
    #[arg(long)]
    strict: bool,
    /// Somebody whom no inventory knows has no key to lose.
    #[arg(long)]
    unknown_is_safe: bool,
    /// How to answer; --json is --format json.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

const EXIT_CODES: &str = "Exit codes: 0 safe, 1 no answer (a failure, or no inventory knows the person), 2 wrong \
usage, 3 not safe. Safe: no production key stops that had traffic, or whose traffic nobody knows, \
but for accepted ones. A key is moved when its traffic has ended.";

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables.
    Text,
    /// One JSON document a person.
    Json,
    /// Workflow commands of GitHub Actions.
    Github,
}

/// The answer about one person.
#[derive(Debug, Serialize)]
struct Asked {
    person: String,
    change: ChangeKind,
    scope: Scope,
    answer: Answer,
    /// For how long traffic counted.
    days: u64,
    /// Why there may be keys that nobody knows.
    gaps: Vec<String>,
    keys: Vec<Judged>,
    /// The digest of the report it was read from.
    digest: String,
}

impl Gate {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let policy = &context.config.policy;
        if let Err(why) = is_known(&self.scope, policy) {
            output::complain(&format!("offkey: {why}"));
            return Ok(End::Unusable);
        }
        let format = match (context.output.json, self.format) {
            (true, Format::Text) => Format::Json,
            (_, format) => format,
        };
        let all = self.ask(context)?;
        self.warn_of_unknown_keys(&all);
        for asked in &all {
            match format {
                Format::Text => text::print(context.output, asked)?,
                Format::Json => context.output.json(asked)?,
                Format::Github => github::print(context.output, asked)?,
            }
        }
        let any = |answer| all.iter().any(|asked| asked.answer == answer);
        if any(Answer::NotSafe) {
            return Ok(End::NotSafe);
        }
        if any(Answer::UnknownPerson) {
            let unknown = all
                .iter()
                .filter(|asked| asked.answer == Answer::UnknownPerson);
            let names: Vec<_> = unknown.map(|asked| asked.person.as_str()).collect();
            anyhow::bail!(
                "no inventory knows {}: nobody can say whether that is safe; --unknown-is-safe takes \
                 it for safe",
                names.join(", ")
            );
        }
        Ok(End::Done)
    }

    fn ask(&self, context: &Context) -> anyhow::Result<Vec<Asked>> {
        let (catalogue, db) = context.reading()?;
        let (policy, now) = (&context.config.policy, context.clock.now());
        let reader = Reader::new(&db).as_of_now()?;
        let window = self.days.map_or(policy.traffic_window, |days| {
            Duration::from_secs(u64::from(days) * 86_400)
        });
        let gaps = gaps(context, reader, (now, window))?;
        let is_doubtful = self.strict && !gaps.is_empty();
        let mut maker = Maker::new(reader, &catalogue, policy);
        let imagined = self.person.iter().map(|email| Imagined {
            email: email.clone(),
            change: self.change,
            scope: self.scope.clone(),
            at: now,
        });
        let imagined: Vec<Imagined> = imagined.collect();
        for one in &imagined {
            maker.expect(one)?;
        }
        let mut all = Vec::with_capacity(imagined.len());
        for one in &imagined {
            let (report, history) = maker.report_and_history(one)?;
            if !self.is_mapped(policy) && report.impacts.is_empty() {
                // Nothing found is no proof where nobody knows where to look.
                anyhow::bail!(
                    "nobody can say whether that is safe: {}",
                    report.outcome.reason
                );
            }
            let removal = Removal {
                report: &report,
                history: &history,
                now,
                window,
                accepted: &self.accept,
            };
            let (answer, keys) = gate(&removal, self.strict);
            let answer = match answer {
                Answer::UnknownPerson if self.unknown_is_safe => Answer::Safe,
                Answer::Safe if is_doubtful => Answer::NotSafe,
                answer => answer,
            };
            all.push(Asked {
                person: history.person,
                change: self.change,
                scope: self.scope.clone(),
                answer,
                days: window.as_secs().div_ceil(86_400),
                gaps: gaps.clone(),
                keys,
                digest: report.outcome.digest,
            });
        }
        Ok(all)
    }

    /// Whether it is known which projects the scope reaches.
    fn is_mapped(&self, policy: &Policy) -> bool {
        match &self.scope {
            Scope::Group { group } => !sources_of(group, policy).is_empty(),
            Scope::Organisation {} | Scope::Provider { .. } | Scope::Project { .. } => true,
        }
    }

    /// Whoever mistypes a key has to hear of it.
    fn warn_of_unknown_keys(&self, all: &[Asked]) {
        let has = |name: &&String| {
            let mut keys = all.iter().flat_map(|asked| &asked.keys);
            keys.any(|judged| judged.key.id == **name || path(judged) == **name)
        };
        for name in self.accept.iter().filter(|name| !has(name)) {
            output::complain(&format!("offkey: --accept {name} is none of these keys"));
        }
    }
}

/// Where a key is, as `--accept` takes it.
fn path(judged: &Judged) -> String {
    let key = &judged.key;
    format!("{}/{}/{}", key.provider, key.project, key.id)
}

/// Why there may be keys that nobody knows: an inventory that was never, or not lately, read whole.
fn gaps(
    context: &Context,
    reader: Reader<'_>,
    (now, window): (Timestamp, Duration),
) -> anyhow::Result<Vec<String>> {
    let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
    let mut gaps = Vec::new();
    for provider in context.config.policy.providers.keys() {
        let snapshot = reader.snapshot(provider)?;
        let last = snapshot.and_then(|snapshot| snapshot.last_complete);
        match last {
            None => gaps.push(format!("the keys of {provider} were never read completely")),
            Some(last) if now.duration_since(last) > window => {
                let day = output::moment(last);
                gaps.push(format!(
                    "the keys of {provider} were last read completely at {day}"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(gaps)
}

/// The answer in one sentence.
fn sentence(asked: &Asked) -> String {
    use crate::correlation::gate::Verdict::{Accepted, Blocks, Doubtful};
    let count = |verdict| {
        let keys = asked.keys.iter();
        keys.filter(|judged| judged.verdict == verdict).count()
    };
    let (person, change, scope) = (&asked.person, asked.change, &asked.scope);
    let answer = match asked.answer {
        Answer::Safe => "safe",
        Answer::NotSafe => "not safe",
        Answer::UnknownPerson => "unknown: no inventory knows the person",
    };
    format!(
        "{person} {change} ({scope}): {answer}; of {} keys {} block, {} are doubtful, {} are \
         accepted",
        asked.keys.len(),
        count(Blocks),
        count(Doubtful),
        count(Accepted),
    )
}
