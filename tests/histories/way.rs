//! How stories come to be known.

use offkey::domain::{MembershipChange, Record};
use proptest::{collection::vec, prelude::*};

use crate::story::Told;

/// How a story comes to be known.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// Each record's place, by the remainder.
    priorities: Vec<u16>,
    /// Which records come twice.
    repeats: Vec<bool>,
    /// How many records come together.
    batches: Vec<usize>,
}

pub(crate) fn way() -> impl Strategy<Value = Way> {
    let parts = (
        vec(any::<u16>(), 60),
        vec(any::<bool>(), 60),
        vec(1..9_usize, 20),
    );
    parts.prop_map(|(priorities, repeats, batches)| Way {
        priorities,
        repeats,
        batches,
    })
}

impl Way {
    /// `told` in another order, some of it twice, in batches. What is known of one key stays in its
    /// order: a log keeps it.
    pub(crate) fn batches(&self, told: &[Told]) -> Vec<Vec<Record>> {
        let mut places: Vec<(u16, usize)> = Vec::new();
        for (number, one) in told.iter().enumerate() {
            let at = |place: usize| self.priorities[place % self.priorities.len()];
            places.push((at(number), number));
            let is_change = one.record.kind == MembershipChange::TYPE;
            if is_change && self.repeats[number % self.repeats.len()] {
                places.push((at(number + 17), number));
            }
        }
        places.sort_unstable();
        let mut order: Vec<usize> = places.into_iter().map(|(_, number)| number).collect();
        for place in 0..order.len() {
            let key = &told[order[place]].record.key;
            let first = (place..order.len())
                .filter(|other| told[order[*other]].record.key == *key)
                .min_by_key(|other| order[*other]);
            order.swap(place, first.unwrap_or(place));
        }
        let mut records = order.into_iter().map(|number| told[number].record.clone());
        let mut all = Vec::new();
        for size in self.batches.iter().cycle() {
            let batch: Vec<Record> = records.by_ref().take(*size).collect();
            if batch.is_empty() {
                return all;
            }
            all.push(batch);
        }
        all
    }
}
