//! `offkey replay`: what today's catalogue and policy would say of changes that were reported.

mod text;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Context, End};
use crate::{
    app,
    catalogue::Catalogue,
    correlation::{Inputs, Published, correlate, revise},
    domain::{
        ChangeId, ChangeKind, Fate, Impact, ImpactId, OutcomeResult, Severity, Status,
        replay::Replay as Wish,
    },
    inventory::import::moment,
    projection::{ProjectionError, read::Reader},
};

/// Which changes to judge again.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The first effective time: 2030-01-31T09:00:00Z, or 2030-01-31 for its first moment in UTC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Timestamp,
    /// The first effective time that is not asked for any more; now by default.
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// Have the service make these reports again, with its own catalogue and policy, and publish
    /// what differs.
    #[arg(long)]
    publish: bool,
}

fn time(text: &str) -> Result<Timestamp, String> {
    moment("the time", text)
}

/// A change whose report would be another one.
#[derive(Debug, Serialize)]
struct Differs {
    change_id: ChangeId,
    person: String,
    change: ChangeKind,
    effective_at: Timestamp,
    /// Absent: nothing was published yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<OutcomeResult>,
    now: OutcomeResult,
    /// The revision that it would be.
    revision: u32,
    digest: String,
    impacts: Vec<Pair>,
}

/// One impact before and now; alike on both sides: only other words of it differ.
#[derive(Debug, Serialize)]
struct Pair {
    impact_id: ImpactId,
    provider: String,
    project: String,
    key: String,
    label: String,
    /// Absent: it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Verdict>,
    /// Absent: it would be withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Verdict>,
}

/// What is said of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Verdict {
    fate: Fate,
    severity: Severity,
    rule: String,
    status: Status,
}

/// What all came to.
#[derive(Debug, Default)]
struct Counted {
    changes: u64,
    differ: u64,
    /// Over the ids and digests of all reports, in their order.
    digest: Sha256,
}

impl Replay {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let to = self.to.unwrap_or_else(|| context.clock.now());
        anyhow::ensure!(self.from < to, "--from is not before --to");
        let (catalogue, db) = context.reading()?;
        let reader = Reader::new(&db).as_of_now()?;
        let mut counted = Counted::default();
        for id in reader.changes_between(self.from, to)? {
            let differs = again(context, reader, &catalogue, (&id, &mut counted))?;
            let Some(differs) = differs else { continue };
            counted.differ += 1;
            if context.output.json {
                context.output.json(&differs)?;
            } else {
                text::print(context.output, &differs)?;
            }
        }
        let digest = hex::encode(counted.digest.finalize());
        let sentence = format!(
            "{} changes judged again: {} would be reported otherwise; digest {digest}",
            counted.changes, counted.differ
        );
        text::sum_up(context.output, &sentence)?;
        if self.publish {
            self.wish(context, to)?;
        }
        Ok(End::Done)
    }

    /// Leaves it to whoever works on these changes: nobody else may publish.
    fn wish(&self, context: &Context, to: Timestamp) -> anyhow::Result<()> {
        let log = app::attach_log(&context.config, context.clock.clone())?;
        let wish = Wish {
            from: self.from,
            to,
            requested_at: crate::domain::whole_microseconds(context.clock.now()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(log.append(vec![wish.to_record()]))?;
        text::sum_up(
            context.output,
            "the service makes these reports again, with the catalogue and policy it runs with",
        )?;
        Ok(())
    }
}

/// Judges one change again; nothing when its report would be the same.
fn again(
    context: &Context,
    reader: Reader<'_>,
    catalogue: &Catalogue,
    (id, counted): (&str, &mut Counted),
) -> Result<Option<Differs>, ProjectionError> {
    let Some((change, person)) = reader.change(id)? else {
        return Ok(None);
    };
    let report = correlate(&Inputs {
        change: &change,
        history: &reader.history(&person)?,
        catalogue,
        policy: &context.config.policy,
    });
    counted.changes += 1;
    counted.digest.update(id);
    counted.digest.update(&report.outcome.digest);
    let published = reader.published(id)?;
    let Some(news) = revise(report, &published) else {
        return Ok(None);
    };
    let pairs = news.impacts.iter().map(|impact| pair(impact, &published));
    Ok(Some(Differs {
        change_id: change.id,
        person,
        change: change.change,
        effective_at: change.effective_at,
        before: published.outcome.as_ref().map(|outcome| outcome.result),
        now: news.outcome.result,
        revision: news.outcome.revision,
        digest: news.outcome.digest.clone(),
        impacts: pairs.collect(),
    }))
}

fn pair(news: &Impact, published: &Published) -> Pair {
    let mut known = published.impacts.iter();
    let before = known.find(|known| known.impact_id == news.impact_id);
    let holds = |impact: &&Impact| impact.status != Status::Withdrawn;
    let key = &news.key;
    Pair {
        impact_id: news.impact_id,
        provider: key.provider.clone(),
        project: key.project.clone(),
        key: key.id.clone(),
        label: key.label.clone(),
        before: before.filter(holds).map(Verdict::of),
        now: Some(news).filter(holds).map(Verdict::of),
    }
}

impl Verdict {
    fn of(impact: &Impact) -> Self {
        Self {
            fate: impact.fate,
            severity: impact.severity.level,
            rule: impact.rule.rule.clone(),
            status: impact.status,
        }
    }
}
