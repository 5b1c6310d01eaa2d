//! The fold itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    Facts, Fold, Sighting, Subject, Whose,
    tenure::{Tenure, candidates, tenures},
};
use crate::domain::{
    ChangeKind, Email,
    decision::{Anchor, Decided},
};

/// An account, or an address in one of its tenures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    Account(String, String),
    Address(Email, usize),
}

/// Says who is who.
#[must_use]
pub fn fold(facts: &Facts<'_>) -> Fold {
    let mut sightings: Vec<&Sighting> = facts.sightings.iter().collect();
    sightings.sort_by(|a, b| a.order().cmp(&b.order()));
    let mut work = Work::new(facts, sightings);
    work.join_accounts();
    work.join_by_hand();
    work.join_changed_addresses();
    work.finish()
}

pub(super) struct Work<'a> {
    pub(super) facts: &'a Facts<'a>,
    /// In order.
    sightings: Vec<&'a Sighting>,
    pub(super) tenures: BTreeMap<Email, Vec<Tenure>>,
    pub(super) nodes: BTreeMap<Node, usize>,
    /// Each node's parent, itself at a root.
    parents: Vec<usize>,
    /// When something was first seen of an address.
    pub(super) seen: BTreeMap<usize, Timestamp>,
    /// Accounts whose only address leads to several people.
    doubtful: BTreeMap<Node, Vec<usize>>,
    /// What names an account of one person and an address of another, by its place in `sightings`.
    torn: BTreeMap<usize, [usize; 2]>,
}

impl<'a> Work<'a> {
    fn new(facts: &'a Facts<'a>, sightings: Vec<&'a Sighting>) -> Self {
        let named = |one: &&'a Sighting| [one.email.as_ref(), one.formerly.as_ref()];
        let emails: BTreeSet<&Email> = sightings.iter().flat_map(named).flatten().collect();
        let tenures = emails
            .into_iter()
            .map(|email| (email.clone(), tenures(email, &sightings)))
            .collect();
        Self {
            facts,
            sightings,
            tenures,
            nodes: BTreeMap::new(),
            parents: Vec::new(),
            seen: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            torn: BTreeMap::new(),
        }
    }

    fn node(&mut self, node: Node) -> usize {
        let next = self.parents.len();
        let found = *self.nodes.entry(node).or_insert(next);
        if found == next {
            self.parents.push(next);
        }
        found
    }

    pub(super) fn root(&self, mut node: usize) -> usize {
        while self.parents[node] != node {
            node = self.parents[node];
        }
        node
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parents[one.max(other)] = one.min(other);
    }

    /// The nodes that an address can mean where `one` tells of it, one at least.
    fn addresses(&mut self, email: &Email, one: &Sighting) -> Vec<usize> {
        let all = self
            .tenures
            .get(email)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let founded = one.account.as_ref().and_then(|account| {
            let mut numbers = 0..all.len();
            numbers.find(|&n| all[n].has(&one.system, account))
        });
        let numbers = match founded {
            Some(number) => vec![number],
            None => {
                let mut numbers = candidates(all, one.at, one);
                if one.since_before {
                    // It may have been so for any time before.
                    let last = numbers.last().copied().unwrap_or(0);
                    numbers = (0..=last).collect();
                }
                numbers
            }
        };
        let nodes = numbers.into_iter().map(|n| Node::Address(email.clone(), n));
        let nodes: Vec<usize> = nodes.map(|node| self.node(node)).collect();
        if let [only] = nodes[..] {
            let first = self.seen.entry(only).or_insert(one.at);
            *first = one.at.min(*first);
        }
        nodes
    }

    fn is_apart(&self, anchor: &Anchor) -> bool {
        self.facts
            .decisions
            .iter()
            .any(|decision| matches!(decision, Decided::Split { apart } if apart == anchor))
    }

    /// Every account comes to the address that it was first seen with.
    fn join_accounts(&mut self) {
        for number in 0..self.sightings.len() {
            let one = self.sightings[number];
            let Some(id) = &one.account else {
                // So that it is known since when the address was seen.
                let email = one.email.iter().chain(&one.formerly);
                email.for_each(|email| drop(self.addresses(email, one)));
                continue;
            };
            let name = Node::Account(one.system.clone(), id.clone());
            let is_first = !self.nodes.contains_key(&name);
            let account = self.node(name.clone());
            let Some((first, email)) = is_first
                .then(|| self.first_address(&one.system, id))
                .flatten()
            else {
                continue;
            };
            let addresses = self.addresses(&email, first);
            match addresses[..] {
                [only] => self.join(account, only),
                _ => drop(self.doubtful.insert(name, addresses)),
            }
        }
    }

    /// The address that an account was first seen with, else the one that its id tells.
    fn first_address(&self, system: &str, id: &str) -> Option<(&'a Sighting, Email)> {
        let is_apart = self.is_apart(&Anchor::Account {
            system: system.to_owned(),
            id: id.to_owned(),
        });
        let mut own = self.sightings.iter().filter(|one| one.is_of(system, id));
        let first = own.clone().next().filter(|_| !is_apart)?;
        let seen = own.find_map(|one| Some((*one, one.email.clone()?)));
        seen.or_else(|| Some((*first, self.facts.identities.rules.read(system, id)?)))
    }

