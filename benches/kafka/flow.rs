//! From changes that wait in their topic to committed outputs.

use std::time::Instant;

use offkey::domain::Topic;

use crate::{
    Bench,
    cluster::{Place, append},
    ends::{Contents, Ends},
    figures::{median, rate},
    minimal::{Minimal, Owners, Sizes},
    service::Service,
    world::{keys, leave},
};

/// Changes of people who have no keys.
const MISSES: usize = 40_000;
/// People who have keys, and leave.
const HITS: usize = 2000;
const KEYS_EACH: usize = 20;
/// How large an outcome is where nothing tells yet.
pub(crate) const OUTCOME: usize = 900;

/// How fast changes become outputs, those that hit nothing and those that hit many keys.
pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let (mut misses, mut hits) = (Turns::default(), Turns::default());
    for _ in 0..bench.rounds {
        misses.take(bench, MISSES, 0)?;
        hits.take(bench, HITS, KEYS_EACH)?;
    }
    let name = format!("{MISSES} waiting changes that hit nothing");
    let (ours, floor) = (median(&mut misses.ours), median(&mut misses.floor));
    bench.figures.add(&name, "1/s", ours, floor);
    let name = format!("{HITS} waiting changes that hit {KEYS_EACH} keys each, impacts");
    let (ours, floor) = (median(&mut hits.ours), median(&mut hits.floor));
    bench.figures.add(&name, "1/s", ours, floor);
    Ok(())
}

#[derive(Default)]
struct Turns {
    ours: Vec<f64>,
    floor: Vec<f64>,
}

impl Turns {
    fn take(&mut self, bench: &Bench, people: usize, keys_each: usize) -> anyhow::Result<()> {
        let place = bench.cluster.place()?;
        let flow = Flow::prepare(&place, people, keys_each)?;
        let service = Service::start(&place, "one")?;
        let (speed, sizes) = flow.ours(&[&service])?;
        service.stop()?;
        self.ours.push(speed);
        let place = bench.cluster.place()?;
        self.floor.push(bare(&place, people, keys_each, sizes)?);
        Ok(())
    }
}

/// A place where people have keys and nobody has left yet.
pub(crate) struct Flow<'a> {
    place: &'a Place,
    people: usize,
    keys_each: usize,
}

impl<'a> Flow<'a> {
    pub(crate) fn prepare(
        place: &'a Place,
        people: usize,
        keys_each: usize,
    ) -> anyhow::Result<Self> {
        append(place.log()?.as_ref(), keys(0..people, keys_each))?;
        Ok(Self {
            place,
            people,
            keys_each,
        })
    }

    /// Outputs a second of services that find everything waiting, and how large outputs are.
    pub(crate) fn ours(&self, services: &[&Service]) -> anyhow::Result<(f64, Sizes)> {
        let (topic, count) = counted(self.people, self.keys_each);
        let ends = Ends::new(self.place, topic)?;
        for service in services {
            service.pause()?;
        }
        append(self.place.log()?.as_ref(), (0..self.people).map(leave))?;
        let begin = Instant::now();
        for service in services {
            service.resume()?;
        }
        let end = ends.await_records(count)?;
        let outcomes = Ends::new(self.place, Topic::Outcomes)?.contents()?;
        let impacts = Ends::new(self.place, Topic::Impacts)?.contents()?;
        let sizes = Sizes {
            outcome: mean(outcomes),
            impact: mean(impacts),
        };
        Ok((rate(count, end - begin), sizes))
    }
}

/// The topic whose records count, and how many there will be.
fn counted(people: usize, keys_each: usize) -> (Topic, usize) {
    if keys_each == 0 {
        (Topic::Outcomes, people)
    } else {
        (Topic::Impacts, people * keys_each)
    }
}

fn mean(contents: Contents) -> usize {
    contents
        .bytes
        .checked_div(contents.records)
        .unwrap_or(OUTCOME)
}

/// Outputs a second of the minimal loop.
pub(crate) fn bare(
    place: &Place,
    people: usize,
    keys_each: usize,
    sizes: Sizes,
) -> anyhow::Result<f64> {
    let (topic, count) = counted(people, keys_each);
    let ends = Ends::new(place, topic)?;
    let minimal = Minimal::start(place, owners(people, keys_each)?, sizes)?;
    minimal.pause();
    append(place.log()?.as_ref(), (0..people).map(leave))?;
    let begin = Instant::now();
    minimal.resume();
    let end = ends.await_records(count)?;
    minimal.stop()?;
    Ok(rate(count, end - begin))
}

/// The keys of so many people, by the address of each.
pub(crate) fn owners(people: usize, keys_each: usize) -> anyhow::Result<Owners> {
    let mut owners = Owners::new();
    for person in 0..people {
        let records = keys(person..person + 1, keys_each);
        let named = records.map(|record| Ok(record?.key));
        let named: anyhow::Result<Vec<String>> = named.collect();
        owners.insert(crate::world::address(person), named?);
    }
    Ok(owners)
}
