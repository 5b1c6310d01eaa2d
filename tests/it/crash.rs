//! Processes that die, and what was promised before they did.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    harness::{Service, Stage, is_over_kafka, rounds, until},
    oracle::Oracle,
};

const SENDERS: usize = 8;
const PEOPLE: [&str; 4] = ["ada", "bo", "chidi", "tomas"];

/// Sends changes until `stop`: mostly of strangers, some of people with keys.
fn load(stage: &Stage, oracle: &Oracle, (count, stop): (&AtomicUsize, &AtomicBool), seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    while !stop.load(Ordering::Relaxed) {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let (email, change) = match random.random_range(0..10) {
            0 => (PEOPLE[number % PEOPLE.len()].to_owned(), "removed"),
            1 => (PEOPLE[number % PEOPLE.len()].to_owned(), "joined"),
            _ => (format!("stranger-{number}"), "removed"),
        };
        let id = format!("msg_{number}");
        let email = format!("{email}@example.com");
        if !oracle.send(stage, &id, &email, change) {
            // Nobody listens: do not burn the processor that starts the service.
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Runs `play` while eight senders send, then checks every promise.
fn under_load(stage: &Stage, story: &str, play: impl FnOnce(&mut StdRng, &Oracle)) {
    let seed: u64 = std::env::var("OFFKEY_FAULT_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| rand::rng().next_u64());
    eprintln!("{story}: OFFKEY_FAULT_SEED={seed}");
    let oracle = Oracle::default();
    let (count, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for sender in 0..SENDERS as u64 {
            let (oracle, state) = (&oracle, (&count, &stop));
            scope.spawn(move || load(stage, oracle, state, seed.wrapping_add(sender)));
        }
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            play(&mut StdRng::seed_from_u64(seed), &oracle);
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(why) = played {
            std::panic::resume_unwind(why);
        }
    });
    assert!(oracle.acknowledged() > 0, "nothing was ever accepted");
    let _service = stage.start();
    oracle.check(stage, story);
}

#[test]
fn a_service_that_is_killed_again_and_again_keeps_every_promise() {
    let stage = Stage::set();
    stage.start().kill();
    under_load(&stage, "kill -9", |random, oracle| {
        for _ in 0..rounds(20) {
            let service = Service::spawn(&stage, &[]);
            let before = oracle.acknowledged();
            until("a promise", || {
                (oracle.acknowledged() > before).then_some(())
            });
            thread::sleep(Duration::from_millis(random.random_range(0..150)));
            service.kill();
        }
    });
}

#[test]
#[cfg(feature = "failpoints")]
fn a_service_that_dies_beside_a_commit_keeps_every_promise() {
    let log = if is_over_kafka() { "kafka" } else { "log" };
    let points = [
        "pipeline.before-commit".to_owned(),
        "pipeline.after-commit".to_owned(),
        "pipeline.after-settle".to_owned(),
        format!("{log}.before-commit"),
        format!("{log}.after-commit"),
        "sink.before-commit".to_owned(),
        "sink.after-commit".to_owned(),
    ];
    let stage = Stage::set();
    stage.start().kill();
    under_load(&stage, "failpoints", |_, _| {
        for round in 0..rounds(21) {
            let point = format!("{}=20%return", points[round % points.len()]);
            let mut service = Service::spawn(&stage, &[("FAILPOINTS", &point)]);
            assert!(!service.wait().success(), "{point}");
        }
    });
}

#[test]
fn a_service_that_is_asked_to_stop_answers_what_is_under_way_and_loses_nothing() {
    let stage = Stage::set();
    stage.start().kill();
    under_load(&stage, "SIGTERM", |random, oracle| {
        for _ in 0..rounds(5) {
            let service = Service::spawn(&stage, &[]);
            let before = oracle.acknowledged();
            until("a promise", || {
                (oracle.acknowledged() > before).then_some(())
            });
            thread::sleep(Duration::from_millis(random.random_range(0..100)));
            let (status, took) = service.stop();
            assert!(status.success(), "{status}");
            assert!(took < Duration::from_secs(10), "{took:?}");
        }
    });
}
