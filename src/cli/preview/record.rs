//! Keeps previews in the log, so that the reports of real changes cite them.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::{Context, Imagined};
use crate::{
    app,
    cli::output,
    domain::{Record, Report, preview::Preview, whole_microseconds},
    log::Log,
};

/// How many previews are recorded at once.
const STEP: usize = 500;

/// Appends previews, in steps.
pub(super) struct Recorder {
    log: Arc<dyn Log>,
    runtime: Runtime,
    made_at: Timestamp,
    step: Vec<Record>,
    recorded: usize,
}

impl Recorder {
    pub(super) fn open(context: &Context) -> anyhow::Result<Self> {
        Ok(Self {
            log: app::attach_log(&context.config, context.clock.clone())?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            made_at: whole_microseconds(context.clock.now()),
            step: Vec::new(),
            recorded: 0,
        })
    }

    pub(super) fn add(&mut self, one: &Imagined, report: &Report) -> anyhow::Result<()> {
        let preview = Preview::of(report, one.email.clone(), self.made_at);
        self.step.push(preview.to_record());
        if self.step.len() == STEP {
            self.append()?;
        }
        Ok(())
    }

    fn append(&mut self) -> anyhow::Result<()> {
        self.recorded += self.step.len();
        let step = std::mem::take(&mut self.step);
        Ok(self.runtime.block_on(self.log.append(step))?)
    }

    /// Appends what is left, and says how many there were.
    pub(super) fn finish(mut self, context: &Context) -> anyhow::Result<()> {
        self.append()?;
        let text = format!("{} previews are recorded", self.recorded);
        if context.output.json {
            output::complain(&text);
            return Ok(());
        }
        Ok(context.output.line(&text)?)
    }
}
