//! What falls due while whoever had to see to it dies or stands still.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use offkey::{
    clock::{Clock as _, SystemClock},
    domain::{
        ChangeId, Impact, Record, Status, Topic,
        passed::Passed,
        reminder::{Distance, Reminder},
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{Fleet, LONGER_THAN_A_SESSION};
use crate::harness::{CROWD, Stage, is_over_kafka, one_of_the_crowd, rounds, seed, until};

/// Who leaves in one round: enough that every partition has some.
const LEAVERS: usize = 24;
/// From the announcement to the day, in seconds; twice as many where that was too soon.
const AHEAD: i64 = 5;
/// From the day on somebody has so many seconds to act, and is reminded twice.
const POLICY: &str = "[policy]\nmanual_deadline = \"10s\"\n\
                      reminders = { before = [\"8s\"], after = [\"0s\"] }\n";

/// How an instance is lost around the moment.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// `kill -9`, and started again when everything was said.
    Dies,
    /// SIGSTOP until another has its share, and SIGCONT.
    Freezes,
}

fn announce(stage: &Stage, id: &str, email: &str, day: Timestamp) -> ChangeId {
    let data = serde_json::json!({
        "change": "leave_scheduled", "person": {"email": email}, "effective_at": day,
    });
    let now = SystemClock.now();
    let message = serde_json::json!({"type": "membership.changed", "timestamp": now, "data": data});
    let answer = stage.deliver(id, message.to_string().as_bytes());
    assert_eq!(answer.status, 202, "{answer:?}");
    ChangeId::derive("hr", id)
}

/// What the log says of one change, in its order.
#[derive(Debug, Default)]
struct Told {
    revisions: Vec<(u32, Status)>,
    reminders: Vec<Reminder>,
    passed: usize,
}

impl Told {
    fn is_announced(&self) -> bool {
        self.revisions == [(1, Status::Scheduled)]
    }

    fn is_all(&self) -> bool {
        let at_deadline = |one: &Reminder| matches!(one.distance, Distance::After { .. });
        self.revisions.len() > 1 && self.reminders.iter().any(at_deadline)
    }

    /// Everything once: who was late may leave out the reminder before, and no other.
    fn require_once(&self) {
        let revisions = [(1, Status::Scheduled), (2, Status::Open)];
        assert_eq!(self.revisions, revisions, "{self:?}");
        assert_eq!(self.passed, 1, "{self:?}");
        let is_before = |one: &&Reminder| matches!(one.distance, Distance::Before { .. });
        let before = self.reminders.iter().filter(is_before).count();
        let after = self.reminders.len() - before;
        assert!(before <= 1 && after == 1, "{self:?}");
    }
}

fn told(stage: &Stage, changes: &[ChangeId]) -> BTreeMap<ChangeId, Told> {
    let mut all: BTreeMap<_, _> = changes.iter().map(|id| (*id, Told::default())).collect();
    let records = stage.records(&[Topic::Outcomes, Topic::Impacts]);
    let take = |record: &Record, told: &mut Told| match record.kind.as_str() {
        Impact::TYPE => {
            let impact: Impact = record.read().unwrap();
            told.revisions.push((impact.revision, impact.status));
        }
        Reminder::TYPE => told.reminders.push(record.read().unwrap()),
        Passed::TYPE => told.passed += 1,
        _ => {}
    };
    for record in &records {
        if let Some(told) = record.correlation.and_then(|id| all.get_mut(&id)) {
            take(record, told);
        }
    }
    all
}

fn wait_until(moment: Timestamp) {
    until("the moment", || (SystemClock.now() >= moment).then_some(()));
}

/// Announces leaves of people of whom `first` is the first, until some were all reported before
/// their day: which, and the day. Where the machine is slow, the day has to be later.
fn announce_in_time(stage: &Stage, first: &mut usize) -> (Vec<ChangeId>, Timestamp) {
    let mut ahead = AHEAD;
    loop {
        let day = SystemClock.now() + SignedDuration::from_secs(ahead);
        let numbers = *first..*first + LEAVERS;
        assert!(
            numbers.end <= CROWD,
            "the crowd is too small: each leaves once"
        );
        *first = numbers.end;
        let one = |number| {
            let id = format!("due_{number}");
            announce(stage, &id, &one_of_the_crowd(number), day)
        };
        let changes: Vec<_> = numbers.map(one).collect();
        let is_in_time = until("every announcement to be reported", || {
            let told = told(stage, &changes);
            let is_told = told.values().all(|told| !told.revisions.is_empty());
            is_told.then(|| told.values().all(Told::is_announced))
        });
        // An instance is lost up to half a second before the day.
        if is_in_time && SystemClock.now() < day - SignedDuration::from_secs(1) {
            return (changes, day);
        }
        ahead *= 2;
    }
}

/// Announces leaves, loses one of two instances around their day, and looks what was said.
fn play(fleet: &mut Fleet, (first, loss): (&mut usize, Loss), random: &mut StdRng) {
    let (changes, day) = announce_in_time(&fleet.stages[0], first);
    let victim = random.random_range(0..2);
    // A look at the clock comes within a second behind the day; the first reminder 2 s behind it.
    let after = random.random_range(-500..3000);
    eprintln!("{first} left: instance {victim} {loss:?} {after} ms after the day");
    wait_until(day + SignedDuration::from_millis(after));
    match loss {
        Loss::Dies => fleet.kill(victim),
        Loss::Freezes => fleet.freeze(victim, LONGER_THAN_A_SESSION),
    }
    let survivor = 1 - victim;
    until("everything that was due to be said", || {
        let told = told(&fleet.stages[survivor], &changes);
        told.values().all(Told::is_all).then_some(())
    });
    if matches!(loss, Loss::Dies) {
        fleet.start(victim);
    }
    // Who comes back has read what the other said, and has nothing to add.
    fleet.stages[victim].wait_until_read();
    for told in told(&fleet.stages[survivor], &changes).values() {
        told.require_once();
    }
}

#[test]
fn what_falls_due_while_an_instance_dies_or_stands_still_is_said_once() {
    if !is_over_kafka() {
        return;
    }
    let mut fleet = Fleet::set_with(Stage::set_with_crowd(), 2, (&[], POLICY));
    let mut random = StdRng::seed_from_u64(seed("what falls due"));
    let mut first = 0;
    for round in 0..rounds(2).min(20) {
        let loss = if round % 2 == 0 {
            Loss::Dies
        } else {
            Loss::Freezes
        };
        play(&mut fleet, (&mut first, loss), &mut random);
    }
    assert!(fleet.is_running(0) && fleet.is_running(1));
}
