//! Many instances over one Kafka, and everything that can happen to them and to it.
//!
//! Which fault is played where; "both" runs over either engine, the rest over Kafka:
//!
//! | fault | test |
//! |---|---|
//! | kill -9 at random (ingress, consumer, everything) | `crash` (both): `a_service_that_is_killed_…`, `…_that_dies_beside_a_commit_…`; `instances`: `three_instances_…` |
//! | SIGTERM under load | `crash` (both): `…_that_is_asked_to_stop_…`; with no broker: `brokers`: `while_no_broker_answers_…` |
//! | a broker that dies, freezes, comes back | `brokers`: `while_no_broker_answers_…`, `a_broker_of_three_…` |
//! | connections reset, crawling, black-holed; only the answer to `EndTxn` lost | `brokers`: `connections_that_break_…`; `instances`: `a_commit_whose_answer_is_lost_…` |
//! | brokers that forget the end of a transaction | `brokers`: `while_no_broker_answers_…`; `instances`: `a_commit_whose_end_the_brokers_lose_…`, `commits_whose_ends_are_lost_…`, `what_the_brokers_lose_of_…` |
//! | instances that join, leave and die all the time | `instances`: `three_instances_…` |
//! | a zombie comes back | `instances`: `three_instances_…`; `tests/log`: `what_was_decided_under_a_share_that_moved_…` |
//! | an instance that dies or freezes while something falls due | `due`: `what_falls_due_…` |
//! | a client that stands still | its producer: `instances`: `a_producer_that_never_comes_back_…`; its group: `a_group_whose_client_stands_still_…`; its reader: `readers`: `a_reader_to_whom_nothing_comes_…` |
//! | a transaction that a dead instance left open | `instances`: `what_a_dead_instance_left_open_…`; ended by its next start: `crash` (`kafka.before-commit`) |
//! | a read model built anew, killed on the way, over tombstones and aborted records | `readers`: `an_instance_that_is_killed_while_it_reads_…`, `…_that_lost_its_folder_…` |
//! | keys that come and go while their owner leaves | `races` (both) |
//! | webhooks that get lost at their sender | `reconciled` (both) |
//! | repeats, at once, after a restart, three days later; another body under the same id; out of order | `repeats` (both), `time::a_change_that_is_sent_again_…` |
//! | records and requests that nobody can use | `poison` (both), `upgrade` (both), `malformed` |
//! | more than can be taken | `brokers`: `more_than_can_be_taken_…` |
//! | slow, refusing and ambiguous receivers | `sinks` (both) |
//! | another version's folder and records | `upgrade` (both) |
//! | wrong passwords, unknown authorities, rights taken away, topics absent, wrongly set, deleted, widened, made anew | `tests/log`: `security`, `topics` |
//! | the oracle's teeth | `instances`: `the_oracle_sees_what_is_said_twice_…`; `crash`: `the_oracle_sees_…` |
//!
//! `make faults` plays them for as many rounds as `OFFKEY_FAULT_ROUNDS` says, with a million keys where a
//! read model is built anew; each says its seed.

mod brokers;
mod due;
mod instances;
#[cfg(feature = "kafka")]
mod readers;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use offkey::domain::{ChangeId, Topic};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    harness::{PATIENCE, Service, Stage, is_long, one_of_the_crowd, seed, until, until_within},
    oracle::Oracle,
};

/// How many send at once.
const SENDERS: usize = 4;
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
        Self::set_with(first, count, (environment, ""))
    }

    /// `more` adds to the configuration of each.
    fn set_with(first: Stage, count: usize, (environment, more): (&[(&str, &str)], &str)) -> Self {
        let mut stages: Vec<_> = (1..count).map(|_| first.twin()).collect();
        stages.insert(0, first);
        for stage in &stages {
            let said = std::fs::read_to_string(stage.config()).unwrap();
            std::fs::write(stage.config(), said + more).unwrap();
        }
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

    /// Ends an instance for good, with what it keeps.
    fn lose_folder(&mut self, number: usize) {
        self.kill(number);
        std::fs::remove_dir_all(self.stages[number].data()).unwrap();
    }

    /// Starts an instance again, as a supervisor does, which starts it again where it found no broker;
    /// and waits until it can be sent to.
    fn start(&mut self, number: usize) {
        until("an instance to be ready again", || {
            if !self.is_running(number) {
                self.services[number] = Some(Service::spawn(&self.stages[number], &[]));
            }
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
        // Enough for a story, and little enough to read it back again and again, and for instances
        // that share two processors with their brokers and an unoptimised build to keep up.
        thread::sleep(Duration::from_millis(25));
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

/// Waits until every partition moves: a change in each gets its outcome, behind what a long run has
/// left to do.
fn until_every_partition_moves(stage: &Stage, oracle: &Oracle, story: &str) {
    let log = stage.attach();
    let end = until("the end of the log", || log.end().ok()).within(&[Topic::Membership]);
    let all: BTreeSet<_> = end.parts().map(|(partition, _)| partition).collect();
    let began = Instant::now();
    let (mut probes, mut reached) = (BTreeSet::new(), BTreeSet::new());
    until("a probe to be in every partition", || {
        for _ in 0..12 {
            let id = format!("probe_{story}_{}", probes.len());
            let email = format!("{id}@example.com");
            until("a probe to be taken", || {
                oracle.send(stage, &id, &email, "removed").then_some(())
            });
            probes.insert(ChangeId::derive("hr", &id));
        }
        for entry in stage.entries(&[Topic::Membership]) {
            if probes.contains(&entry.record.correlation.unwrap()) {
                reached.insert(entry.partition);
            }
        }
        (reached == all).then_some(())
    });
    let patience = if is_long() { 5 * PATIENCE } else { PATIENCE };
    until_within(patience, "every partition to move", || {
        for record in stage.records(&[Topic::Outcomes]) {
            probes.remove(&record.correlation.unwrap());
        }
        probes.is_empty().then_some(())
    });
    let took = began.elapsed().as_secs_f64();
    eprintln!("{story}: every partition moved {took:.1} s after the last fault");
}
