//! Scenarios: what is given, what changes, and the report that must come of it.
//!
//! Each `*.toml` beside this file holds the scenarios of one theme; `README.md` explains the form.
//! All of them run three times: through the public pure function, and through a running service
//! over the embedded log and over Kafka.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a scenario that cannot be read should stop the test"
)]

#[path = "../broker/mod.rs"]
mod broker;
mod form;
mod live;
mod pure;
mod said;
mod told;
mod world;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use offkey::{catalogue::Catalogue, domain::Report};

use self::{
    form::{Scenario, Theme},
    world::World,
};

/// There are so many at least: a theme that gets lost is noticed.
const AT_LEAST: usize = 170;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    files
}

/// Every scenario with its file's name and its text.
fn scenarios() -> Vec<(String, String, Theme, Scenario)> {
    let mut all = Vec::new();
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let theme: Theme = toml::from_str(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        let table: toml::Table = text.parse().unwrap();
        let texts = table["scenario"].as_array().unwrap();
        for (scenario, text) in theme.scenario.iter().zip(texts) {
            let told = toml::to_string(text).unwrap();
            all.push((name.clone(), told, theme.clone(), scenario.clone()));
        }
    }
    all
}

/// Fails with everything about the scenarios whose report, as `tell` has it, is another one.
fn all_come_out(tell: impl Fn(&[World<'_>]) -> Vec<Report>) {
    let all = scenarios();
    let worlds = all.iter().enumerate().map(|(number, one)| {
        let (_, _, theme, scenario) = one;
        World::new(theme, scenario, format!("s{number:03}-"))
    });
    let worlds: Vec<World<'_>> = worlds.collect();
    let reports = tell(&worlds);
    assert_eq!(reports.len(), all.len());
    let mut failed = Vec::new();
    for ((file, text, _, scenario), report) in all.iter().zip(&reports) {
        let (expected, got) = (
            said::expected(&scenario.report),
            said::got(&scenario.report, report),
        );
        if expected != got {
            failed.push(format!(
                "{file}: {}\n{}\n--- given\n{text}\n--- expected\n{}\n--- got\n{}\n",
                scenario.title,
                scenario.why,
                expected.join("\n"),
                got.join("\n"),
            ));
        }
    }
    let count = (failed.len(), all.len());
    let failed = failed.join("\n");
    assert!(
        failed.is_empty(),
        "{} of {} failed\n\n{failed}",
        count.0,
        count.1
    );
}

#[test]
fn every_scenario_comes_out_of_the_pure_function_as_it_is_written() {
    let catalogue = Catalogue::built_in().unwrap();
    let report = |world: &World<'_>| pure::report(&world.plain(), &catalogue);
    all_come_out(|worlds| worlds.iter().map(report).collect());
}

#[test]
fn every_scenario_comes_out_of_a_service_as_it_is_written() {
    all_come_out(|worlds| live::reports(worlds, String::new));
}

/// The settings of a log on a real Kafka, which nobody else uses.
#[cfg(feature = "kafka")]
fn kafka() -> String {
    broker::log_at(&broker::Cluster::shared().brokers, "")
}

#[cfg(feature = "kafka")]
#[test]
fn every_scenario_comes_out_of_a_service_over_kafka_as_it_is_written() {
    all_come_out(|worlds| live::reports(worlds, kafka));
}

#[test]
fn there_are_enough_and_each_has_a_name_of_its_own() {
    let all = scenarios();
    let titles: BTreeSet<_> = all.iter().map(|(.., one)| one.title.as_str()).collect();
    assert_eq!(titles.len(), all.len());
    assert!(all.len() >= AT_LEAST, "{} scenarios", all.len());
}

#[test]
fn what_no_scenario_knows_is_refused() {
    let text = fs::read_to_string(&files()[0]).unwrap();
    for (right, wrong) in [
        ("title", "titel"),
        ("severity", "severety"),
        ("what", "wat"),
    ] {
        let text = text.replacen(&format!("{right} ="), &format!("{wrong} ="), 1);
        let said = toml::from_str::<Theme>(&text).err();
        assert!(said.is_some_and(|why| why.to_string().contains(wrong)));
    }
}
