//! From the webhook to the durable answer.

use std::time::{Duration, Instant};

use crate::{
    disk::{Floor, syncs},
    figures::{Figures, median, millis, percentile, rate},
    load::Load,
    processor::{Spent, answers, correlates},
    stand::Stand,
};

const WINDOW: Duration = Duration::from_secs(4);
const GLANCE: Duration = Duration::from_millis(500);
const ROUNDS: usize = 3;

#[derive(Default)]
struct Rounds {
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// Microseconds of processor time an answer.
    processor: Vec<f64>,
}

impl Rounds {
    fn measure(&mut self, load: Load) -> anyhow::Result<usize> {
        let (before, begin) = (Spent::now()?, Instant::now());
        let sent = load.run()?;
        self.rate.push(rate(sent.len(), begin.elapsed()));
        let spent = Spent::now()?.since(&before, answers);
        self.processor.push(micros(spent, sent.len()));
        let mut times: Vec<_> = sent.iter().map(|one| one.took).collect();
        self.p50.push(millis(percentile(&mut times, 50)));
        self.p99.push(millis(percentile(&mut times, 99)));
        Ok(sent.len())
    }
}

/// The rounds with one number of connections.
#[derive(Default)]
struct Turns {
    bare: Rounds,
    ours: Rounds,
    through: Vec<f64>,
    /// Microseconds of processor time from the change to its outcome.
    pipeline: Vec<f64>,
    disk_p50: Vec<f64>,
    disk_p99: Vec<f64>,
}

/// Webhooks a second, and how long their answers take.
pub(crate) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    for connections in [32, 128] {
        let mut turns = Turns::default();
        for _ in 0..ROUNDS {
            turns.take(connections)?;
        }
        turns.note(figures, connections);
    }
    Ok(())
}

impl Turns {
    /// One round in a folder of its own, so that no round finds what another one left.
    fn take(&mut self, connections: usize) -> anyhow::Result<()> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let load = |address| Load {
            address,
            connections,
            time: WINDOW,
            rate: None,
            people: None,
        };
        let mut times = syncs(folder.path(), 4096, GLANCE)?;
        let floor = Floor::start(folder.path())?;
        self.bare.measure(load(floor.address))?;
        floor.stop();
        let mut stand = Stand::start(folder.path())?;
        let (before, begin) = (Spent::now()?, Instant::now());
        let count = self.ours.measure(load(stand.address))?;
        stand.settle()?;
        self.through.push(rate(count, begin.elapsed()));
        let spent = Spent::now()?.since(&before, correlates);
        self.pipeline.push(micros(spent, count));
        stand.stop()?;
        times.extend(syncs(folder.path(), 4096, GLANCE)?);
        self.disk_p50.push(millis(percentile(&mut times, 50)));
        self.disk_p99.push(millis(percentile(&mut times, 99)));
        Ok(())
    }

    fn note(mut self, figures: &mut Figures, connections: usize) {
        let mut add = |what: &str, unit, value: &mut [f64], floor: &mut [f64]| {
            let name = format!("{what}, {connections} connections");
            figures.add(&name, unit, median(value), median(floor));
        };
        let (ours, bare) = (&mut self.ours, &mut self.bare);
        add(
            "webhook to durable 2xx",
            "1/s",
            &mut ours.rate,
            &mut bare.rate,
        );
        add(
            "webhook to durable 2xx p50",
            "ms",
            &mut ours.p50,
            &mut bare.p50,
        );
        add(
            "webhook to durable 2xx p99",
            "ms",
            &mut ours.p99,
            &mut bare.p99,
        );
        let what = "processor time an answer";
        add(what, "us", &mut ours.processor, &mut bare.processor);
        let what = "processor time from change to outcome (floor: none)";
        add(what, "us", &mut self.pipeline, &mut [f64::NAN]);
        let what = "webhook to outcome, backlog included";
        add(what, "1/s", &mut self.through, &mut bare.rate);
        // What the disk gives to one who syncs alone, at rest: what a wait is made of at least.
        let what = "the disk itself: append and sync, p50 beside p99";
        add(what, "ms", &mut self.disk_p50, &mut self.disk_p99);
    }
}

/// The share of one of `count` in `d`, in microseconds.
fn micros(d: Duration, count: usize) -> f64 {
    d.as_secs_f64() * 1e6 / f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
