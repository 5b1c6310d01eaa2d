//! From the webhook to the answer that says that every broker in charge has it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    Bench,
    cluster::Place,
    figures::{Figures, median, millis, percentile, rate},
    load::Load,
    minimal_http::MinimalHttp,
    service::Service,
};

const WINDOW: Duration = Duration::from_secs(4);
/// What is sent when not as much as possible is.
const OFFERED: u32 = 2000;

/// How to send: over how many connections, and how many a second.
type Way = (usize, Option<u32>);

#[derive(Default)]
struct Rounds {
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Rounds {
    fn measure(&mut self, address: SocketAddr, (connections, rate_of): Way) -> anyhow::Result<()> {
        let load = Load {
            address,
            connections,
            time: WINDOW,
            rate: rate_of,
            people: None,
        };
        let begin = Instant::now();
        let sent = load.run()?;
        self.rate.push(rate(sent.len(), begin.elapsed()));
        let mut times: Vec<_> = sent.iter().map(|one| one.took).collect();
        self.p50.push(millis(percentile(&mut times, 50)));
        self.p99.push(millis(percentile(&mut times, 99)));
        Ok(())
    }
}

/// Webhooks a second, and how long their answers take.
pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    for way in [(32, None), (128, None), (512, None), (32, Some(OFFERED))] {
        let (mut bare, mut ours) = (Rounds::default(), Rounds::default());
        for _ in 0..bench.rounds {
            take_turns(bench, way, &mut bare, &mut ours)?;
        }
        note(&mut bench.figures, way, bare, ours);
    }
    Ok(())
}

/// Each round has topics of its own, so that none works on what another one left.
fn take_turns(bench: &Bench, way: Way, bare: &mut Rounds, ours: &mut Rounds) -> anyhow::Result<()> {
    let place = bench.cluster.place()?;
    let minimal = MinimalHttp::start(&place)?;
    bare.measure(minimal.address, way)?;
    minimal.stop();
    let place: Place = bench.cluster.place()?;
    let service = Service::start(&place, "one")?;
    ours.measure(service.address, way)
}

fn note(figures: &mut Figures, (connections, offered): Way, bare: Rounds, ours: Rounds) {
    let (mut ours, mut bare) = (ours, bare);
    let way = offered.map_or_else(
        || format!("{connections} connections"),
        |rate| format!("{rate}/s offered over {connections} connections"),
    );
    let mut add = |what: &str, unit, value: &mut [f64], floor: &mut [f64]| {
        figures.add(
            &format!("{what}, {way}"),
            unit,
            median(value),
            median(floor),
        );
    };
    add("webhook to 202", "1/s", &mut ours.rate, &mut bare.rate);
    add("webhook to 202 p50", "ms", &mut ours.p50, &mut bare.p50);
    add("webhook to 202 p99", "ms", &mut ours.p99, &mut bare.p99);
}
