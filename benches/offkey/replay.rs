//! A long history: `offkey replay` over 100,000 changes, and what a change costs behind them. Alone it
//! costs the same behind few and many; of many at once the first share pages of the read model's
//! indexes, which are sorted by ids without an order, until there are more pages than changes at once.

use std::{
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use offkey::{domain::Topic, projection};

use crate::{
    figures::{Figures, median},
    preview::run,
    stand::Stand,
    world::{keys, leave},
};

const CHANGES: usize = 100_000;
/// Leavers at once, several times.
const BATCH: usize = 1000;
const ROUNDS: usize = 3;
/// Leavers one after the other.
const ALONE: usize = 1000;
/// Those whose changes come before the first measurement, and those before the last.
const FEW: usize = 1000;
const MANY: usize = CHANGES - ROUNDS * BATCH - ALONE;

/// How long the replay takes beside reading what it judges, and a change behind few and many others.
pub(crate) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let folder = folder.path();
    let mut stand = Stand::start(folder)?;
    stand.append(keys(0..CHANGES, 1))?;
    leave_together(&stand, 0..FEW)?;
    stand.settle()?;
    let early = measured(&mut stand, FEW)?;
    leave_together(&stand, FEW + ROUNDS * BATCH + ALONE..MANY)?;
    stand.settle()?;
    let late = measured(&mut stand, MANY)?;
    let name = "a change, alone, behind 96,000 of others (floor: behind 1,000)";
    figures.add(name, "µs", late.alone, early.alone);
    // Here the floor shares pages of the read model's indexes, where later each has its own.
    let name = "a change, 1,000 at once, behind 96,000 of others (floor: behind 1,000)";
    figures.add(name, "µs", late.together, early.together);
    stand.stop()?;

    let (mut took, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(read_all(folder)?.as_secs_f64());
        let (time, _) = run(folder, &["replay", "--from", "2026-01-01"])?;
        took.push(time.as_secs_f64());
    }
    let name = "replay of 100,000 changes (floor: reading them and their reports)";
    figures.add(name, "s", median(&mut took), median(&mut floor));
    Ok(())
}

/// Microseconds from a change to its outcome.
struct Cost {
    /// Per change, of many at once.
    together: f64,
    alone: f64,
}

/// What changes of people from `first` on cost.
fn measured(stand: &mut Stand, first: usize) -> anyhow::Result<Cost> {
    let together = batches(stand, first)?;
    let first = first + ROUNDS * BATCH;
    let mut all = Vec::with_capacity(ALONE);
    for person in first..first + ALONE {
        let time = leave_together(stand, person..person + 1)?;
        all.push(time.as_secs_f64() * 1e6);
    }
    stand.settle()?;
    Ok(Cost {
        together,
        alone: median(&mut all),
    })
}

/// Per change, of people from `first` on.
fn batches(stand: &mut Stand, first: usize) -> anyhow::Result<f64> {
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let first = first + round * BATCH;
        let time = leave_together(stand, first..first + BATCH)?;
        stand.settle()?;
        let each = time / u32::try_from(BATCH)?;
        all.push(each.as_secs_f64() * 1e6);
    }
    Ok(median(&mut all))
}

/// How long it takes until all of `people`, who leave together, have their outcomes.
fn leave_together(stand: &Stand, people: Range<usize>) -> anyhow::Result<Duration> {
    let mut follower = stand.follow(Topic::Outcomes)?;
    let count = people.len();
    let begin = Instant::now();
    stand.append(people.map(leave))?;
    stand.await_records(follower.as_mut(), count)?;
    Ok(begin.elapsed())
}

/// Reads every change with its report, and does nothing with them.
fn read_all(folder: &Path) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let db = projection::open_reader(&folder.join("data"))?;
    let mut statement = db.prepare(
        "SELECT changes.body, outcomes.body, impacts.body FROM changes
         JOIN outcomes ON outcomes.change = changes.id JOIN impacts ON impacts.change = changes.id",
    )?;
    let mut rows = statement.query([])?;
    let (mut reports, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        reports += 1;
        for column in 0..3 {
            bytes += row.get_ref(column)?.as_str()?.len();
        }
    }
    anyhow::ensure!(reports == CHANGES && bytes > 0, "{reports} reports");
    Ok(begin.elapsed())
}
