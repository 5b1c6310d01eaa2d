//! Many instances over one Kafka, and everything that can happen to them and to it.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use offkey::domain::{ChangeId, Topic};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    broker::Cluster,
    harness::{Service, Stage, is_over_kafka, one_of_the_crowd, rounds, seed, until},
    oracle::Oracle,
    proxy::{Fault, Proxy},
};

/// How many send at once.
const SENDERS: usize = 4;
/// How many send at once where more is sent than can be taken.
const FLOOD: usize = 64;
/// Longer than an instance's session lasts.
const LONGER_THAN_A_SESSION: Duration = Duration::from_secs(8);

/// Instances that share one log.
struct Fleet {
    /// First, so that they end before their folders do.
    services: Vec<Option<Service>>,
    stages: Arc<Vec<Stage>>,
}

impl Fleet {
    fn set(first: Stage, count: usize, environment: &[(&str, &str)]) -> Self {
        let mut stages: Vec<_> = (1..count).map(|_| first.twin()).collect();
        stages.insert(0, first);
        let spawn = |stage| Some(Service::spawn(stage, environment));
        let services = stages.iter().map(spawn).collect();
        stages.iter().for_each(Stage::wait_until_ready);
        Self {
            stages: Arc::new(stages),
            services,
        }
    }

    fn kill(&mut self, number: usize) {
        if let Some(service) = self.services[number].take() {
            service.kill();
        }
    }

    /// Starts an instance again, and waits until it can be sent to.
    fn start(&mut self, number: usize) {
        self.services[number] = Some(Service::spawn(&self.stages[number], &[]));
        until("an instance to be ready again", || {
            self.stages[number].is_ready().then_some(())
        });
    }

    fn freeze(&self, number: usize, time: Duration) {
        if let Some(service) = &self.services[number] {
            service.signal("STOP");
            thread::sleep(time);
            service.signal("CONT");
        }
    }

    fn is_running(&mut self, number: usize) -> bool {
        let service = self.services[number].as_mut();
        service.is_some_and(|service| service.has_ended().is_none())
    }
}

