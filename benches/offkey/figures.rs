//! What was measured: the table and the file.

use std::{fs, path::Path, time::Duration};

use serde::Serialize;

/// One number beside what the machine gives at most.
#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    floor: f64,
    ratio: f64,
}

/// All numbers of one run.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    /// Notes `value` beside `floor`, both in `unit`.
    pub(crate) fn add(&mut self, name: &str, unit: &'static str, value: f64, floor: f64) {
        self.0.push(Figure {
            name: name.to_owned(),
            value,
            unit,
            floor,
            ratio: value / floor,
        });
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.set_header(["figure", "value", "unit", "floor", "ratio"]);
        for figure in &self.0 {
            table.add_row([
                figure.name.clone(),
                format!("{:.2}", figure.value),
                figure.unit.to_owned(),
                format!("{:.2}", figure.floor),
                format!("{:.2}", figure.ratio),
            ]);
        }
        table.to_string()
    }

    /// Writes the file `name` in `target`.
    pub(crate) fn write(&self, name: &str) -> anyhow::Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        fs::create_dir_all(&folder)?;
        Ok(fs::write(
            folder.join(name),
            serde_json::to_vec_pretty(&self.0)?,
        )?)
    }
}

/// The machine's load over the last minute, where it tells.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// `d` in milliseconds.
pub(crate) fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}

/// How many a second.
pub(crate) fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

/// The value below which `share` percent lie.
pub(crate) fn percentile(times: &mut [Duration], share: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * share / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default()
}

/// The one in the middle.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
