//! What the service does in numbers when its log is a Kafka cluster, each beside a floor measured
//! in the same minutes.
//!
//! `cargo bench --bench offkey-kafka` runs everything, `cargo bench --bench offkey-kafka -- ingress
//! two` only these; `people=50000` and `keys=1000000` make `mass` and `rebuild` larger, `rounds=1`
//! everything shorter. It starts a broker of its own and warms it, prints a table and writes
//! `target/bench-kafka.json`. A floor is a program that does as little as possible with the same client
//! library; floor and figure take turns, and medians count.

mod cluster;
mod delay;
mod ends;
#[path = "../offkey/figures.rs"]
mod figures;
mod flow;
mod ingress;
#[path = "../offkey/load.rs"]
mod load;
mod mass;
mod minimal;
mod minimal_http;
mod rebuild;
mod service;
mod two;
mod warm;
mod world;

use std::io::Write as _;

use anyhow::Context as _;

use cluster::Cluster;
use figures::{Figures, load_average};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What every measurement uses.
struct Bench {
    cluster: Cluster,
    figures: Figures,
    /// How often each figure and its floor take turns.
    rounds: usize,
    /// How many people leave together in `mass`.
    people: usize,
    /// How many keys there are in `rebuild`.
    keys: usize,
}

type Measure = fn(&mut Bench) -> anyhow::Result<()>;

const ALL: [(&str, Measure); 6] = [
    ("ingress", ingress::measure),
    ("delay", delay::measure),
    ("flow", flow::measure),
    ("mass", mass::measure),
    ("rebuild", rebuild::measure),
    ("two", two::measure),
];

fn main() -> anyhow::Result<()> {
    let mut bench = Bench {
        cluster: Cluster::start()?,
        figures: Figures::default(),
        rounds: 3,
        people: 5000,
        keys: 200_000,
    };
    let mut wanted = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            _ if argument.starts_with("--") => {}
            Some(("rounds", count)) => bench.rounds = count.parse().context("rounds=COUNT")?,
            Some(("people", count)) => bench.people = count.parse().context("people=COUNT")?,
            Some(("keys", count)) => bench.keys = count.parse().context("keys=COUNT")?,
            _ => wanted.push(argument),
        }
    }
    for name in &wanted {
        anyhow::ensure!(
            ALL.iter().any(|(known, _)| known == name),
            "{name:?} is nothing that is measured here"
        );
    }
    warm::warm(&bench.cluster)?;
    let mut out = std::io::stdout();
    for (name, measure) in ALL {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            writeln!(out, "{name} (load average {})", load_average())?;
            measure(&mut bench)?;
            // What is known so far stays known when a later one fails.
            bench.figures.write("bench-kafka.json")?;
        }
    }
    writeln!(out, "\n{}", bench.figures.table())?;
    Ok(())
}
