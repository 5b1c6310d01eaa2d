//! What a report depends on, and nothing else.

use super::{ownership::PersonHistory, policy::Policy};
use crate::{catalogue::Catalogue, domain::MembershipChange};

/// Everything a report depends on.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What happened.
    pub change: &'a MembershipChange,
    /// What is known of the person, whenever it was learnt.
    pub history: &'a PersonHistory,
    /// What providers do.
    pub catalogue: &'a Catalogue,
    /// What the operator decided.
    pub policy: &'a Policy,
}
