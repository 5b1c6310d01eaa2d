//! The words of Offkey as parsed types. No IO, no clock.

pub mod change;
pub mod consequence;
pub mod decision;
pub mod delivery;
pub mod fate;
pub mod id;
pub mod impact;
pub mod inventory;
pub mod json;
pub mod observed;
pub mod outcome;
pub mod passed;
pub mod person;
pub mod preview;
pub mod quarantine;
pub mod record;
pub mod reminder;
pub mod replay;
pub mod scope;
pub mod shared;

pub use change::{ChangeKind, MembershipChange, RoleChange};
pub use consequence::{Consequence, Replacement, Returns};
pub use fate::{Fate, Propagation};
pub use id::{ChangeId, ImpactId};
pub use impact::{Impact, Severity, Status};
pub use inventory::{
    Account, FormerAddress, Key, KeyInterval, KeyUse, Member, MemberInterval, Project,
};
pub use observed::Observed;
pub use outcome::{Outcome, OutcomeResult, Report};
pub use person::{Email, PersonRef};
pub use quarantine::{Quarantined, Refused};
pub use record::{Record, Topic, whole_microseconds};
pub use scope::Scope;
pub use shared::Shared;
