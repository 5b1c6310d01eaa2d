//! What groups give in one project.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    catalogue::Catalogue,
    correlation::{
        inputs::Inputs,
        ownership::{Moment, membership},
    },
    domain::Key,
};

/// What a group gives in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gift<'a> {
    pub(super) source: &'a str,
    pub(super) group: &'a str,
    /// Absent: nobody says which.
    pub(super) role: Option<&'a str>,
}

impl Gift<'_> {
    pub(super) fn is_of(self, other: Gift<'_>) -> bool {
        (self.source, self.group) == (other.source, other.group)
    }

    /// That the group has the person.
    pub(super) fn stays(self) -> String {
        let (source, group) = (self.source, self.group);
        let gives = self.role.map_or_else(
            || "which opens the project as well".to_owned(),
            |role| format!("which gives {role} in the project"),
        );
        format!("{source} has the person in the group {group}, {gives}")
    }

    /// That the group has the person, or not.
    pub(super) fn is_unsure(self) -> String {
        let (source, group) = (self.source, self.group);
        format!(
            "the person left everything and came back, and nobody said whether to {source}'s group \
             {group}"
        )
    }

    pub(super) fn says_no_role(self) -> String {
        let (source, group) = (self.source, self.group);
        format!("nobody says which role {source}'s group {group} gives")
    }
}

/// The role that a provider showed, how high it stands, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) role: &'a str,
    pub(super) rank: usize,
    pub(super) since: Option<Timestamp>,
}

/// A project, and what each of the groups gives that open it.
#[derive(Debug)]
pub(super) struct Place<'a> {
    catalogue: &'a Catalogue,
    kind: &'a str,
    gifts: BTreeMap<(&'a str, &'a str), Option<&'a str>>,
}

impl<'a> Place<'a> {
    /// The project of `key`; nothing: its provider is not configured.
    pub(super) fn of(inputs: &Inputs<'a>, key: &Key) -> Option<Self> {
        let (policy, catalogue) = (inputs.policy, inputs.catalogue);
        let mut place = Place {
            catalogue,
            kind: &policy.providers.get(&key.provider)?.kind,
            gifts: BTreeMap::new(),
        };
        let opening = policy.groups.iter();
        for one in opening.filter(|one| one.opens(&key.provider, &key.project)) {
            let name = (one.source.as_str(), one.group.as_str());
            let known = place.gifts.get(&name).copied().flatten();
            // A group that is named twice gives the higher of its roles.
            let roles = known.into_iter().chain(one.role.as_deref());
            let best = roles.min_by_key(|role| place.rank_of(role).unwrap_or(usize::MAX));
            place.gifts.insert(name, best);
        }
        Some(place)
    }

    /// What every group gives.
    pub(super) fn gifts(&self) -> impl Iterator<Item = Gift<'a>> {
        let all = self.gifts.iter();
        all.map(|(&(source, group), &role)| Gift {
            source,
            group,
            role,
        })
    }

    /// What one group gives; nothing: it does not open the project.
    pub(super) fn gift(&self, source: &str, group: &str) -> Option<Gift<'a>> {
        let mut all = self.gifts();
        all.find(|gift| gift.source == source && gift.group == group)
    }

    /// How high a role stands; 0 is the highest.
    pub(super) fn rank_of(&self, role: &str) -> Option<usize> {
        self.catalogue.rank(self.kind, role)
    }

    /// How high what a group gives stands; what nobody can compare comes last.
    pub(super) fn rank(&self, gift: Gift<'_>) -> usize {
        let rank = gift.role.and_then(|role| self.rank_of(role));
        rank.unwrap_or(usize::MAX)
    }

    /// Whether whoever has what `one` gives lacks nothing of what `other` gives.
    pub(super) fn is_enough(&self, one: Gift<'_>, other: Gift<'_>) -> bool {
        let Some(role) = one.role else {
            return false;
        };
        let rank = self.rank_of(role);
        let at_most = other.role.and_then(|other| self.rank_of(other));
        let is_higher = rank.zip(at_most).is_some_and(|(rank, other)| rank <= other);
        rank == Some(0) || is_higher || other.role == Some(role)
    }

    /// The role that the provider showed of an account when the change of `inputs` happened.
    pub(super) fn shown<'b>(
        &self,
        inputs: &Inputs<'b>,
        key: &Key,
        account: &str,
    ) -> Option<Shown<'b>> {
        let mut members = inputs.history.members.iter();
        let member = members.find(|member| {
            member.provider == key.provider
                && member.project == key.project
                && member.account.id == account
        })?;
        let interval = membership(member, Moment::of(inputs.change))?;
        let roles = interval.roles.iter();
        let ranked = roles.filter_map(|role| Some((self.rank_of(role)?, role)));
        let (rank, role) = ranked.min()?;
        Some(Shown {
            role,
            rank,
            since: interval.valid_from,
        })
    }
}
