//! Instances that die, freeze, stand still, and do not hear how their commits went.

use std::{collections::BTreeSet, thread, time::Duration};

use offkey::domain::{Topic, delivery::DeliveryRecord};
use rand::RngExt as _;

use super::{
    Fleet, LONGER_THAN_A_SESSION, play_under_load, under_load, until_every_partition_moves,
    until_more_are_taken,
};
use crate::{
    broker::Cluster,
    harness::{Service, Stage, is_over_kafka, rounds, until},
    oracle::Oracle,
};

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
fn a_commit_whose_end_the_brokers_lose_is_said_again() {
    if !is_over_kafka() {
        return;
    }
    // The commit after it is refused, and whatever follows ends both.
    let forgetful = [(
        "FAILPOINTS",
        "kafka.lose-end.correlation=5*off->1*return->20*off->1*return->10*off->1*return",
    )];
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 2, &forgetful);
    under_load(&mut fleet, "lost ends", |fleet, _, oracle| {
        until("what was lost to be missed", || {
            let mut services = fleet.services.iter().flatten();
            services.any(misses_what_it_said).then_some(())
        });
        until_more_are_taken(oracle, 40 * rounds(3).min(10));
        until_every_partition_moves(&fleet.stages[0], oracle, "lost_ends");
    });
}

#[test]
fn what_the_brokers_lose_of_a_sink_is_said_again() {
    if !is_over_kafka() {
        return;
    }
    let forgetful = [("FAILPOINTS", "kafka.lose-end.sink.archive=1*off->1*return")];
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 1, &forgetful);
    under_load(&mut fleet, "lost deliveries", |fleet, _, _| {
        until("what was lost to be said again", || {
            fleet.stages[0].metric("offkey_kafka_resaid_records_total")
        });
    });
    let stage = &fleet.stages[0];
    until("a record of every delivery", || {
        let impacts = stage.records(&[Topic::Impacts]).into_iter();
        let mut missing: BTreeSet<_> = impacts.map(|impact| impact.id).collect();
        for record in stage.records(&[Topic::Deliveries]) {
            let delivery: DeliveryRecord = record.read().unwrap();
            if delivery.sink == "archive" {
                missing.remove(&delivery.event_id);
            }
        }
        missing.is_empty().then_some(())
    });
}

#[test]
fn commits_whose_ends_are_lost_while_partitions_move_are_said_once() {
    if !is_over_kafka() {
        return;
    }
    let forgetful = [("FAILPOINTS", "kafka.lose-end.correlation=30%return")];
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 2, &forgetful);
    under_load(&mut fleet, "lost ends and moves", |fleet, _, oracle| {
        for _ in 0..rounds(2).min(60) {
            until_more_are_taken(oracle, 10);
            let (status, _) = fleet.services[1].take().unwrap().stop();
            assert!(status.success(), "{status}");
            until_more_are_taken(oracle, 10);
            fleet.services[1] = Some(Service::spawn(&fleet.stages[1], &forgetful));
            fleet.stages[1].wait_until_ready();
        }
        until_every_partition_moves(&fleet.stages[0], oracle, "moves");
    });
    assert!(fleet.is_running(0) && fleet.is_running(1));
}

#[test]
fn a_producer_that_never_comes_back_is_left_and_made_anew() {
    if !is_over_kafka() {
        return;
    }
    // As the library does when a group's coordinator moves at the wrong moment.
    let stuck = [(
        "FAILPOINTS",
        "kafka.offsets-stand-still=30*off->1*pause->40*off->1*pause",
    )];
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 2, &stuck);
    under_load(&mut fleet, "a stuck producer", |fleet, _, oracle| {
        until("a producer to be made anew", || {
            let mut stages = fleet.stages.iter();
            let rebuilds = r#"offkey_kafka_rebuilds_total{what="producer"}"#;
            stages.find_map(|stage| stage.metric(rebuilds))
        });
        until_more_are_taken(oracle, 40);
        until_every_partition_moves(&fleet.stages[0], oracle, "stuck");
    });
    assert!(fleet.is_running(0) && fleet.is_running(1));
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
    play_under_load(&mut fleet, "no doubt", &oracle, |fleet, _, oracle| {
        // How many commits it takes until one loses its answer, chance decides.
        until("the oracle to go red", || {
            let faults = oracle.faults(&fleet.stages[0], "no doubt");
            let mut faults = faults.iter();
            faults
                .any(|fault| fault.contains("has the revisions"))
                .then_some(())
        });
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
fn what_a_dead_instance_left_open_holds_up_nobody_for_long() {
    if !is_over_kafka() {
        return;
    }
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 2, &[]);
    under_load(&mut fleet, "left open", |fleet, _, oracle| {
        until_more_are_taken(oracle, 10);
        fleet.kill(1);
        // It dies with its outputs in an open transaction, and nobody starts it again.
        let deadly = [("FAILPOINTS", "kafka.before-commit=return")];
        let mut doomed = Service::spawn(&fleet.stages[1], &deadly);
        assert!(!doomed.wait().success());
        until_every_partition_moves(&fleet.stages[0], oracle, "open");
    });
    assert!(fleet.is_running(0));
}

#[test]
fn what_the_brokers_lose_of_an_instance_that_dies_is_said_by_its_next_start() {
    if !is_over_kafka() {
        return;
    }
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 1, &[]);
    under_load(&mut fleet, "lost with its instance", |fleet, _, oracle| {
        until_more_are_taken(oracle, 10);
        fleet.kill(0);
        // Its commits never end, and it dies when it has taken the first in.
        let deadly = [(
            "FAILPOINTS",
            "kafka.lose-end.correlation=return;pipeline.after-settle=return",
        )];
        let mut doomed = Service::spawn(&fleet.stages[0], &deadly);
        assert!(!doomed.wait().success());
        fleet.start(0);
        until_more_are_taken(oracle, 10);
    });
    assert!(misses_what_it_said(fleet.services[0].as_ref().unwrap()));
}

fn misses_what_it_said(service: &Service) -> bool {
    let messages = service.messages();
    messages.contains("does not hold what this instance said last")
}
