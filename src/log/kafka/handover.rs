//! Hands what a thread reads to whoever works on it.
//!
//! What was read while the other side was busy is one step, however often it came: a queue of steps
//! would make every record wait for as many commits as steps lie before it.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::log::{Batch, LogError};

/// How many records may wait, and how many bytes of data; what was read at once may go beyond it.
const ROOM: usize = 4000;
const ROOM_BYTES: usize = 4 << 20;
/// How many times at most to read while the other side works on one step. Each time the brokers look
/// into every partition.
const READS_PER_TURN: u32 = 4;
/// The longest pause between two.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

#[derive(Default)]
struct State {
    /// Read and not taken.
    step: Option<Batch>,
    /// How large its data is.
    bytes: usize,
    /// Why nothing comes behind it.
    end: Option<LogError>,
    /// The reading side is gone.
    is_over: bool,
    /// How long the other side worked on the last step, when the next was there at once.
    turn: Duration,
    taken_at: Option<Instant>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    filled: Notify,
    taken: Condvar,
    is_unwanted: AtomicBool,
}

/// The side that reads.
pub(super) struct Giver(Arc<Shared>);

/// The side that takes.
pub(super) struct Taker(Arc<Shared>);

/// Both sides.
pub(super) fn pair() -> (Giver, Taker) {
    let shared = Arc::<Shared>::default();
    (Giver(shared.clone()), Taker(shared))
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Giver {
    /// Whether nobody takes any more.
    pub(super) fn is_unwanted(&self) -> bool {
        self.0.is_unwanted.load(Ordering::Acquire)
    }

    /// How long to leave what comes with the brokers: the other side is busy, and gets it in time.
    pub(super) fn pause(&self) -> Duration {
        let state = self.0.lock();
        match state.step {
            Some(_) => (state.turn / READS_PER_TURN).min(LONGEST_PAUSE),
            None => Duration::ZERO,
        }
    }

    /// Adds to what waits, when there is room; false when nobody takes any more.
    pub(super) fn give(&self, more: Batch) -> bool {
        let mut state = self.0.lock();
        while !self.is_unwanted() && state.is_full() {
            state = self
                .0
                .taken
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let data = more.entries.iter().map(|entry| entry.record.data.len());
        state.bytes += data.sum::<usize>();
        match &mut state.step {
            Some(step) => {
                step.entries.extend(more.entries);
                step.through = more.through;
            }
            None => state.step = Some(more),
        }
        drop(state);
        self.0.filled.notify_one();
        !self.is_unwanted()
    }

    /// Says, behind what waits, why nothing more comes.
    pub(super) fn end(self, why: LogError) {
        self.0.lock().end = Some(why);
    }
}

impl State {
    fn is_full(&self) -> bool {
        let waiting = self.step.as_ref().map_or(0, |step| step.entries.len());
        waiting >= ROOM || self.bytes >= ROOM_BYTES
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.filled.notify_one();
    }
}

impl Taker {
    /// All that waits; waits for it. Dropping the future loses nothing.
    pub(super) async fn take(&self) -> Result<Batch, LogError> {
        let mut has_waited = false;
        loop {
            {
                let mut state = self.0.lock();
                if let Some(step) = state.step.take() {
                    state.bytes = 0;
                    let last = state.taken_at.replace(Instant::now());
                    let worked = last.filter(|_| !has_waited).map(|last| last.elapsed());
                    state.turn = worked.unwrap_or_default();
                    self.0.taken.notify_one();
                    return Ok(step);
                }
                if let Some(why) = &state.end {
                    return Err(why.clone());
                }
                if state.is_over {
                    return Err(LogError::Closed);
                }
            }
            has_waited = true;
            self.0.filled.notified().await;
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.0.is_unwanted.store(true, Ordering::Release);
        // Under the lock: between a look and the wait it would be missed.
        let _state = self.0.lock();
        self.0.taken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{LONGEST_PAUSE, ROOM, ROOM_BYTES, pair};
    use crate::{
        domain::{Record, Topic},
        log::{Batch, Entry, LogError, Partition},
    };

    fn batch(from: u64, to: u64) -> Batch {
        let partition = Partition::WHOLE;
        let entry = |offset| Entry {
            partition,
            offset,
            record: Record::json(Topic::Impacts, String::new(), &offset),
        };
        Batch {
            entries: (from..to).map(entry).collect(),
            through: vec![(partition, to)].into(),
        }
    }

    #[tokio::test]
    async fn what_was_given_while_nobody_took_is_taken_at_once_and_then_the_end() {
        let (giver, taker) = pair();
        assert!(giver.give(batch(0, 2)) && giver.give(batch(2, 5)));
        giver.end(LogError::Moved);
        let step = taker.take().await.unwrap();
        let offsets: Vec<u64> = step.entries.iter().map(|entry| entry.offset).collect();
        assert_eq!(offsets, [0, 1, 2, 3, 4]);
        assert_eq!(step.through.next_in(Partition::WHOLE), 5);
        assert!(matches!(taker.take().await, Err(LogError::Moved)));
    }

    #[tokio::test]
    async fn who_reads_leaves_records_with_the_brokers_only_while_the_other_side_is_busy() {
        let (giver, taker) = pair();
        assert!(giver.pause().is_zero());
        let given = async { assert!(giver.give(batch(0, 1))) };
        let (first, ()) = tokio::join!(biased; taker.take(), given);
        first.unwrap();
        assert!(giver.give(batch(1, 2)));
        assert!(giver.pause().is_zero(), "the other side waited just now");
        taker.take().await.unwrap();
        assert!(giver.pause().is_zero(), "nothing waits");
        assert!(giver.give(batch(2, 3)));
        assert!(!giver.pause().is_zero() && giver.pause() <= LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn few_large_records_fill_the_room_as_many_small_ones_do() {
        let (giver, taker) = pair();
        let giving = thread::spawn(move || {
            let mut large = batch(0, 1);
            large.entries[0].record.data = vec![b'1'; ROOM_BYTES / 2].into();
            while giver.give(large.clone()) {}
        });
        for _ in 0..20 {
            let step = taker.take().await.unwrap();
            assert!(step.entries.len() <= 2, "{}", step.entries.len());
        }
        drop(taker);
        giving.join().unwrap();
    }

    #[tokio::test]
    async fn who_gives_waits_for_room_and_for_nobody_who_is_gone() {
        let (giver, taker) = pair();
        let room = ROOM as u64;
        let giving = thread::spawn(move || {
            assert!(giver.give(batch(0, room)));
            while giver.give(batch(0, 1)) {}
        });
        let mut most = 0;
        for _ in 0..20 {
            most = most.max(taker.take().await.unwrap().entries.len());
        }
        // Never more than room and what is read at once.
        assert!(most <= ROOM, "{most}");
        drop(taker);
        giving.join().unwrap();
    }
}
