//! From one change to many impacts, and from many to very many.

use std::{path::Path, time::Instant};

use offkey::{
    app,
    clock::SystemClock,
    domain::{Record, Topic},
};

use crate::{
    figures::{Figures, median, millis, rate},
    stand::{Stand, append, configure},
    world::{keys, leave},
};

/// People with many keys; measured one by one.
const WIDE: usize = 7;
const KEYS_OF_WIDE: usize = 1000;
const ROUNDS: usize = 3;
/// People who leave together.
const CROWD: usize = 10_000;
const KEYS_EACH: usize = 20;

/// How fast impacts come when keys are many. The floor is the log alone, given the same records.
pub(crate) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut stand = Stand::start(folder.path())?;
    stand.append(keys(0..WIDE, KEYS_OF_WIDE))?;
    stand.append(keys(WIDE..WIDE + ROUNDS * CROWD, KEYS_EACH))?;
    stand.settle()?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for person in 0..WIDE {
        let (time, records) = leave_together(&stand, person..person + 1, KEYS_OF_WIDE)?;
        ours.push(millis(time));
        floor.push(millis(log_alone(records)?));
        stand.settle()?;
    }
    let name = "one leaver to 1,000 impacts";
    figures.add(name, "ms", median(&mut ours), median(&mut floor));
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let first = WIDE + round * CROWD;
        let (time, records) = leave_together(&stand, first..first + CROWD, KEYS_EACH)?;
        ours.push(rate(records.len(), time));
        let count = records.len();
        floor.push(rate(count, log_alone(records)?));
        stand.settle()?;
    }
    let name = "10,000 leavers with 20 keys each, impacts";
    figures.add(name, "1/s", median(&mut ours), median(&mut floor));
    stand.stop()
}

type Timed = (std::time::Duration, Vec<Record>);

fn leave_together(
    stand: &Stand,
    people: std::ops::Range<usize>,
    keys_each: usize,
) -> anyhow::Result<Timed> {
    let impacts = people.len() * keys_each;
    let changes: Vec<_> = people.map(leave).collect();
    let mut follower = stand.follow(Topic::Impacts)?;
    let begin = Instant::now();
    stand.append(changes.into_iter())?;
    let records = stand.await_records(follower.as_mut(), impacts)?;
    Ok((begin.elapsed(), records))
}

fn log_alone(records: Vec<Record>) -> anyhow::Result<std::time::Duration> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let log = open_log(folder.path())?;
    let begin = Instant::now();
    append(&runtime, log.as_ref(), records.into_iter().map(Ok))?;
    Ok(begin.elapsed())
}

fn open_log(folder: &Path) -> anyhow::Result<std::sync::Arc<dyn offkey::log::Log>> {
    let config = configure(folder, ([127, 0, 0, 1], 0).into())?;
    app::serve_log(&config, std::sync::Arc::new(SystemClock))
}
