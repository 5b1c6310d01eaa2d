//! Knows what was promised, and compares it with the log by a join of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use offkey::{
    clock::{Clock as _, SystemClock},
    domain::{ChangeId, Impact, Outcome, Record, Topic},
    simulator::Company,
};

use crate::harness::{GLANCE, PATIENCE, Stage, until};

/// A key as the company's file names it: project and comment.
type KeyName = (String, String);

/// One change that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    email: String,
    change: String,
    acknowledged: bool,
}

/// Keeps every promise in mind; shared by all senders.
#[derive(Default)]
pub(crate) struct Oracle {
    sent: Mutex<BTreeMap<ChangeId, Sent>>,
    acknowledged: AtomicUsize,
    /// What it said last of what it found.
    told: Mutex<String>,
}

impl Oracle {
    /// Sends a change and remembers what was promised; true when it was.
    pub(crate) fn send(&self, stage: &Stage, id: &str, email: &str, change: &str) -> bool {
        self.send_for_status(stage, id, email, change) == Some(202)
    }

    /// The same, with the status of the answer; nothing when none came.
    pub(crate) fn send_for_status(
        &self,
        stage: &Stage,
        id: &str,
        email: &str,
        change: &str,
    ) -> Option<u16> {
        let key = ChangeId::derive("hr", id);
        let one = Sent {
            email: email.to_owned(),
            change: change.to_owned(),
            acknowledged: false,
        };
        self.sent.lock().unwrap().insert(key, one);
        let answer = stage.send(id, &Stage::body(email, change));
        let status = answer.map(|answer| answer.status);
        if status == Some(202)
            && let Some(one) = self.sent.lock().unwrap().get_mut(&key)
        {
            one.acknowledged = true;
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        status
    }

    /// Remembers a promise that somebody else obtained.
    pub(crate) fn expect(&self, id: &str, email: &str, change: &str) {
        let one = Sent {
            email: email.to_owned(),
            change: change.to_owned(),
            acknowledged: true,
        };
        let key = ChangeId::derive("hr", id);
        self.sent.lock().unwrap().insert(key, one);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits, without faults, until everything is said; sends a fresh change; compares.
    pub(crate) fn check(&self, stage: &Stage, story: &str) {
        assert!(self.send(stage, "fresh", "nadia@example.com", "removed"));
        self.wait_for_outcomes(stage);
        let faults = self.faults(stage, story);
        assert!(faults.is_empty(), "{story}: {faults:#?}");
    }

    /// The same where many instances share the work: only the log knows everything.
    pub(crate) fn check_log(&self, stage: &Stage, story: &str) {
        until("a fresh change to be taken", || {
            self.send(stage, "fresh", "nadia@example.com", "removed")
                .then_some(())
        });
        let (mut fewest, mut end) = (usize::MAX, Instant::now());
        loop {
            let faults = self.faults(stage, story);
            if faults.is_empty() {
                return;
            }
            // A backlog may take its time, as long as it gets shorter.
            if faults.len() < fewest {
                fewest = faults.len();
                end = Instant::now() + PATIENCE;
            }
            let few: Vec<_> = faults.iter().take(10).collect();
            assert!(Instant::now() < end, "{story}: {few:#?}");
            thread::sleep(GLANCE);
        }
    }

    /// Waits for every outcome; a backlog may take its time, as long as the service comes further.
    fn wait_for_outcomes(&self, stage: &Stage) {
        let sent = self.sent.lock().unwrap().clone();
        let promised = sent.iter().filter(|(_, one)| one.acknowledged);
        let promised: Vec<String> = promised.map(|(id, _)| id.to_string()).collect();
        let (mut furthest, mut end) = (None, Instant::now() + PATIENCE);
        loop {
            let found = stage.read(|reader| {
                let mut ids = promised.iter();
                let waiting = reader.waiting().unwrap();
                let is_over = waiting == 0 && ids.all(|id| reader.report(id).unwrap().is_some());
                (is_over, waiting, reader.position().unwrap())
            });
            if matches!(found, Some((true, ..))) {
                return;
            }
            if found != furthest {
                (furthest, end) = (found, Instant::now() + PATIENCE);
            }
            assert!(Instant::now() < end, "no outcome any more: {furthest:?}");
            thread::sleep(GLANCE);
        }
    }

    /// Everything in which the log is not what was promised.
    pub(crate) fn faults(&self, stage: &Stage, story: &str) -> Vec<String> {
        let sent = self.sent.lock().unwrap().clone();
        let records = stage.records(&[Topic::Membership, Topic::Outcomes, Topic::Impacts]);
        let faults = compare(&sent, &stage.company, &records);
        let (sent, kept) = (sent.len(), self.acknowledged());
        let found = format!(
            "{story}: {sent} sent, {kept} acknowledged, {} records, {} faults: {:?}",
            records.len(),
            faults.len(),
            faults.iter().take(3).collect::<Vec<_>>()
        );
        let mut told = self.told.lock().unwrap();
        if *told != found {
            eprintln!("{} {found}", SystemClock.now());
            *told = found;
        }
        faults
    }
}

/// The reference join: what a change can hit, straight from the company's file: all of a leaver's
/// keys, and of somebody who comes in all or, where nothing was lost before, none.
fn is_right(company: &Company, sent: &Sent, found: &BTreeSet<KeyName>) -> bool {
    let all = keys_of(company, &sent.email);
    match sent.change.as_str() {
        "removed" | "suspended" => *found == all,
        "joined" => found.is_empty() || *found == all,
        _ => found.is_empty(),
    }
}

fn keys_of(company: &Company, email: &str) -> BTreeSet<KeyName> {
    let mut names = BTreeSet::new();
    for project in &company.projects {
        for key in &project.keys {
            if key.creator.as_str() == email {
                names.insert((project.name.clone(), key.comment.clone()));
            }
        }
    }
    names
}

/// Everything in which `records` are not what was promised.
fn compare(sent: &BTreeMap<ChangeId, Sent>, company: &Company, records: &[Record]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut outcomes: BTreeMap<ChangeId, Vec<u32>> = BTreeMap::new();
    let mut impacts: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut keys: BTreeMap<ChangeId, BTreeSet<KeyName>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for record in records {
        match record.topic {
            Topic::Membership => drop(known.insert(record.correlation.unwrap())),
            Topic::Outcomes => {
                let outcome: Outcome = record.read().unwrap();
                let revisions = outcomes.entry(outcome.change_id).or_default();
                revisions.push(outcome.revision);
            }
            _ => {
                let impact: Impact = record.read().unwrap();
                let revisions = impacts.entry(impact.impact_id.to_string()).or_default();
                revisions.push(impact.revision);
                let name = (
                    impact.key.project_name.unwrap_or_default(),
                    impact.key.label,
                );
                keys.entry(impact.change_id).or_default().insert(name);
            }
        }
    }
    for (id, one) in sent {
        if one.acknowledged && !known.contains(id) {
            faults.push(format!("lost: {id} {one:?}"));
        }
        if one.acknowledged && !outcomes.contains_key(id) {
            faults.push(format!("without an outcome: {id} {one:?}"));
        }
        let found = keys.remove(id).unwrap_or_default();
        if outcomes.contains_key(id) && !is_right(company, one, &found) {
            faults.push(format!("{id} {one:?} hits {found:?}"));
        }
    }
    faults.extend(keys.keys().map(|id| format!("impacts of nothing: {id}")));
    let strangers = known.iter().chain(outcomes.keys());
    let strangers = strangers.filter(|id| !sent.contains_key(id));
    faults.extend(strangers.map(|id| format!("never sent: {id}")));
    let outcomes = outcomes.iter().map(|(id, all)| (id.to_string(), all));
    let impacts = impacts.iter().map(|(id, all)| (id.clone(), all));
    for (id, revisions) in outcomes.chain(impacts) {
        if !revisions.iter().copied().eq(1..=revisions.len() as u32) {
            faults.push(format!("{id} has the revisions {revisions:?}"));
        }
    }
    faults
}

#[test]
fn the_oracle_sees_what_is_lost_and_what_was_never_sent() {
    let company = Company::default();
    let oracle = Oracle::default();
    oracle.expect("msg_1", "ada@example.com", "removed");
    let sent = oracle.sent.lock().unwrap().clone();
    let other = ChangeId::derive("hr", "msg_2");
    let record = Record::json(Topic::Membership, String::new(), &()).correlation(other);
    let faults = compare(&sent, &company, &[record]);
    let seen = ["lost: ", "without an outcome: ", "never sent: "];
    for (fault, start) in faults.iter().zip(seen) {
        assert!(fault.starts_with(start), "{fault}");
    }
    assert_eq!(faults.len(), 3, "{faults:?}");
}
