//! Calls of the system that fail once: strace makes them.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    harness::{GLANCE, PATIENCE, Raise, Service, Stage, one_of_the_crowd, require, rounds, seed},
    oracle::Oracle,
};

/// How many send at once, so that one commit serves several.
const SENDERS: usize = 4;
/// How much is still accepted after a failure that concerns nobody who waits, before a round ends.
const MORE: usize = 40;

/// What brings a file to disk, and what writes it; SQLite is built for one of each.
const SYNC: &str = "fsync,fdatasync";
const WRITE: &str = "write,pwrite64";

/// A call that fails, with what, and on which file of the folder.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: &'static str,
    error: &'static str,
    file: &'static str,
    /// How often the call is made in a round at least: the one that fails is among the first so
    /// many.
    within: usize,
    /// Whether the failed commit is the end of the process.
    is_final: bool,
}

const fn fault(call: &'static str, error: &'static str, file: &'static str) -> Fault {
    Fault {
        call,
        error,
        file,
        within: 200,
        is_final: true,
    }
}

const FAULTS: [Fault; 9] = [
    fault(SYNC, "EIO", "log.db-wal"),
    fault(SYNC, "ENOSPC", "log.db-wal"),
    fault(WRITE, "EIO", "log.db-wal"),
    // Room can be made, so the process waits for it.
    Fault {
        is_final: false,
        ..fault(WRITE, "ENOSPC", "log.db-wal")
    },
    // The log's own file is written by checkpoints, the projection's beside all commits.
    Fault {
        is_final: false,
        within: 8,
        ..fault(SYNC, "EIO", "log.db")
    },
    Fault {
        is_final: false,
        within: 20,
        ..fault(WRITE, "EIO", "log.db")
    },
    Fault {
        is_final: false,
        within: 20,
        ..fault(WRITE, "ENOSPC", "log.db")
    },
    Fault {
        is_final: false,
        ..fault(WRITE, "EIO", "projection.db-wal")
    },
    Fault {
        is_final: false,
        ..fault(WRITE, "ENOSPC", "projection.db-wal")
    },
];

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// The process gave up.
    Ended,
    /// It refused, and takes records again.
    Recovered,
    /// Nobody who sent noticed anything.
    Unnoticed,
    /// The call was not made often enough to fail.
    NeverFailed,
}

/// Whether strace made a call fail.
fn has_failed(stage: &Stage) -> bool {
    let trace = fs::read_to_string(stage.path("strace")).unwrap_or_default();
    trace.contains("(INJECTED)")
}

/// Runs the service until its `nth` such call fails and a while longer.
fn play(stage: &Stage, oracle: &Oracle, fault: Fault, nth: usize, count: &AtomicUsize) -> End {
    let trace = stage.path("strace");
    drop(fs::remove_file(&trace));
    let (call, error) = (fault.call, fault.error);
    let mut strace = Command::new("strace");
    strace
        // The service is the child and strace a grandchild, so that signals reach the service.
        .args(["-D", "-f", "-qq", "-o"])
        .arg(&trace)
        .arg("-P")
        .arg(stage.data().join(fault.file))
        .args(["-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:error={error}:when={nth}")]);
    let mut service = Service::spawn_within(stage, strace);
    let (refused, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let recovered = AtomicBool::new(false);
    let send = || {
        while !stop.load(Ordering::Relaxed) {
            let was_refused = refused.load(Ordering::SeqCst);
            let number = count.fetch_add(1, Ordering::Relaxed);
            let email = match number % 500 {
                0 => "ada@example.com".to_owned(),
                1..100 => one_of_the_crowd(number),
                _ => format!("stranger-{number}@example.com"),
            };
            let status = oracle.send_for_status(stage, &format!("msg_{number}"), &email, "removed");
            match status {
                Some(202) => {
                    let is_late = was_refused && fault.is_final;
                    assert!(!is_late, "{fault:?} {nth}: accepted after a refusal");
                    recovered.fetch_or(was_refused, Ordering::Relaxed);
                }
                Some(other) => {
                    assert_eq!(other, 503, "{fault:?} {nth}");
                    refused.store(true, Ordering::SeqCst);
                }
                None => thread::sleep(GLANCE / 10),
            }
        }
    };
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
        let raised = Raise(&stop);
        let end = wait_for_end(stage, oracle, fault, &mut service, &recovered);
        drop(raised);
        for sender in senders {
            if let Err(why) = sender.join() {
                std::panic::resume_unwind(why);
            }
        }
        end
    })
}

fn wait_for_end(
    stage: &Stage,
    oracle: &Oracle,
    fault: Fault,
    service: &mut Service,
    recovered: &AtomicBool,
) -> End {
    let began = Instant::now();
    let start = oracle.acknowledged();
    let mut failed_at = None;
    loop {
        thread::sleep(GLANCE);
        let acknowledged = oracle.acknowledged();
        if failed_at.is_none() && has_failed(stage) {
            failed_at = Some(acknowledged);
        }
        if let Some(status) = service.has_ended() {
            assert!(
                !status.success(),
                "{fault:?}: ended as if it had been asked to"
            );
            assert!(
                failed_at.is_some() || has_failed(stage),
                "{fault:?}: ended by itself"
            );
            return End::Ended;
        }
        if recovered.load(Ordering::Relaxed) {
            return End::Recovered;
        }
        match failed_at {
            Some(then) if !fault.is_final && acknowledged >= then + MORE => return End::Unnoticed,
            // Sixty times more promises than calls that it takes.
            None if acknowledged >= start + 6000 => return End::NeverFailed,
            _ => {}
        }
        assert!(began.elapsed() < PATIENCE, "{fault:?}: nothing came of it");
    }
}

#[test]
fn after_a_call_that_failed_nothing_is_promised_that_is_not_kept() {
    require("strace");
    let mut random = StdRng::seed_from_u64(seed("failing calls"));
    let stage = Stage::set_with_crowd();
    stage.start().kill();
    let (oracle, count) = (Oracle::default(), AtomicUsize::new(0));
    let mut ends: BTreeMap<(usize, End), usize> = BTreeMap::new();
    for round in 0..rounds(FAULTS.len()).max(FAULTS.len()) {
        let index = round % FAULTS.len();
        let fault = FAULTS[index];
        let nth = random.random_range(1..=fault.within);
        let end = play(&stage, &oracle, fault, nth, &count);
        *ends.entry((index, end)).or_default() += 1;
        if fault.is_final {
            assert_eq!(end, End::Ended, "{fault:?} {nth}");
        }
        // Every restart is clean, whatever failed before it.
        drop(stage.start());
    }
    for ((index, end), times) in &ends {
        let Fault {
            call, error, file, ..
        } = FAULTS[*index];
        eprintln!("{call} of {file} fails with {error}: {end:?} {times} times");
    }
    let failed = ends.keys().filter(|(_, end)| *end != End::NeverFailed);
    assert!(failed.count() > FAULTS.len() / 2, "{ends:?}");
    let _service = stage.start();
    oracle.check(&stage, "failing calls");
}
