//! Predicted against observed: what complete looks at a provider showed of one fate.
//!
//! Pure, and of history alone: the newest complete look, the intervals of keys and memberships, and
//! which moments are recorded as passed. However these came to be known, the answer is the same.

use jiff::{SignedDuration, Timestamp};

use super::{
    arrival::{Arrival, End, arrival},
    groups::stays,
    inputs::Inputs,
    judge::Judgement,
    ownership::{Look, Moment},
    returned::Touched,
};
use crate::domain::{
    ChangeKind, Fate, KeyInterval, MembershipChange, Observed, Status, whole_microseconds,
};

/// What is known of a prediction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Check {
    /// What became of it; absent: nobody can tell yet, or there is nothing to tell.
    pub(super) seen: Option<(Status, Observed)>,
    /// Whether the next complete look can tell more.
    pub(super) awaits_look: bool,
    /// From when on nobody waits any longer.
    pub(super) lapses: Option<Timestamp>,
}

/// Holds what the change was predicted to do to a key against what was seen.
pub(super) fn check(
    inputs: &Inputs<'_>,
    touched: &Touched<'_>,
    judgement: &Judgement<'_>,
) -> Check {
    let is_prediction = !judgement.expired
        && judgement.returns.is_none()
        && !matches!(judgement.fate, Fate::Blocks | Fate::Unknown);
    if !is_prediction {
        return Check::default();
    }
    let (change, key) = (inputs.change, touched.key);
    let look = inputs.history.looks.get(&key.provider).copied();
    let look = look.unwrap_or_default();
    let arrival = arrival(inputs, touched, judgement);
    let end = end_of(&key.history);
    // What a look said counts when everything it said is known.
    let is_told = end.is_none_or(|(_, gone_at)| look.read_until >= Some(gone_at));
    let case = Case {
        inputs,
        touched,
        judgement,
        look,
        arrival,
        end: end.filter(|_| is_told),
    };
    let has_been_looked = look.complete >= Some(change.effective_at);
    let lapses = case.lapses(has_been_looked);
    let seen = case.verdict().or_else(|| {
        let passed = inputs.history.passed.get(&change.id).copied();
        (lapses.is_some() && passed >= lapses).then(|| case.unverifiable())
    });
    let is_final = seen
        .as_ref()
        .is_some_and(|(status, observed)| match status {
            Status::Confirmed | Status::DiedUnexpectedly => true,
            Status::Unverifiable => observed.gone_at.is_some(),
            _ => false,
        });
    let is_alive = (seen.as_ref()).is_some_and(|(status, _)| *status == Status::StillAlive);
    let awaits = (arrival.latest.is_some() && !is_alive) || !has_been_looked;
    Check {
        awaits_look: !is_final && (awaits || !is_told),
        lapses: lapses.filter(|_| seen.is_none()),
        seen,
    }
}

/// The end of a key that nobody has any more.
fn end_of(history: &[KeyInterval]) -> Option<End> {
    let last = history.last()?;
    let gone_at = last.valid_to?;
    Some((last.last_seen.unwrap_or(last.observed_at), gone_at))
}

struct Case<'a> {
    inputs: &'a Inputs<'a>,
    touched: &'a Touched<'a>,
    judgement: &'a Judgement<'a>,
    look: Look,
    arrival: Arrival,
    end: Option<End>,
}

