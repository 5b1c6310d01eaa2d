//! Processes that die, and what was promised before they did.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    harness::{Raise, Service, Stage, one_of_the_crowd, rounds, seed, until},
    oracle::Oracle,
};

const SENDERS: usize = 8;
/// How much is accepted in a round as fast as it goes; then the senders slow down, so that a machine
/// that is slow at judging is not buried.
const BURST: usize = 400;
const PEOPLE: [&str; 4] = ["ada", "bo", "chidi", "tomas"];

/// What the senders share.
#[derive(Default)]
struct Load {
    sent: AtomicUsize,
    accepted_in_round: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    fn begin_round(&self) {
        self.accepted_in_round.store(0, Ordering::Relaxed);
    }
}

/// Sends changes until it is stopped: mostly of strangers, some of people with keys.
fn send(stage: &Stage, oracle: &Oracle, load: &Load, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    while !load.stop.load(Ordering::Relaxed) {
        let number = load.sent.fetch_add(1, Ordering::Relaxed);
        let (email, change) = match random.random_range(0..1000) {
            0 => (
                format!("{}@example.com", PEOPLE[number % PEOPLE.len()]),
                "removed",
            ),
            1 => (
                format!("{}@example.com", PEOPLE[number % PEOPLE.len()]),
                "joined",
            ),
            2..100 => (one_of_the_crowd(number), "removed"),
            100..200 => (one_of_the_crowd(number), "joined"),
            _ => (format!("stranger-{number}@example.com"), "removed"),
        };
        let id = format!("msg_{number}");
        if !oracle.send(stage, &id, &email, change) {
            // Nobody listens: do not burn the processor that starts the service.
            thread::sleep(Duration::from_millis(2));
        } else if load.accepted_in_round.fetch_add(1, Ordering::Relaxed) > BURST {
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Runs `play` while eight senders send, then checks every promise.
fn under_load(stage: &Stage, story: &str, play: impl FnOnce(&mut StdRng, &Oracle, &Load)) {
    let seed = seed(story);
    let oracle = Oracle::default();
    let load = Load::default();
    thread::scope(|scope| {
        let _stop = Raise(&load.stop);
        for sender in 0..SENDERS as u64 {
            let (oracle, load) = (&oracle, &load);
            scope.spawn(move || send(stage, oracle, load, seed.wrapping_add(sender)));
        }
        play(&mut StdRng::seed_from_u64(seed), &oracle, &load);
    });
    assert!(oracle.acknowledged() > 0, "nothing was ever accepted");
    let _service = stage.start();
    oracle.check(stage, story);
}

#[test]
fn a_service_that_is_killed_again_and_again_keeps_every_promise() {
    let stage = Stage::set_with_crowd();
    stage.start().kill();
    under_load(&stage, "kill -9", |random, oracle, load| {
        for _ in 0..rounds(20) {
            load.begin_round();
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
    let log = if crate::harness::is_over_kafka() {
        "kafka"
    } else {
        "log"
    };
    let points = [
        "pipeline.before-commit".to_owned(),
        "pipeline.after-commit".to_owned(),
        "pipeline.after-settle".to_owned(),
        format!("{log}.before-commit"),
        format!("{log}.after-commit"),
        "sink.before-commit".to_owned(),
        "sink.after-commit".to_owned(),
    ];
    let stage = Stage::set_with_crowd();
    stage.start().kill();
    under_load(&stage, "failpoints", |random, _, load| {
        // A member that died is missed by its group after its session: fewer rounds there.
        for round in 0..rounds(if crate::harness::is_over_kafka() {
            points.len()
        } else {
            21
        }) {
            let point = &points[round % points.len()];
            let point = format!("{point}={}*off->return", random.random_range(0..6));
            load.begin_round();
            let mut service = Service::spawn(&stage, &[("FAILPOINTS", &point)]);
            assert!(!service.wait().success(), "{point}");
        }
    });
}

/// Waits until the change that was sent last is reported.
#[cfg(feature = "failpoints")]
fn send_and_wait(stage: &Stage, oracle: &Oracle, id: &str) {
    assert!(oracle.send(stage, id, "ada@example.com", "removed"));
    stage.report(offkey::domain::ChangeId::derive("hr", id));
}

#[test]
#[cfg(feature = "failpoints")]
fn the_oracle_sees_a_promise_that_was_not_kept() {
    let stage = Stage::set();
    stage.start().kill();
    let oracle = Oracle::default();
    let broken = [(
        "FAILPOINTS",
        "ingress.promise-without-append=1*off->1*return->off",
    )];
    let _service = Service::spawn(&stage, &broken);
    stage.wait_until_ready();
    send_and_wait(&stage, &oracle, "kept");
    assert!(oracle.send(&stage, "broken", "bo@example.com", "removed"));
    send_and_wait(&stage, &oracle, "kept as well");
    let faults = oracle.faults(&stage, "a broken promise");
    let lost = offkey::domain::ChangeId::derive("hr", "broken").to_string();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults[0].starts_with(&format!("lost: {lost}")),
        "{faults:?}"
    );
    assert!(
        faults[1].starts_with(&format!("without an outcome: {lost}")),
        "{faults:?}"
    );
}

#[test]
#[cfg(feature = "failpoints")]
fn the_oracle_sees_what_is_said_twice() {
    let stage = Stage::set();
    stage.start().kill();
    let oracle = Oracle::default();
    let forgetful = [("FAILPOINTS", "pipeline.forget-what-was-said=return")];
    let look = || stage.read(|reader| reader.snapshot("deepgram").unwrap())?;
    let before = look();
    let _service = Service::spawn(&stage, &forgetful);
    stage.wait_until_ready();
    // A change that is sent before its first look at the provider is judged again because of it.
    until("its own look", || (look() != before).then_some(()));
    stage.wait_until_read();
    send_and_wait(&stage, &oracle, "first");
    assert!(oracle.faults(&stage, "said once").is_empty());
    // A person's next change has the one before judged again; nothing of it is news.
    send_and_wait(&stage, &oracle, "second");
    let faults = until("the first to be said again", || {
        let faults = oracle.faults(&stage, "said twice");
        (!faults.is_empty()).then_some(faults)
    });
    assert!(
        faults
            .iter()
            .all(|fault| fault.ends_with("has the revisions [1, 1]")),
        "{faults:?}"
    );
}

#[test]
fn a_service_that_is_asked_to_stop_answers_what_is_under_way_and_loses_nothing() {
    let stage = Stage::set_with_crowd();
    stage.start().kill();
    under_load(&stage, "SIGTERM", |random, oracle, load| {
        for _ in 0..rounds(5) {
            load.begin_round();
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
