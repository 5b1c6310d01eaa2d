//! What the service does in numbers, each beside a floor measured in the same minute.
//!
//! `cargo bench --bench offkey` runs everything, `cargo bench --bench offkey -- ingress memory`
//! only these. It prints a table and writes `target/bench.json`. A floor is what the machine gives
//! to a program that does as little as possible; floor and figure take turns, and medians count.

mod delay;
mod disk;
mod fanout;
mod figures;
mod ingress;
mod load;
mod memory;
mod preview;
mod processor;
mod pure;
mod replay;
mod stand;
mod world;

use std::io::Write as _;

use figures::{Figures, load_average};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Measure = fn(&mut Figures) -> anyhow::Result<()>;

const ALL: [(&str, Measure); 7] = [
    ("pure", pure::measure),
    ("ingress", ingress::measure),
    ("delay", delay::measure),
    ("fanout", fanout::measure),
    ("memory", memory::measure),
    ("preview", preview::measure),
    ("replay", replay::measure),
];

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let mut figures = Figures::default();
    let mut out = std::io::stdout();
    for (name, measure) in ALL {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            writeln!(out, "{name} (load average {})", load_average())?;
            measure(&mut figures)?;
        }
    }
    writeln!(out, "\n{}", figures.table())?;
    figures.write("bench.json")
}
