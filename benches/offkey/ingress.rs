//! From the webhook to the durable answer.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    disk::{serve_floor, syncs},
    figures::{Figures, median, millis, percentile, rate},
    load::Load,
    stand::Stand,
};

const WINDOW: Duration = Duration::from_secs(4);
const ROUNDS: usize = 3;

#[derive(Default)]
struct Rounds {
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Rounds {
    fn measure(&mut self, load: Load) -> anyhow::Result<usize> {
        let begin = Instant::now();
        let sent = load.run()?;
        self.rate.push(rate(sent.len(), begin.elapsed()));
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
    disk_p50: Vec<f64>,
    disk_p99: Vec<f64>,
}

/// Webhooks a second, and how long their answers take.
pub(crate) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let floor = serve_floor(folder.path())?;
    let mut stand = Stand::start(folder.path())?;
    for connections in [32, 128] {
        let mut turns = Turns::default();
        for _ in 0..ROUNDS {
            turns.take(folder.path(), floor, &mut stand, connections)?;
        }
        turns.note(figures, connections);
    }
    stand.stop()
}

impl Turns {
    fn take(
        &mut self,
        folder: &Path,
        floor: SocketAddr,
        stand: &mut Stand,
        connections: usize,
    ) -> anyhow::Result<()> {
        let load = |address| Load {
            address,
            connections,
            time: WINDOW,
            rate: None,
            people: None,
        };
        self.bare.measure(load(floor))?;
        let begin = Instant::now();
        let count = self.ours.measure(load(stand.address))?;
        stand.settle()?;
        self.through.push(rate(count, begin.elapsed()));
        let mut times = syncs(folder, 4096, Duration::from_millis(500))?;
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
        let what = "webhook p50 (floor: fdatasync)";
        add(what, "ms", &mut ours.p50, &mut self.disk_p50);
        let what = "webhook p99 (floor: fdatasync)";
        add(what, "ms", &mut ours.p99, &mut self.disk_p99);
        let what = "webhook to outcome, backlog included";
        add(what, "1/s", &mut self.through, &mut bare.rate);
    }
}