    /// What is configured and what was decided.
    fn join_by_hand(&mut self) {
        let known: Vec<(Node, usize)> = self
            .nodes
            .iter()
            .map(|(node, number)| (node.clone(), *number))
            .collect();
        for link in &self.facts.identities.links {
            let mut theirs = known.iter().filter(|(node, _)| self.says(link, node));
            if let Some((_, first)) = theirs.next() {
                let others: Vec<usize> = theirs.map(|(_, other)| *other).collect();
                others
                    .into_iter()
                    .for_each(|other| self.join(*first, other));
            }
        }
        let facts = self.facts;
        for decision in &facts.decisions {
            if let Decided::Merge { one, other } = decision {
                let (one, other) = (self.anchor(one), self.anchor(other));
                self.join(one, other);
            }
        }
    }

    fn anchor(&mut self, anchor: &Anchor) -> usize {
        self.node(match anchor {
            Anchor::Account { system, id } => Node::Account(system.clone(), id.clone()),
            Anchor::Address(email) => Node::Address(self.facts.identities.rules.spell(email), 0),
        })
    }

    /// Accounts that were seen with another address later, and addresses that became others.
    fn join_changed_addresses(&mut self) {
        for is_told in [true, false] {
            for number in 0..self.sightings.len() {
                let one = self.sightings[number];
                if is_told == (one.kind() == Some(ChangeKind::Renamed)) {
                    self.join_changed_address(number, is_told);
                }
            }
        }
    }

    /// One of them; `is_told`: its source says that it changed. Otherwise the address counts as
    /// the account's unless it was somebody else's already.
    fn join_changed_address(&mut self, number: usize, is_told: bool) {
        let one = self.sightings[number];
        let account = one
            .account
            .as_ref()
            .map(|id| Node::Account(one.system.clone(), id.clone()));
        let mut ends: Vec<usize> = Vec::new();
        if let Some(node) = &account {
            let Node::Account(system, id) = node else {
                return;
            };
            let (system, id) = (system.clone(), id.clone());
            if self.is_apart(&Anchor::Account { system, id }) {
                return;
            }
            if !self.doubtful.contains_key(node) {
                ends.push(self.node(node.clone()));
            }
        }
        for email in one.email.iter().chain(&one.formerly) {
            let apart = self.is_apart(&Anchor::Address(email.clone()));
            let addresses = self.addresses(email, one);
            let [address] = addresses[..] else { continue };
            let is_known = ends.iter().any(|end| self.root(*end) == self.root(address));
            if is_known || apart && !ends.is_empty() {
                continue;
            }
            match (ends.first().copied(), is_told) {
                (Some(end), false) if self.is_others(address, one) => {
                    self.torn.insert(number, [end, address]);
                }
                (Some(end), _) => self.join(end, address),
                (None, _) => ends.push(address),
            }
        }
    }

    /// Whether an account of somebody else had the address before `one`, or has it in a system in
    /// which that one has another.
    fn is_others(&self, address: usize, one: &Sighting) -> bool {
        let root = self.root(address);
        self.nodes.iter().any(|(node, number)| {
            let Node::Account(system, id) = node else {
                return false;
            };
            let mut own = self.sightings.iter().filter(|seen| seen.is_of(system, id));
            self.root(*number) == root
                && !one.is_of(system, id)
                && (*system == one.system || own.any(|seen| seen.at <= one.at))
        })
    }

    fn finish(self) -> Fold {
        let names = self.names();
        let name = |node: &usize| names[&self.root(*node)].clone();
        let whose = |nodes: &[usize]| Whose::of(nodes.iter().map(name).collect());
        let mut accounts = BTreeMap::new();
        for (node, number) in &self.nodes {
            let Node::Account(system, id) = node else {
                continue;
            };
            let is_alone = |number: usize| {
                let mut others = self.nodes.values().filter(|other| **other != number);
                !others.any(|other| self.root(*other) == self.root(number))
            };
            let torn = self.torn.iter().find_map(|(place, ends)| {
                let one = self.sightings[*place];
                (one.subject == Subject::Inventory && one.is_of(system, id)).then_some(ends)
            });
            let found = match (self.doubtful.get(node), torn) {
                (Some(addresses), _) if is_alone(*number) => whose(addresses),
                (_, Some(ends)) => whose(ends),
                _ => whose(&[*number]),
            };
            accounts.insert((system.clone(), id.clone()), found);
        }
        let mut subjects = Vec::new();
        for (number, one) in self.sightings.iter().enumerate() {
            if one.subject == Subject::Inventory {
                continue;
            }
            let own = one.account.as_ref();
            let own = own.and_then(|id| accounts.get(&(one.system.clone(), id.clone())));
            let found = match (self.torn.get(&number), own) {
                (Some(ends), _) => whose(ends),
                (None, Some(found)) => found.clone(),
                (None, None) => whose(&self.known_addresses(one)),
            };
            subjects.push((one.subject.clone(), found));
        }
        Fold {
            holders: self.holders(&names),
            is_plain: self.is_plain(),
            accounts: accounts.into_iter().collect(),
            subjects,
        }
    }

    /// The nodes that the address of a sighting without an account can mean.
    fn known_addresses(&self, one: &Sighting) -> Vec<usize> {
        let Some(email) = &one.email else {
            return Vec::new();
        };
        let numbers = candidates(&self.tenures[email], one.at, one);
        let node = |number| {
            self.nodes
                .get(&Node::Address(email.clone(), number))
                .copied()
        };
        numbers.into_iter().filter_map(node).collect()
    }
}
