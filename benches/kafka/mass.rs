//! Very many people leave at once while the service runs.

use std::time::Instant;

use offkey::domain::Topic;

use crate::{
    Bench,
    cluster::{Place, append},
    ends::Ends,
    flow::owners,
    minimal::{Minimal, Sizes},
    service::Service,
    world::{keys, leave},
};

const KEYS_EACH: usize = 20;

/// How long it takes until the last impact is committed.
pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let people = bench.people;
    let place = bench.cluster.place()?;
    append(place.log()?.as_ref(), keys(0..people, KEYS_EACH))?;
    let service = Service::start(&place, "one")?;
    let ours = leave_together(&place, people)?;
    let (_, most) = service.memory()?;
    service.stop()?;
    let impacts = Ends::new(&place, Topic::Impacts)?.contents()?;
    let outcomes = Ends::new(&place, Topic::Outcomes)?.contents()?;
    let sizes = Sizes {
        outcome: outcomes.bytes / outcomes.records.max(1),
        impact: impacts.bytes / impacts.records.max(1),
    };
    let place = bench.cluster.place()?;
    let minimal = Minimal::start(&place, owners(people, KEYS_EACH)?, sizes)?;
    let floor = leave_together(&place, people)?;
    minimal.stop()?;
    let name = format!("{people} people with {KEYS_EACH} keys each leave, last impact committed");
    bench.figures.add(&name, "s", ours, floor);
    let name =
        format!("{people} people with {KEYS_EACH} keys each leave, most memory (floor: none)");
    bench.figures.add(&name, "MB", most, f64::NAN);
    Ok(())
}

fn leave_together(place: &Place, people: usize) -> anyhow::Result<f64> {
    let ends = Ends::new(place, Topic::Impacts)?;
    let log = place.log()?;
    let begin = Instant::now();
    append(log.as_ref(), (0..people).map(leave))?;
    let end = ends.await_records(people * KEYS_EACH)?;
    Ok((end - begin).as_secs_f64())
}
