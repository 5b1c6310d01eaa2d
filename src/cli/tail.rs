//! `offkey tail`: the records of a topic as they come.

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::{Context, End, output};
use crate::{
    app,
    domain::{Record, Topic},
    log::Position,
};

/// How many records to take at once.
const MOST: usize = 500;

/// Which records.
#[derive(Debug, Args)]
pub(super) struct Tail {
    /// Of which topic.
    topic: Topic,
    /// Wait for more instead of ending with what is there.
    #[arg(long, short)]
    follow: bool,
    /// From where on: start, end, a moment (2030-01-01T00:00:00Z) or how long ago (2h).
    #[arg(long, default_value = "start", value_parser = From::parse)]
    from: From,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Start,
    End,
    At(Timestamp),
    Ago(SignedDuration),
}

impl From {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            text => text
                .parse()
                .map(Self::At)
                .or_else(|_| text.parse().map(Self::Ago))
                .map_err(|_| format!("{text:?} is neither start, end, a moment nor a duration")),
        }
    }
}

impl Tail {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.tail(context))
    }

    async fn tail(&self, context: &Context) -> anyhow::Result<End> {
        let log = app::attach_log(&context.config, context.clock.clone())?;
        let end = log.end()?.within(&[self.topic]);
        let since = match self.from {
            From::Start | From::End => Timestamp::MIN,
            From::At(at) => at,
            From::Ago(ago) => context.clock.now().saturating_sub(ago)?,
        };
        let mut position = if self.from == From::End {
            end.clone()
        } else {
            Position::default()
        };
        let mut follower = log.follow(&[self.topic], &position)?;
        while self.follow || !position.has_reached(&end) {
            let batch = follower.next(MOST).await?;
            position = batch.through;
            for entry in batch.entries {
                if entry.record.heard_at() >= since {
                    show(context, &entry.record)?;
                }
            }
        }
        Ok(End::Done)
    }
}

fn show(context: &Context, record: &Record) -> anyhow::Result<()> {
    if context.output.json {
        return context.output.json(&record.to_cloudevent());
    }
    let data = String::from_utf8_lossy(&record.data);
    let at = output::moment(record.heard_at());
    Ok(context
        .output
        .line(&format!("{at} {} {} {data}", record.kind, record.id))?)
}
