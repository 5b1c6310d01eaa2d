//! An instance that knows nothing yet, one that comes back, and how much memory they take.

use std::time::Instant;

use offkey::domain::Topic;

use crate::{Bench, cluster::append, ends::Ends, figures::median, service::Service, world::keys};

const KEYS_EACH: usize = 20;

/// What a service costs that has nothing, or very many keys, to remember.
pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let empty = bench.cluster.place()?;
    drop(Service::start(&empty, "one")?);
    let service = Service::start(&empty, "one")?;
    let (soon, (bare, _)) = (service.took.as_secs_f64(), service.memory()?);
    service.stop()?;
    let place = bench.cluster.place()?;
    append(
        place.log()?.as_ref(),
        keys(0..bench.keys / KEYS_EACH, KEYS_EACH),
    )?;
    let ends = Ends::new(&place, Topic::Inventory)?;
    let (mut build, mut floor, mut most) = (Vec::new(), Vec::new(), Vec::new());
    let (mut again, mut memory) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let begin = Instant::now();
        ends.contents()?;
        floor.push(begin.elapsed().as_secs_f64());
        let instance = format!("instance{round}");
        let service = Service::start(&place, &instance)?;
        build.push(service.took.as_secs_f64());
        most.push(service.memory()?.1);
        service.stop()?;
        let service = Service::start(&place, &instance)?;
        again.push(service.took.as_secs_f64());
        memory.push(service.memory()?.0);
        service.stop()?;
    }
    let keys = bench.keys;
    let figures = &mut bench.figures;
    let mut add = |what: &str, unit, value: f64, floor: f64| {
        figures.add(&format!("{keys} keys: {what}"), unit, value, floor);
    };
    let what = "start of an empty instance to ready (floor: reading the topic)";
    add(what, "s", median(&mut build), median(&mut floor));
    let what = "start with its folder to ready (floor: without data)";
    add(what, "s", median(&mut again), soon);
    let what = "memory (floor: without data)";
    add(what, "MB", median(&mut memory), bare);
    let what = "most memory while building (floor: without data)";
    add(what, "MB", median(&mut most), bare);
    Ok(())
}
