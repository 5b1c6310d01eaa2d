//! Who had an address when: one that somebody else gets later is another person's from then on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Sighting;
use crate::domain::{ChangeKind, Email, Scope};

/// A time during which an address led to one person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tenure {
    /// Absent: the first one.
    pub(super) since: Option<Timestamp>,
    /// When whoever had it left it, where somebody else got it since.
    pub(super) until: Option<Timestamp>,
    /// The account with which it begins.
    pub(super) founder: Option<(String, String)>,
    /// The sources' accounts that are known to have had it, by system.
    accounts: BTreeMap<String, BTreeSet<String>>,
}

impl Tenure {
    fn starts_by(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at)
    }

    fn holds_at(&self, at: Timestamp) -> bool {
        self.starts_by(at) && self.until.is_none_or(|until| until > at)
    }

    /// Whether the account had the address in this tenure.
    pub(super) fn has(&self, system: &str, account: &str) -> bool {
        self.accounts
            .get(system)
            .is_some_and(|known| known.contains(account))
    }
}

/// The tenures of `email`, oldest first; `sightings` are in order.
///
/// A new one begins where an account of a source comes in under the address, or takes it, while
/// another account of that source had it: when that one had left, they follow each other, and
/// otherwise they overlap.
pub(super) fn tenures(email: &Email, sightings: &[&Sighting]) -> Vec<Tenure> {
    let mut firsts: BTreeMap<(&str, &str), &Sighting> = BTreeMap::new();
    for &one in sightings {
        if let (Some(account), Some(_)) = (&one.account, &one.change)
            && one.email.as_ref() == Some(email)
        {
            firsts.entry((&one.system, account)).or_insert(one);
        }
    }
    let had_another = |system: &str, account: &str, first: &Sighting| {
        let mut own = sightings.iter().filter(|one| one.is_of(system, account));
        own.any(|one| one.order() < first.order() && one.email.as_ref().is_some_and(|e| e != email))
    };
    let mut all = vec![Tenure::default()];
    let (mut later, mut before) = (Vec::new(), Vec::new());
    for ((system, account), first) in firsts {
        if is_taking(first) || had_another(system, account, first) {
            later.push((system, account, first));
        } else {
            // Whoever is not seen to come in was there before, where their source shows that.
            all[0].add(system, account);
            before.push((system, account));
        }
    }
    later.sort_by_key(|(.., first)| first.order());
    for (system, account, first) in later {
        let Some(current) = all.last_mut() else {
            continue;
        };
        if !is_taking(first) {
            // Seen with it in passing: theirs only where no other account of the source has it.
            if !current.accounts.contains_key(system) {
                current.add(system, account);
            }
            continue;
        }
        let Some(left) = current.left_to(first, email, sightings) else {
            current.add(system, account);
            continue;
        };
        current.until = left.until;
        let mut next = Tenure {
            since: Some(first.at),
            founder: Some((system.to_owned(), account.to_owned())),
            ..Tenure::default()
        };
        next.add(system, account);
        all.push(next);
    }
    let shown: BTreeSet<String> = all
        .iter()
        .filter_map(|tenure| Some(tenure.founder.as_ref()?.0.clone()))
        .collect();
    for (system, account) in before {
        if !shown.contains(system)
            && let Some(known) = all[0].accounts.get_mut(system)
        {
            known.remove(account);
        }
    }
    all
}

/// Whether a change brings its account to the address that it tells.
fn is_taking(one: &Sighting) -> bool {
    matches!(one.kind(), Some(ChangeKind::Joined | ChangeKind::Renamed))
}

/// Whoever had the address is somebody else.
struct Left {
    until: Option<Timestamp>,
}

impl Tenure {
    fn add(&mut self, system: &str, account: &str) {
        let known = self.accounts.entry(system.to_owned()).or_default();
        known.insert(account.to_owned());
    }

