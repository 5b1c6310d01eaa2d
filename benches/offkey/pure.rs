//! The pure function alone: a change and a person's history in, a report out.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use offkey::{
    catalogue::Catalogue,
    correlation::{Inputs, PersonHistory, Policy, correlate, policy::ProviderFacts},
    domain::{Impact, Key, Member, MembershipChange, Project, Propagation, json::Text},
};

use crate::{
    figures::{Figures, median},
    world,
};

const ROUNDS: usize = 15;
/// How long one round takes at least.
const ROUND: Duration = Duration::from_millis(50);

/// What a report costs a key; the floor writes the finished impacts down as they are published.
pub(crate) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let catalogue = Catalogue::built_in()?;
    let facts = ProviderFacts {
        kind: "deepgram".to_owned(),
        propagation: Propagation::Manual {},
    };
    let policy = Policy {
        providers: [("deepgram".to_owned(), facts)].into(),
        ..Policy::default()
    };
    let change: MembershipChange = world::leave(0)?.read()?;
    for keys in [0, 1, 20, 1000] {
        let history = history(keys)?;
        let inputs = Inputs {
            change: &change,
            history: &history,
            catalogue: &catalogue,
            policy: &policy,
        };
        let report = correlate(&inputs);
        anyhow::ensure!(report.impacts.len() == keys, "every key is hit");
        let (mut value, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            floor.push(micros(|| write(black_box(&report.impacts))));
            value.push(micros(|| correlate(black_box(&inputs))));
        }
        let share = f64::from(u32::try_from(keys.max(1))?);
        let name = match keys {
            0 => "report on no key (floor: writing it down)".to_owned(),
            _ => format!("report on {keys} keys, each (floor: writing it down)"),
        };
        let (value, floor) = (median(&mut value), median(&mut floor));
        figures.add(&name, "us", value / share, floor / share);
    }
    Ok(())
}

fn write(impacts: &[Impact]) -> Vec<u8> {
    let mut text = Text::default();
    for impact in impacts {
        drop(serde_json::to_writer(&mut text, impact));
    }
    text.0
}

/// The microseconds of one call, over as many as fit into a round.
fn micros<T>(call: impl Fn() -> T) -> f64 {
    let (begin, mut calls) = (Instant::now(), 0_u32);
    while begin.elapsed() < ROUND {
        drop(black_box(call()));
        calls += 1;
    }
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

/// A person with so many keys in one project, which somebody else owns.
fn history(keys: usize) -> anyhow::Result<PersonHistory> {
    let all = (0..keys).map(|number| Ok(world::key(0, number)?.read()?));
    let owner: Member = world::owner(0, 0)?.read()?;
    let project: Project = world::project(0).read()?;
    Ok(PersonHistory {
        person: world::address(0),
        accounts: vec![("deepgram".to_owned(), world::account(0))],
        keys: all.collect::<anyhow::Result<Vec<Key>>>()?,
        projects: vec![project],
        members: vec![owner],
        ..PersonHistory::default()
    })
}
