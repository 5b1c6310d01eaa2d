//! What the impacts of one report have in common: found out and written once.

use std::{cell::RefCell, collections::BTreeMap};

use super::{
    assess::Alike,
    inputs::Inputs,
    ownership::{Moment, undone_by},
    policy::ProviderFacts,
    severity::Decision,
    successor::successor,
};
use crate::domain::{
    Key, MembershipChange, Shared,
    impact::{Assessment, Contact, Evidence, Person, Successor},
};

/// What the impacts of one report have in common.
pub(super) struct Common<'a> {
    /// Whose change it is.
    pub(super) person: Shared<Person>,
    /// What undid the change.
    pub(super) undone_by: Option<&'a MembershipChange>,
    /// That the change was reported, and what undid it.
    pub(super) reported: Vec<Shared<Evidence>>,
    /// That somebody created a key, by provider and account.
    created: Memo<(&'a str, &'a str), Shared<String>>,
    /// Who takes keys over, by provider and project.
    heirs: Memo<(&'a str, &'a str), Heir>,
    /// How bad it is, by what that depends on.
    assessed: Memo<Alike<'a>, Shared<Assessment>>,
    /// The rows of the severity table, in words.
    rows: Memo<Option<usize>, Shared<String>>,
}

/// Who takes keys over, and may be asked to act.
#[derive(Clone)]
pub(super) struct Heir {
    pub(super) successor: Shared<Successor>,
    pub(super) responsible: Option<Shared<Contact>>,
}

impl<'a> Common<'a> {
    pub(super) fn new(inputs: &Inputs<'a>, person: Shared<Person>) -> Self {
        let undone_by = undone_by(&inputs.history.changes, inputs.change);
        Self {
            person,
            undone_by,
            reported: reported(inputs, undone_by),
            created: Memo::default(),
            heirs: Memo::default(),
            assessed: Memo::default(),
            rows: Memo::default(),
        }
    }

    /// That `who` created a key of `provider`.
    pub(super) fn created(&self, provider: &'a str, who: &'a str) -> Shared<String> {
        self.created.get((provider, who), || {
            format!("{provider} says that {who} created the key").into()
        })
    }

    /// Who takes `key` over.
    pub(super) fn heir(&self, inputs: &Inputs<'a>, key: &'a Key, facts: &ProviderFacts) -> Heir {
        self.heirs.get((&key.provider, &key.project), || {
            let successor = successor(inputs, key, Moment::of(inputs.change), facts);
            let responsible = match &successor {
                Successor::Found(contact) => Some(contact.clone().into()),
                Successor::None { .. } => None,
            };
            Heir {
                successor: successor.into(),
                responsible,
            }
        })
    }

    /// How bad it is, as of all that are `alike`.
    pub(super) fn assessed(
        &self,
        alike: Alike<'a>,
        assess: impl FnOnce() -> Shared<Assessment>,
    ) -> Shared<Assessment> {
        self.assessed.get(alike, assess)
    }

    /// What decided how bad it is, in words.
    pub(super) fn decided_by(&self, inputs: &Inputs<'_>, decision: &Decision) -> Shared<String> {
        let said = || decision.said(&inputs.policy.severity).into();
        self.rows.get(decision.row, said)
    }
}

fn reported(inputs: &Inputs<'_>, undone_by: Option<&MembershipChange>) -> Vec<Shared<Evidence>> {
    let Inputs {
        change, history, ..
    } = *inputs;
    let between = change.not_before.map_or_else(String::new, |from| {
        format!(", at some time from {from} to {}", change.effective_at)
    });
    let fact = format!(
        "{} reported {} of {}{between}",
        change.source, change.change, history.person
    );
    let first = Evidence {
        fact: fact.into(),
        at: Some(change.effective_at),
    };
    let later = undone_by.map(|later| Evidence {
        fact: format!("{} reported {} later", later.source, later.change).into(),
        at: Some(later.effective_at),
    });
    [first].into_iter().chain(later).map(Shared::from).collect()
}

/// What was made before, by what it was made for.
struct Memo<K, V> {
    all: RefCell<BTreeMap<K, V>>,
    /// What was asked for last: keys come by place, and neighbours are alike.
    last: RefCell<Option<(K, V)>>,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self {
            all: RefCell::default(),
            last: RefCell::default(),
        }
    }
}

impl<K: Ord + Clone, V: Clone> Memo<K, V> {
    fn get(&self, key: K, make: impl FnOnce() -> V) -> V {
        if let Some((last, value)) = &*self.last.borrow()
            && *last == key
        {
            return value.clone();
        }
        let mut all = self.all.borrow_mut();
        let value = all.entry(key.clone()).or_insert_with(make).clone();
        self.last.replace(Some((key, value.clone())));
        value
    }
}
