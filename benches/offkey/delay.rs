//! From the webhook to the impact that a reader of the log sees.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use offkey::{
    domain::{ChangeId, Topic},
    log::Follower,
};

use crate::{
    disk::syncs,
    figures::{Figures, median, millis, percentile},
    load::{Load, Sent},
    stand::Stand,
    world::{event_id, keys},
};

const ROUNDS: usize = 3;
const PEOPLE: usize = 20_000;
const KEYS_EACH: usize = 2;
const RATE: u32 = 1000;
const WINDOW: Duration = Duration::from_secs(5);
/// How long to wait for the last impacts.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a webhook takes to become an impact at 1,000 events a second.
pub(crate) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut stand = Stand::start(folder.path())?;
    stand.append(keys(0..PEOPLE, KEYS_EACH))?;
    stand.settle()?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    let (mut disk_50, mut disk_99) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut floor = two_syncs(&folder)?;
        disk_50.push(millis(percentile(&mut floor, 50)));
        disk_99.push(millis(percentile(&mut floor, 99)));
        let mut times = round(&stand)?;
        p50.push(millis(percentile(&mut times, 50)));
        p99.push(millis(percentile(&mut times, 99)));
        stand.settle()?;
    }
    let name = format!("webhook to impact at {RATE}/s");
    figures.add(
        &format!("{name}, p50"),
        "ms",
        median(&mut p50),
        median(&mut disk_50),
    );
    figures.add(
        &format!("{name}, p99"),
        "ms",
        median(&mut p99),
        median(&mut disk_99),
    );
    stand.stop()
}

/// Two syncs one after the other are the least that two durable steps take.
fn two_syncs(folder: &tempfile::TempDir) -> anyhow::Result<Vec<Duration>> {
    let times = syncs(folder.path(), 4096, Duration::from_secs(1))?;
    Ok(times
        .chunks_exact(2)
        .map(|pair| pair.iter().sum())
        .collect())
}

fn round(stand: &Stand) -> anyhow::Result<Vec<Duration>> {
    let load = Load {
        address: stand.address,
        connections: 32,
        time: WINDOW,
        rate: Some(RATE),
        people: Some(PEOPLE),
    };
    let mut follower = stand.follow(Topic::Impacts)?;
    let sender = thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || load.run())?;
    let mut seen = Seen::default();
    while !sender.is_finished() {
        seen.look(stand, follower.as_mut())?;
    }
    let sent = sender
        .join()
        .map_err(|_panic| anyhow::anyhow!("the sender panicked"))??;
    let end = Instant::now() + PATIENCE;
    loop {
        let times: Vec<_> = sent.iter().filter_map(|one| seen.after(one)).collect();
        // All of them: the slowest are what the high percentiles are about.
        if times.len() == sent.len() {
            return Ok(times);
        }
        anyhow::ensure!(
            Instant::now() < end,
            "of {} events only {} have an impact",
            sent.len(),
            times.len()
        );
        seen.look(stand, follower.as_mut())?;
    }
}

/// When the first impact of a change was seen.
#[derive(Default)]
struct Seen(HashMap<ChangeId, Instant>);

impl Seen {
    fn look(&mut self, stand: &Stand, follower: &mut dyn Follower) -> anyhow::Result<()> {
        let records = stand.glance(follower)?;
        let now = Instant::now();
        for id in records.into_iter().filter_map(|record| record.correlation) {
            self.0.entry(id).or_insert(now);
        }
        Ok(())
    }

    fn after(&self, sent: &Sent) -> Option<Duration> {
        let id = ChangeId::derive("okta", &event_id(sent.event));
        Some(self.0.get(&id)?.duration_since(sent.at))
    }
}
