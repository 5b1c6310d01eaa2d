//! Two instances beside one.

use crate::{Bench, figures::median, flow::Flow, service::Service};

const CHANGES: usize = 40_000;

/// How much faster two instances are that share the partitions, on the processors they share.
pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let place = bench.cluster.place()?;
        let flow = Flow::prepare(&place, CHANGES, 0)?;
        let first = Service::start(&place, "one")?;
        one.push(flow.ours(&[&first])?.0);
        first.stop()?;
        let place = bench.cluster.place()?;
        let flow = Flow::prepare(&place, CHANGES, 0)?;
        let first = Service::start(&place, "one")?;
        let second = Service::start(&place, "two")?;
        two.push(flow.ours(&[&first, &second])?.0);
        first.stop()?;
        second.stop()?;
    }
    let name = format!("{CHANGES} waiting changes, two instances (floor: one)");
    bench
        .figures
        .add(&name, "1/s", median(&mut two), median(&mut one));
    Ok(())
}
