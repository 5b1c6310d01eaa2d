//! What people are called, and who had which address.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    Holder,
    fold::{Node, Work},
};
use crate::correlation::identity::Link;

/// What somebody can be called; the least of several is the best.
type Name = (u8, Option<Timestamp>, String);

impl Work<'_> {
    /// Whether a link says that the node is its person's.
    pub(super) fn says(&self, link: &Link, node: &Node) -> bool {
        let rules = &self.facts.identities.rules;
        match node {
            Node::Account(system, id) => link.accounts.contains(&format!("{system}:{id}")),
            Node::Address(email, _) => std::iter::once(&link.person)
                .chain(&link.emails)
                .any(|known| rules.spell(known) == *email),
        }
    }

    pub(super) fn holders(&self, names: &BTreeMap<usize, String>) -> Vec<Holder> {
        let holder = |(node, number): (&Node, &usize)| {
            let Node::Address(email, tenure) = node else {
                return None;
            };
            let all = self.tenures.get(email);
            let tenure = all.and_then(|all| all.get(*tenure));
            Some(Holder {
                email: email.clone(),
                since: tenure.and_then(|tenure| tenure.since),
                until: tenure.and_then(|tenure| tenure.until),
                person: names[&self.root(*number)].clone(),
            })
        };
        self.nodes.iter().filter_map(holder).collect()
    }

    /// Everybody's one name: what a link says, else the address that was seen first, else the
    /// account.
    pub(super) fn names(&self) -> BTreeMap<usize, String> {
        let mut all: BTreeMap<usize, BTreeSet<Name>> = BTreeMap::new();
        for (node, number) in &self.nodes {
            let rules = &self.facts.identities.rules;
            let mut links = self.facts.identities.links.iter();
            let found = match links.find(|link| self.says(link, node)) {
                Some(link) => (0, None, rules.spell(&link.person).to_string()),
                None => self.own_name(node, *number),
            };
            all.entry(self.root(*number)).or_default().insert(found);
        }
        let best = all.into_iter().map(|(root, names)| {
            let name = names.into_iter().next().map(|(.., name)| name);
            (root, name.unwrap_or_default())
        });
        best.collect()
    }

    fn own_name(&self, node: &Node, number: usize) -> Name {
        match node {
            Node::Account(system, id) => (2, None, format!("{system}:{id}")),
            Node::Address(email, tenure) => {
                let at = self.seen.get(&number).copied().unwrap_or(Timestamp::MAX);
                let all = self.tenures.get(email);
                let founder = all
                    .and_then(|all| all.get(*tenure))
                    .and_then(|tenure| tenure.founder.as_ref());
                let name = founder.map_or_else(
                    || email.to_string(),
                    |(system, id)| format!("{email} ({system}:{id})"),
                );
                (1, Some(at), name)
            }
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        let (mut systems, mut addresses) = (BTreeSet::new(), 0);
        let is_alone = self.nodes.keys().all(|node| match node {
            Node::Account(system, _) => systems.insert(system),
            Node::Address(..) => {
                addresses += 1;
                addresses == 1
            }
        });
        is_alone && self.facts.decisions.is_empty()
    }
}