impl Case<'_> {
    fn verdict(&self) -> Option<(Status, Observed)> {
        let stops = matches!(self.judgement.fate, Fate::Dies | Fate::Dormant);
        match self.end {
            Some(end) if stops => self.stopped(end),
            Some(end) => Some(self.vanished(end)),
            None if self.has_shown() => self.listed(),
            None => None,
        }
    }

    /// Whether a complete look began after the change had come to the provider.
    fn has_shown(&self) -> bool {
        let (complete, latest) = (self.look.complete, self.arrival.latest);
        latest.is_some() && complete >= latest
    }

    /// It was to stop, and is gone.
    fn stopped(&self, (last_seen, gone_at): End) -> Option<(Status, Observed)> {
        // What a change at the provider is told together with is no check of it.
        if gone_at <= self.inputs.change.effective_at && !self.has_shown() {
            return None;
        }
        let came = self.arrival.latest.is_some() && gone_at > self.arrival.earliest;
        let is_own = self.expired_by(gone_at);
        let says = if is_own {
            "the key is gone; its own date had come as well"
        } else if came {
            "the key is gone, as predicted"
        } else {
            "the key is gone; it was ended before the change came to the provider"
        };
        let observed = self.gone((last_seen, gone_at), came && !is_own, says);
        Some((Status::Confirmed, observed))
    }

    /// It was to live, and is gone.
    fn vanished(&self, (last_seen, gone_at): End) -> (Status, Observed) {
        let Arrival {
            earliest, latest, ..
        } = self.arrival;
        let end = (last_seen, gone_at);
        let effective_at = self.inputs.change.effective_at;
        if latest.is_some_and(|latest| last_seen >= latest) {
            let says = "the key lived on, as predicted; somebody ended it later";
            return (Status::Confirmed, self.gone(end, true, says));
        }
        let came = latest.is_some() && gone_at > earliest;
        if !came && last_seen >= effective_at {
            let says = "the key lived on; somebody ended it before the change came to the provider";
            return (Status::Confirmed, self.gone(end, false, says));
        }
        if let Some(other) = self.overtaken_by(gone_at) {
            let says = format!(
                "the key is gone, and so it would be because of {} ({})",
                other.change, other.source
            );
            return (Status::Unverifiable, self.gone(end, false, &says));
        }
        if self.expired_by(gone_at) {
            let says = "the key is gone, and its own date had come";
            return (Status::Unverifiable, self.gone(end, false, says));
        }
        let says = "the key was predicted to live and is gone";
        (Status::DiedUnexpectedly, self.gone(end, came, says))
    }

    /// It is listed although the change has come to the provider.
    fn listed(&self) -> Option<(Status, Observed)> {
        let fate = self.judgement.fate;
        let (status, says) = match fate {
            Fate::Dies => (
                Status::StillAlive,
                "the key was predicted to die, and the provider still lists it",
            ),
            Fate::Survives => (Status::Confirmed, "the key is still listed, as predicted"),
            Fate::Shrinks if self.has_shrunk() => (
                Status::Confirmed,
                "the key no longer has what it was predicted to lose",
            ),
            // A list tells neither whether a key answers nor what its owner's role leaves of it.
            Fate::Shrinks | Fate::Dormant | Fate::Blocks | Fate::Unknown => return None,
        };
        let observed = Observed {
            expected_by: self.arrival.latest,
            gone_at: None,
            last_seen: None,
            tests_rule: true,
            says: says.to_owned(),
        };
        Some((status, observed))
    }

    fn has_shrunk(&self) -> bool {
        let lost = &self.judgement.lost_scopes;
        let had = |scope: &&String| self.touched.interval.scopes.contains(scope);
        let now = self.touched.key.history.last();
        let has = |scope: &&String| now.is_some_and(|now| now.scopes.contains(scope));
        lost.iter().any(|scope| had(&scope)) && !lost.iter().any(|scope| has(&scope))
    }

    fn unverifiable(&self) -> (Status, Observed) {
        let says = if self.has_shown() {
            "the provider lists the key, and no list says whether it works as before"
        } else {
            "no complete list of the provider came in time"
        };
        let observed = Observed {
            expected_by: self.arrival.latest,
            gone_at: None,
            last_seen: None,
            tests_rule: false,
            says: says.to_owned(),
        };
        (Status::Unverifiable, observed)
    }

    /// From when on nobody waits for a complete look any longer.
    fn lapses(&self, has_been_looked: bool) -> Option<Timestamp> {
        let from = match self.arrival.latest {
            Some(latest) => latest,
            // Whoever is still a member is waited for, as long as anybody looks.
            None if self.arrival.is_visible && has_been_looked => return None,
            None => self.inputs.change.effective_at,
        };
        // Whoever tells us late is not held against the provider.
        let heard = self.inputs.history.heard.get(&self.inputs.change.id);
        let from = heard.map_or(from, |heard| from.max(*heard));
        let within = SignedDuration::try_from(self.inputs.policy.verify_within);
        let by = from.saturating_add(within.unwrap_or(SignedDuration::MAX));
        by.ok().map(whole_microseconds)
    }

    /// What came with or after the change, before the key was seen gone, and takes more away than it
    /// does.
    fn overtaken_by(&self, gone_at: Timestamp) -> Option<&MembershipChange> {
        let (change, key) = (self.inputs.change, self.touched.key);
        let order = |one: &MembershipChange| (one.effective_at, one.published_at);
        let overtakes = |other: &&MembershipChange| {
            self.takes(other) > self.takes(change)
                && order(other) >= order(change)
                && Moment::of(other).from <= gone_at
                && self
                    .inputs
                    .policy
                    .covers(other, &key.provider, &key.project)
        };
        let found = self.inputs.history.changes.iter().filter(overtakes);
        found.min_by_key(|other| (order(other), other.id))
    }

    /// How much a change takes away, compared with others.
    fn takes(&self, change: &MembershipChange) -> u8 {
        match change.change {
            // Whoever another group keeps in the project loses a role there, and nothing more.
            _ if stays(self.inputs, change, self.touched.key) => 1,
            ChangeKind::Removed | ChangeKind::LeaveScheduled => 3,
            ChangeKind::Suspended => 2,
            ChangeKind::RoleChanged => 1,
            ChangeKind::Joined
            | ChangeKind::Reinstated
            | ChangeKind::Renamed
            | ChangeKind::LeaveCancelled => 0,
        }
    }

    fn expired_by(&self, gone_at: Timestamp) -> bool {
        let expires = self.touched.key.expires_at;
        expires.is_some_and(|expires| expires <= gone_at)
    }

    fn gone(&self, (last_seen, gone_at): End, tests_rule: bool, says: &str) -> Observed {
        Observed {
            expected_by: self.arrival.latest,
            gone_at: Some(gone_at),
            last_seen: Some(last_seen),
            tests_rule,
            says: says.to_owned(),
        }
    }
}