    /// Whether the account of `taking` is somebody else than whoever has the address in this
    /// tenure, and until when those had it.
    fn left_to(&self, taking: &Sighting, email: &Email, all: &[&Sighting]) -> Option<Left> {
        let known = self.accounts.get(&taking.system)?;
        let others: Vec<&String> = known
            .iter()
            .filter(|one| Some(*one) != taking.account.as_ref())
            .collect();
        if others.is_empty() {
            return None;
        }
        let leavings = |by_themselves: bool| -> Vec<Option<Timestamp>> {
            others
                .iter()
                .map(|account| self.left_at((account, by_themselves), taking, email, all))
                .collect()
        };
        let before = leavings(false);
        if let Some(last) = before.iter().copied().collect::<Option<Vec<_>>>() {
            return Some(Left {
                until: last.into_iter().max(),
            });
        }
        // Within a part of a system the same person can well have a second account.
        let (_, scope) = taking.change.as_ref()?;
        if *scope != (Scope::Organisation {}) {
            return None;
        }
        let later: Option<Vec<_>> = leavings(true).into_iter().collect();
        Some(Left {
            until: later.and_then(|all| all.into_iter().max()),
        })
    }

    /// When `account` left, or left the address: by the time of `taking`, or ever, as its own
    /// source says (`by_itself`).
    fn left_at(
        &self,
        (account, by_itself): (&str, bool),
        taking: &Sighting,
        email: &Email,
        all: &[&Sighting],
    ) -> Option<Timestamp> {
        let mut left = None;
        for one in all {
            let is_own = one.is_of(&taking.system, account);
            let is_other = one.system == taking.system && one.account.is_some() && !is_own;
            let names = [&one.email, &one.formerly];
            let by_address = !is_other && names.contains(&&Some(email.clone()));
            let is_in_time = by_itself || one.at <= taking.at;
            if !is_in_time || !self.starts_by(one.at) || !(is_own || by_address && !by_itself) {
                continue;
            }
            let Some((kind, scope)) = &one.change else {
                continue;
            };
            let reaches = scope.includes(
                taking
                    .change
                    .as_ref()
                    .map_or(&Scope::Organisation {}, |(_, scope)| scope),
            );
            let is_away = one.email.as_ref().is_some_and(|now| now != email)
                && (is_own || one.formerly.as_ref() == Some(email));
            match kind {
                _ if is_away => left = left.or(Some(one.at)),
                ChangeKind::Renamed if is_own && one.email.is_some() => left = None,
                ChangeKind::Removed if reaches => left = left.or(Some(one.at)),
                ChangeKind::LeaveScheduled if reaches && !is_cancelled(one, all) => {
                    left = left.or(Some(one.at));
                }
                ChangeKind::Joined | ChangeKind::Reinstated if is_own => left = None,
                _ => {}
            }
        }
        left
    }
}

/// Whether somebody said later that the scheduled leave `leave` does not come.
fn is_cancelled(leave: &Sighting, all: &[&Sighting]) -> bool {
    all.iter().any(|one| {
        let is_same =
            one.system == leave.system && one.account == leave.account && one.email == leave.email;
        is_same
            && one.kind() == Some(ChangeKind::LeaveCancelled)
            && one.published_at > leave.published_at
    })
}

/// The tenures in which something of `kind` that was seen with the address at `at` can have been:
/// by their numbers, one at least.
pub(super) fn candidates(tenures: &[Tenure], at: Timestamp, one: &Sighting) -> Vec<usize> {
    let numbers = || 0..tenures.len();
    let alive: Vec<usize> = numbers().filter(|&n| tenures[n].holds_at(at)).collect();
    if !alive.is_empty() {
        return alive;
    }
    // Nobody had it: the last one had left, and the next one had not come.
    let before = numbers().rfind(|&n| tenures[n].starts_by(at)).unwrap_or(0);
    match one.kind() {
        // Nobody was ever seen with it.
        _ if tenures.is_empty() => vec![before],
        Some(ChangeKind::Joined) => vec![before + 1],
        None if one.account.is_some() => vec![before, before + 1],
        _ => vec![before],
    }
}
