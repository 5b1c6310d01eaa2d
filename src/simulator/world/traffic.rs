//! Use of keys: steady traffic from the company file, and requests that were really made.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Credential, Key, Project, World};
use crate::{domain::id::content_id, simulator::refusal::Refusal};

/// How many real requests one project remembers.
pub(super) const MOST_CALLS: usize = 10_000;

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// One request every `1 / per_day` days, from `from` on.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    pub(crate) from: Timestamp,
    /// Absent: it goes on.
    pub(crate) until: Option<Timestamp>,
    pub(crate) per_day: u32,
}

/// One request to the data plane.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) id: Uuid,
    pub(crate) key: Uuid,
    pub(crate) at: Timestamp,
    pub(crate) path: String,
}

impl World {
    /// A request to the data plane: refused, or remembered.
    pub(crate) fn call(&mut self, who: &Credential, path: &str) -> Result<Call, Refusal> {
        let (home, key) = self.authenticate(who).ok_or(Refusal::InvalidAuth)?;
        let call = Call {
            id: Uuid::new_v4(),
            key: key.id,
            at: self.now(),
            path: path.to_owned(),
        };
        let project = self.projects.get_mut(home).ok_or(Refusal::InvalidAuth)?;
        project.calls.push_back(call.clone());
        if project.calls.len() > MOST_CALLS {
            project.calls.pop_front();
        }
        Ok(call)
    }
}

impl Key {
    /// How many steady requests lie in `(from, to]`.
    fn steady(&self, from: Timestamp, to: Timestamp, now: Timestamp) -> u64 {
        self.ticks(to, now).saturating_sub(self.ticks(from, now))
    }

    /// How many steady requests there were until `at`.
    fn ticks(&self, at: Timestamp, now: Timestamp) -> u64 {
        let end = at.min(self.traffic_end(now)).as_microsecond();
        let elapsed = end.saturating_sub(self.traffic.from.as_microsecond());
        let interval = self.interval().unwrap_or(i64::MAX);
        u64::try_from(elapsed / interval).unwrap_or(0)
    }

    fn interval(&self) -> Option<i64> {
        MICROSECONDS_A_DAY.checked_div(i64::from(self.traffic.per_day))
    }

    /// The steady requests until `to`, newest first.
    fn newest(&self, to: Timestamp, now: Timestamp) -> impl Iterator<Item = Call> + '_ {
        let start = self.traffic.from.as_microsecond();
        let interval = self.interval().unwrap_or(0);
        (1..=self.ticks(to, now)).rev().filter_map(move |number| {
            let after = interval.checked_mul(i64::try_from(number).ok()?)?;
            Some(Call {
                id: content_id(&[b"request", self.id.as_bytes(), &number.to_be_bytes()]),
                key: self.id,
                at: Timestamp::from_microsecond(start.checked_add(after)?).ok()?,
                path: "/v1/listen?model=nova-3".to_owned(),
            })
        })
    }
}

impl Project {
    /// How many requests `key` made in `(from, to]`.
    pub(crate) fn requests(&self, key: &Key, span: (Timestamp, Timestamp), now: Timestamp) -> u64 {
        let (from, to) = span;
        let made = self.calls.iter().filter(|call| call.key == key.id);
        let made = made.filter(|call| from < call.at && call.at <= to).count();
        key.steady(from, to, now) + made as u64
    }

    /// The newest `count` requests in `(from, to]`, of one key or of all, newest first.
    pub(crate) fn newest_calls(
        &self,
        accessor: Option<Uuid>,
        span: (Timestamp, Timestamp),
        count: usize,
        now: Timestamp,
    ) -> Vec<Call> {
        let (from, to) = span;
        let wanted = |key: Uuid| accessor.is_none_or(|one| one == key);
        let made = self.calls.iter().filter(|call| wanted(call.key)).cloned();
        let mut all: Vec<_> = made
            .filter(|call| from < call.at && call.at <= to)
            .collect();
        for key in self.keys.iter().filter(|key| wanted(key.id)) {
            let steady = key.newest(to, now).take_while(|call| from < call.at);
            all.extend(steady.take(count));
        }
        all.sort_by_key(|call| std::cmp::Reverse(call.at));
        all.truncate(count);
        all
    }
}
