//! Which records a sink has taken and how far it may commit. Pure.
//!
//! Records finish out of order, and the cursor may only pass what is finished. Records of one
//! subject (the revisions of one impact) are worked on one after the other.

use std::collections::{BTreeMap, HashSet};

use crate::{
    domain::Record,
    log::{Entry, Partition, Position},
};

/// Names one taken record; a later record has a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Slot {
    partition: Partition,
    offset: u64,
    event: String,
    subject: Option<String>,
    finished: Option<Vec<Record>>,
}

/// The records taken and not committed.
#[derive(Debug, Default)]
pub(crate) struct Window {
    most: usize,
    next: u64,
    slots: BTreeMap<Ticket, Slot>,
    seen: Position,
}

impl Window {
    /// A window of at most `most` records.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// How many records it can still take.
    pub(crate) fn room(&self) -> usize {
        self.most.saturating_sub(self.slots.len())
    }

    /// How many records are not finished.
    pub(crate) fn unfinished(&self) -> usize {
        let open = |slot: &&Slot| slot.finished.is_none();
        self.slots.values().filter(open).count()
    }

    /// Takes the record at `entry`, which is about `subject`.
    pub(crate) fn take(&mut self, entry: &Entry, subject: Option<String>) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        let slot = Slot {
            partition: entry.partition,
            offset: entry.offset,
            event: entry.record.id.clone(),
            subject,
            finished: None,
        };
        self.slots.insert(ticket, slot);
        ticket
    }

    /// Everything before `through` was taken or concerns nobody here.
    pub(crate) fn see(&mut self, through: &Position) {
        for (partition, next) in Vec::from(through.clone()) {
            self.seen.advance(partition, next);
        }
    }

    /// The unfinished records that need not wait for an earlier one of their subject, oldest first.
    pub(crate) fn ready(&self) -> Vec<Ticket> {
        let mut busy = HashSet::new();
        let open = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.finished.is_none());
        open.filter(|(_, slot)| {
            slot.subject
                .as_ref()
                .is_none_or(|subject| busy.insert((slot.partition, subject)))
        })
        .map(|(ticket, _)| *ticket)
        .collect()
    }

    /// The record of `ticket` is finished, and `outputs` say so.
    pub(crate) fn finish(&mut self, ticket: Ticket, outputs: Vec<Record>) {
        if let Some(slot) = self.slots.get_mut(&ticket) {
            slot.finished = Some(outputs);
        }
    }

    /// How far may be committed: to the first unfinished record of each partition.
    pub(crate) fn committable(&self) -> Position {
        let mut lowest: BTreeMap<Partition, u64> = BTreeMap::new();
        for slot in self.slots.values().filter(|slot| slot.finished.is_none()) {
            let known = lowest.entry(slot.partition).or_insert(slot.offset);
            *known = (*known).min(slot.offset);
        }
        Vec::from(self.seen.clone())
            .into_iter()
            .map(|(partition, next)| {
                let floor = lowest.get(&partition).copied().unwrap_or(next);
                (partition, next.min(floor))
            })
            .collect::<Vec<_>>()
            .into()
    }

    /// What the finished records before `through` put out, in the order they were taken.
    pub(crate) fn outputs_before(&self, through: &Position) -> Vec<Record> {
        self.slots
            .values()
            .filter(|slot| slot.offset < through.next_in(slot.partition))
            .filter_map(|slot| slot.finished.clone())
            .flatten()
            .collect()
    }

    /// Everything before `through` is committed and forgotten.
    pub(crate) fn committed(&mut self, through: &Position) {
        self.slots
            .retain(|_, slot| slot.offset >= through.next_in(slot.partition));
    }

    /// Forgets everything, and gives back what the finished records put out, by event id.
    pub(crate) fn clear(&mut self) -> BTreeMap<String, Vec<Record>> {
        self.seen = Position::default();
        std::mem::take(&mut self.slots)
            .into_values()
            .filter_map(|slot| Some((slot.event, slot.finished?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Ticket, Window};
    use crate::{
        domain::{Record, Topic},
        log::{Entry, Partition, Position},
    };

    fn entry(number: u32, offset: u64) -> Entry {
        Entry {
            partition: Partition {
                topic: Some(Topic::Impacts),
                number,
            },
            offset,
            record: Record::json(Topic::Impacts, String::new(), &())
                .id(format!("{number}-{offset}")),
        }
    }

    fn see(window: &mut Window, number: u32, next: u64) {
        window.see(&Position::from(vec![(entry(number, 0).partition, next)]));
    }

    fn output(name: &str) -> Vec<Record> {
        vec![Record::json(Topic::Deliveries, String::new(), &()).id(name.to_owned())]
    }

    #[test]
    fn an_unfinished_record_holds_its_partition_and_no_other() {
        let mut window = Window::new(8);
        let stuck = window.take(&entry(0, 3), None);
        let done = window.take(&entry(0, 4), None);
        let other = window.take(&entry(1, 7), None);
        see(&mut window, 0, 6);
        see(&mut window, 1, 9);
        window.finish(done, output("late"));
        window.finish(other, output("other"));
        let through = window.committable();
        assert_eq!(through.next_in(entry(0, 0).partition), 3);
        assert_eq!(through.next_in(entry(1, 0).partition), 9);
        assert_eq!(window.outputs_before(&through), output("other"));
        window.committed(&through);
        assert_eq!(window.room(), 6);

        window.finish(stuck, output("early"));
        let through = window.committable();
        assert_eq!(through.next_in(entry(0, 0).partition), 6);
        let all: Vec<_> = output("early").into_iter().chain(output("late")).collect();
        assert_eq!(window.outputs_before(&through), all);
    }

    #[test]
    fn a_later_revision_waits_for_the_earlier() {
        let mut window = Window::new(8);
        let first = window.take(&entry(0, 0), Some("a".to_owned()));
        let second = window.take(&entry(0, 1), Some("a".to_owned()));
        let other = window.take(&entry(0, 2), Some("b".to_owned()));
        assert_eq!(window.ready(), [first, other]);
        window.finish(first, Vec::new());
        assert_eq!(window.ready(), [second, other]);
    }

    #[test]
    fn clearing_gives_back_what_was_finished() {
        let mut window = Window::new(8);
        let done = window.take(&entry(0, 0), None);
        window.take(&entry(0, 1), None);
        window.finish(done, output("x"));
        let known = window.clear();
        assert_eq!(known, BTreeMap::from([("0-0".to_owned(), output("x"))]));
        assert_eq!(window.room(), 8);
        assert_eq!(window.committable(), Position::default());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take(u32, u8),
        Finish(prop::sample::Index),
        Commit,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..3_u32, 0..4_u8).prop_map(|(partition, subject)| Step::Take(partition, subject)),
            any::<prop::sample::Index>().prop_map(Step::Finish),
            Just(Step::Commit),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn nothing_unfinished_is_passed_and_nothing_finished_is_lost(steps in steps()) {
            let mut window = Window::new(16);
            let mut ends = [0_u64; 3];
            let mut open: Vec<(Ticket, u32, u64, String)> = Vec::new();
            let mut finished = 0;
            let mut put_out = 0;
            let mut before = Position::default();
            for step in steps {
                match step {
                    Step::Take(partition, subject) if window.room() > 0 => {
                        let end = &mut ends[partition as usize];
                        let subject = format!("{partition}/{subject}");
                        let ticket = window.take(&entry(partition, *end), Some(subject.clone()));
                        open.push((ticket, partition, *end, subject));
                        *end += 1;
                        see(&mut window, partition, *end);
                    }
                    Step::Take(..) => prop_assert!(window.unfinished() <= 16),
                    Step::Finish(index) => {
                        let ready = window.ready();
                        if !ready.is_empty() {
                            let ticket = *index.get(&ready);
                            let at = open.iter().position(|one| one.0 == ticket).unwrap();
                            let one = open.remove(at);
                            let earlier = open.iter().any(|other| other.3 == one.3 && other.2 < one.2);
                            prop_assert!(!earlier, "a later one went before an earlier");
                            window.finish(ticket, output("x"));
                            finished += 1;
                        }
                    }
                    Step::Commit => {
                        let through = window.committable();
                        for (_, partition, offset, _) in &open {
                            prop_assert!(through.next_in(entry(*partition, 0).partition) <= *offset);
                        }
                        prop_assert!(through.has_reached(&before), "the cursor went back");
                        put_out += window.outputs_before(&through).len();
                        window.committed(&through);
                        before = through;
                    }
                }
            }
            for (ticket, ..) in open {
                window.finish(ticket, output("x"));
                finished += 1;
            }
            put_out += window.outputs_before(&window.committable()).len();
            prop_assert_eq!(put_out, finished);
        }
    }
}
