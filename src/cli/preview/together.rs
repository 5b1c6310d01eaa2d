//! Changes that are imagined together: whoever leaves in one of them takes no key over in another.

use std::collections::BTreeMap;

use crate::{
    correlation::{PersonHistory, ownership::Departure},
    domain::{ChangeKind, MembershipChange},
    projection::{ProjectionError, read::Reader},
};

/// Where those leave who could take keys over; of everybody else nothing is kept.
#[derive(Debug, Default)]
pub(super) struct Together(BTreeMap<String, Leaver>);

#[derive(Debug)]
struct Leaver {
    /// What happened to them, and what is imagined.
    changes: Vec<MembershipChange>,
    departures: Vec<Departure>,
}

impl Together {
    /// Notes an imagined change of `person`.
    pub(super) fn expect(
        &mut self,
        reader: Reader<'_>,
        person: String,
        change: MembershipChange,
    ) -> Result<(), ProjectionError> {
        let leaves = match change.change {
            ChangeKind::Removed | ChangeKind::Suspended | ChangeKind::LeaveScheduled => true,
            ChangeKind::Joined
            | ChangeKind::Reinstated
            | ChangeKind::RoleChanged
            | ChangeKind::Renamed
            | ChangeKind::LeaveCancelled => false,
        };
        if !leaves || !reader.leads(&person)? {
            return Ok(());
        }
        let mut changes = match self.0.remove(&person) {
            Some(leaver) => leaver.changes,
            None => reader.changes_of(&person)?,
        };
        changes.push(change);
        let departures = Departure::among(&changes);
        let leaver = Leaver {
            changes,
            departures,
        };
        self.0.insert(person, leaver);
        Ok(())
    }

    /// Adds to what is known of one person who else leaves.
    pub(super) fn note_in(
        &self,
        reader: Reader<'_>,
        history: &mut PersonHistory,
    ) -> Result<(), ProjectionError> {
        if self.0.keys().all(|person| *person == history.person) {
            return Ok(());
        }
        for member in &history.members {
            let (provider, account) = (&member.provider, &member.account.id);
            let Some(person) = reader.person_behind(provider, account)? else {
                continue;
            };
            if let Some(leaver) = self.0.get(&person) {
                let account = (provider.clone(), account.clone());
                history
                    .departures
                    .insert(account, leaver.departures.clone());
            }
        }
        Ok(())
    }
}
