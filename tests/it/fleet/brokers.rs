//! Brokers and connections that fail.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rand::RngExt as _;

use super::{
    Fleet, LONGER_THAN_A_SESSION, under_load, until_every_partition_moves, until_more_are_taken,
};
use crate::{
    broker::Cluster,
    harness::{Stage, is_over_kafka, rounds, until},
    oracle::Oracle,
    proxy::{Fault, Proxy},
};

/// How many send at once where more is sent than can be taken.
const FLOOD: usize = 64;

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
        for round in 0..rounds(1).min(20) {
            until_more_are_taken(oracle, 10);
            cluster.run("pause", &["1"]);
            let stage = &fleet.stages[0];
            let id = format!("while-away-{round}");
            until("503", || {
                let status = oracle.send_for_status(stage, &id, "x@example.com", "removed");
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
        }
        until_every_partition_moves(&fleet.stages[0], oracle, "away");
    });
    assert!(fleet.is_running(0) && fleet.is_running(1));
    // What the client library repeats dozens of times a second does not bury it.
    let messages = fleet.services[0].as_ref().unwrap().messages();
    assert!(messages.contains("the log does not take records"));
    assert!(!messages.contains("Global error: AllBrokersDown"));
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
                let lost = proxy.lost();
                proxy.set(fault);
                if fault == Fault::LoseEndOfTransaction {
                    until("an end to be lost", || (proxy.lost() > lost).then_some(()));
                }
                thread::sleep(Duration::from_millis(random.random_range(500..3000)));
                proxy.set(Fault::None);
                until_more_are_taken(oracle, 10);
            }
        }
        until_every_partition_moves(&fleet.stages[0], oracle, "connections");
    });
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