/// Sends until `stop`, each change to one of the instances, in turn until one takes it.
fn load(stages: &[Stage], oracle: &Oracle, (count, stop): (&AtomicUsize, &AtomicBool), seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    while !stop.load(Ordering::Relaxed) {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let (email, change) = match random.random_range(0..10) {
            0..3 => (one_of_the_crowd(number), "removed"),
            3..6 => (one_of_the_crowd(number), "joined"),
            _ => (format!("stranger-{number}@example.com"), "removed"),
        };
        let id = format!("msg_{number}");
        let first = random.random_range(0..stages.len());
        let mut turns = (0..stages.len()).map(|turn| &stages[(first + turn) % stages.len()]);
        turns.any(|stage| oracle.send(stage, &id, &email, change));
        // Enough for a story, and little enough to read it back again and again.
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs `play` under load, which may not restart what is to recover by itself; then checks every
/// promise.
fn under_load(fleet: &mut Fleet, story: &str, play: impl FnOnce(&mut Fleet, &mut StdRng, &Oracle)) {
    let oracle = Oracle::default();
    play_under_load(fleet, story, &oracle, play);
    oracle.check_log(&fleet.stages[0], story);
}

fn play_under_load(
    fleet: &mut Fleet,
    story: &str,
    oracle: &Oracle,
    play: impl FnOnce(&mut Fleet, &mut StdRng, &Oracle),
) {
    let seed = seed(story);
    let (count, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let stages = Arc::clone(&fleet.stages);
    thread::scope(|scope| {
        for sender in 0..SENDERS as u64 {
            let (stages, state) = (&stages, (&count, &stop));
            scope.spawn(move || load(stages, oracle, state, seed.wrapping_add(sender)));
        }
        let played = catch_unwind(AssertUnwindSafe(|| {
            play(fleet, &mut StdRng::seed_from_u64(seed), oracle);
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(why) = played {
            resume_unwind(why);
        }
    });
    assert!(oracle.acknowledged() > 0, "nothing was ever accepted");
}

/// Waits until `count` more changes were taken than now.
fn until_more_are_taken(oracle: &Oracle, count: usize) {
    let before = oracle.acknowledged();
    until("changes to be taken", || {
        (oracle.acknowledged() >= before + count).then_some(())
    });
}

/// Waits until every partition moves: a change in each gets its outcome.
fn until_every_partition_moves(stage: &Stage, oracle: &Oracle, story: &str) {
    let mut waiting = BTreeSet::new();
    for number in 0..12 {
        let id = format!("probe_{story}_{number}");
        until("a probe to be taken", || {
            oracle
                .send(stage, &id, &format!("{id}@example.com"), "removed")
                .then_some(())
        });
        waiting.insert(ChangeId::derive("hr", &id));
    }
    until("every partition to move", || {
        for record in stage.records(&[Topic::Outcomes]) {
            waiting.remove(&record.correlation.unwrap());
        }
        waiting.is_empty().then_some(())
    });
}

#[test]
fn three_instances_that_are_killed_and_frozen_at_random_keep_every_promise() {
    if !is_over_kafka() {
        return;
    }
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 3, &[]);
    under_load(&mut fleet, "three instances", |fleet, random, oracle| {
        for round in 0..rounds(6) {
            let number = random.random_range(0..3);
            match random.random_range(0..4) {
                0 => fleet.freeze(number, LONGER_THAN_A_SESSION),
                1 => fleet.freeze(number, Duration::from_millis(random.random_range(50..2000))),
                2 => {
                    let service = fleet.services[number].take().unwrap();
                    let (status, took) = service.stop();
                    assert!(status.success(), "{status}");
                    eprintln!("round {round}: stopped in {took:?}");
                    fleet.start(number);
                }
                _ => {
                    fleet.kill(number);
                    until_more_are_taken(oracle, 5);
                    fleet.start(number);
                }
            }
            until_more_are_taken(oracle, 5);
        }
        until_every_partition_moves(&fleet.stages[0], oracle, "instances");
    });
    // A frozen one that came back was fenced, and goes on by itself.
    for number in 0..3 {
        assert!(fleet.is_running(number), "instance {number} ended");
    }
}

#[test]
fn a_commit_whose_answer_is_lost_is_neither_lost_nor_done_twice() {
    if !is_over_kafka() {
        return;
    }
    let lossy = [("FAILPOINTS", "kafka.lose-answer=5%return")];
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 2, &lossy);
    under_load(&mut fleet, "lost answers", |_, _, oracle| {
        until_more_are_taken(oracle, 40 * rounds(3).min(10));
    });
}

#[test]
fn the_oracle_sees_what_is_said_twice_when_transactions_prove_nothing() {
    if !is_over_kafka() {
        return;
    }
    let careless = [(
        "FAILPOINTS",
        "kafka.lose-answer=30%return;kafka.no-doubt=return",
    )];
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 1, &careless);
    let oracle = Oracle::default();
    play_under_load(&mut fleet, "no doubt", &oracle, |_, _, oracle| {
        until_more_are_taken(oracle, 60);
    });
    until("the oracle to go red", || {
        let faults = oracle.faults(&fleet.stages[0], "no doubt");
        faults
            .iter()
            .any(|fault| fault.contains("has the revisions"))
            .then_some(())
    });
}

#[test]
fn a_group_whose_client_stands_still_is_left_and_joined_again() {
    if !is_over_kafka() {
        return;
    }
    let impatient = "[log.kafka.librdkafka]\n\"max.poll.interval.ms\" = \"7000\"";
    let stage = Stage::set_at(&Cluster::shared().brokers, impatient);
    let stuck = [("FAILPOINTS", "kafka.group-poll=200*off->1*sleep(12000)")];
    let mut fleet = Fleet::set(stage, 2, &stuck);
    under_load(
        &mut fleet,
        "a client that stands still",
        |fleet, _, oracle| {
            thread::sleep(LONGER_THAN_A_SESSION);
            until_every_partition_moves(&fleet.stages[0], oracle, "still");
        },
    );
    assert!(fleet.is_running(0) && fleet.is_running(1));
}

#[test]
fn a_broker_of_three_that_dies_or_freezes_costs_nothing() {
    if !is_over_kafka() {
        return;
    }
    let cluster = Cluster::start(&["--nodes", "3"]);
    let stage = Stage::set_at(&cluster.brokers, "replication = 3");
    let mut fleet = Fleet::set(stage, 2, &[]);
    under_load(&mut fleet, "three brokers", |fleet, random, oracle| {
        for _ in 0..rounds(1).min(30) {
            let node = random.random_range(1..=3).to_string();
            cluster.run("kill", &[&node]);
            until_more_are_taken(oracle, 10);
            cluster.run("restart", &[&node]);
            until_more_are_taken(oracle, 10);
            let node = random.random_range(1..=3).to_string();
            cluster.run("pause", &[&node]);
            thread::sleep(LONGER_THAN_A_SESSION);
            cluster.run("resume", &[&node]);
            until_more_are_taken(oracle, 10);
        }
        until_every_partition_moves(&fleet.stages[0], oracle, "brokers");
    });
    assert!(fleet.is_running(0) && fleet.is_running(1));
}

#[test]
fn while_no_broker_answers_senders_are_told_to_come_again_and_then_all_is_well() {
    if !is_over_kafka() {
        return;
    }
    let cluster = Cluster::start(&[]);
    let mut fleet = Fleet::set(Stage::set_at(&cluster.brokers, ""), 2, &[]);
    under_load(&mut fleet, "no broker", |fleet, _, oracle| {
        until_more_are_taken(oracle, 10);
        cluster.run("pause", &["1"]);
        let stage = &fleet.stages[0];
        until("503", || {
            let status = oracle.send_for_status(stage, "while-away", "x@example.com", "removed");
            assert_ne!(status, Some(202), "a promise without a broker");
            (status == Some(503)).then_some(())
        });
        assert!(!stage.is_ready());
        // Stopping does not wait for a broker that is away.
        let (_, took) = fleet.services[1].take().unwrap().stop();
        assert!(took < Duration::from_secs(10), "{took:?}");
        cluster.run("resume", &["1"]);
        fleet.start(1);
        until_more_are_taken(oracle, 10);
        cluster.run("kill", &["1"]);
        until("readiness to go", || {
            (!fleet.stages[0].is_ready()).then_some(())
        });
        cluster.run("restart", &["1"]);
        until_more_are_taken(oracle, 10);
        until_every_partition_moves(&fleet.stages[0], oracle, "away");
    });
    assert!(fleet.is_running(0) && fleet.is_running(1));
}

#[test]
fn connections_that_break_crawl_and_lose_answers_cost_nothing() {
    if !is_over_kafka() {
        return;
    }
    let proxy = Proxy::bind();
    let port = proxy.address().port().to_string();
    let cluster = Cluster::start(&["--proxied", &port]);
    let behind = cluster.note("proxied.backend");
    proxy.forward_to(behind.parse().unwrap());
    let mut fleet = Fleet::set(
        Stage::set_at(&cluster.note("proxied.bootstrap"), ""),
        2,
        &[],
    );
    under_load(&mut fleet, "connections", |fleet, random, oracle| {
        for _ in 0..rounds(1).min(20) {
            for fault in [
                Fault::Reset,
                Fault::LoseEndOfTransaction,
                Fault::Crawl,
                Fault::BlackHole,
            ] {
                proxy.set(fault);
                thread::sleep(Duration::from_millis(random.random_range(500..3000)));
                proxy.set(Fault::None);
                until_more_are_taken(oracle, 10);
            }
        }
        until_every_partition_moves(&fleet.stages[0], oracle, "connections");
    });
    assert!(proxy.lost() > 0, "no end of a transaction was ever lost");
    assert!(fleet.is_running(0) && fleet.is_running(1));
}

#[test]
fn more_than_can_be_taken_is_refused_and_what_was_promised_is_kept() {
    if !is_over_kafka() {
        return;
    }
    let proxy = Proxy::bind();
    let port = proxy.address().port().to_string();
    let cluster = Cluster::start(&["--proxied", &port]);
    proxy.forward_to(cluster.note("proxied.backend").parse().unwrap());
    let stage = Stage::set_at(&cluster.note("proxied.bootstrap"), "");
    let service = stage.start();
    let oracle = Oracle::default();
    // To a broker that is reached byte by byte far less gets through than so many send.
    proxy.set(Fault::Crawl);
    let refused = AtomicUsize::new(0);
    let flood = FLOOD * 12 * rounds(1).min(20);
    thread::scope(|scope| {
        for sender in 0..FLOOD {
            let (stage, oracle, refused) = (&stage, &oracle, &refused);
            scope.spawn(move || {
                for number in (sender..flood).step_by(FLOOD) {
                    let id = format!("flood_{number}");
                    let email = format!("{id}@example.com");
                    until("a change to be taken in the end", || {
                        match oracle.send_for_status(stage, &id, &email, "removed") {
                            Some(202) => return Some(()),
                            Some(503) => refused.fetch_add(1, Ordering::Relaxed),
                            other => unreachable!("answered {other:?}"),
                        };
                        None
                    });
                }
            });
        }
        until("some to be refused", || {
            (refused.load(Ordering::Relaxed) >= FLOOD).then_some(())
        });
        proxy.set(Fault::None);
    });
    let refused = refused.into_inner();
    eprintln!("overload: {flood} taken, refused {refused} times");
    // What waits for the broker is bounded (the client's queue holds 64 MiB).
    let peak = service.memory("VmHWM");
    assert!(peak < 512 << 20, "{peak} bytes");
    oracle.check_log(&stage, "overload");
}

#[test]
fn an_instance_that_lost_its_folder_comes_back_with_the_same_read_model() {
    if !is_over_kafka() {
        return;
    }
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 2, &[]);
    under_load(&mut fleet, "a lost folder", |fleet, _, oracle| {
        until_more_are_taken(oracle, 40);
        for number in [1, 0] {
            fleet.kill(number);
            std::fs::remove_dir_all(fleet.stages[number].data()).unwrap();
            fleet.start(number);
            until_more_are_taken(oracle, 10);
        }
    });
    let dump = |stage: &Stage| stage.read(|reader| reader.dump().unwrap());
    until("both read models to be equal", || {
        (dump(&fleet.stages[0]) == dump(&fleet.stages[1])).then_some(())
    });
}
