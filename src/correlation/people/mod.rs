//! Who is who: a fold over everything known of a few accounts and addresses that touch each other.
//!
//! The answer is a function of what is known, in any order. Accounts come together by the
//! addresses they were seen with, by changes of address, by links and by decisions. An address
//! that somebody else gets later leads to two people, each in their time ([`tenure`]). Where two
//! can be meant, both are named, and nothing is guessed.

mod fold;
mod names;
mod tenure;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

pub use self::fold::fold;
use super::identity::Identities;
use crate::domain::{ChangeKind, Email, Scope, decision::Decided};

/// What says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A membership change, by its id.
    Change(String),
    /// An inventory, of the account.
    Inventory,
    /// A recorded preview, by its id.
    Preview(String),
}

/// An account, an address or both, as somebody told of them at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Who says so.
    pub subject: Subject,
    /// The source's or provider's name.
    pub system: String,
    /// The system's own id.
    pub account: Option<String>,
    /// In its one spelling.
    pub email: Option<Email>,
    /// The address until then, in its one spelling.
    pub formerly: Option<Email>,
    /// When it was so.
    pub at: Timestamp,
    /// The source's own order.
    pub published_at: Timestamp,
    /// Whether it may have been so for any time before.
    pub since_before: bool,
    /// What a change says.
    pub change: Option<(ChangeKind, Scope)>,
}

type Order<'a> = (
    Timestamp,
    Timestamp,
    &'a Subject,
    (&'a str, Option<&'a str>),
    Option<&'a Email>,
);

impl Sighting {
    /// The order of events: never that of arrival.
    fn order(&self) -> Order<'_> {
        let who = (self.system.as_str(), self.account.as_deref());
        let email = self.email.as_ref();
        (self.at, self.published_at, &self.subject, who, email)
    }

    fn is_of(&self, system: &str, account: &str) -> bool {
        self.system == system && self.account.as_deref() == Some(account)
    }

    fn kind(&self) -> Option<ChangeKind> {
        self.change.as_ref().map(|(kind, _)| *kind)
    }
}

/// Everything known of accounts and addresses that touch each other.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// What the operator configured.
    pub identities: &'a Identities,
    /// What was seen, in any order.
    pub sightings: Vec<Sighting>,
    /// What somebody decided and did not take back.
    pub decisions: Vec<Decided>,
}

/// Whose something is, by the people's one names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// This one's.
    One(String),
    /// One of theirs, and nobody knows whose: sorted, two at least.
    Perhaps(Vec<String>),
}

impl Whose {
    /// One of `names`.
    #[must_use]
    pub fn of(mut names: Vec<String>) -> Self {
        names.sort();
        names.dedup();
        if names.len() > 1 {
            Self::Perhaps(names)
        } else {
            Self::One(names.pop().unwrap_or_default())
        }
    }

    /// What to call whom it is about.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::One(name) => name.clone(),
            Self::Perhaps(names) => names.join(" or "),
        }
    }
}

/// Who had an address, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Which.
    pub email: Email,
    /// From when; absent: since before anything is known.
    pub since: Option<Timestamp>,
    /// Until when; absent: still, or until the next one.
    pub until: Option<Timestamp>,
    /// Who.
    pub person: String,
}

/// Who is who.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    /// Whose the accounts are, by system and id.
    pub accounts: Vec<((String, String), Whose)>,
    /// Whose the changes and previews are.
    pub subjects: Vec<(Subject, Whose)>,
    /// Who had the addresses, in order.
    pub holders: Vec<Holder>,
    /// One address, one account a system, nothing decided: whatever else is seen of these is the
    /// same person's.
    pub is_plain: bool,
}
