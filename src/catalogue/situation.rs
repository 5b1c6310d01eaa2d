//! What a change is to a provider.

use serde::{Deserialize, Serialize};

/// What a change is to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Situation {
    /// Somebody removed the member.
    MemberRemoved,
    /// The member left.
    MemberLeft,
    /// The account is deleted.
    AccountDeleted,
    /// The member is locked out and may come back.
    Suspended,
    /// The member may do less.
    RoleLowered,
    /// The member is taken out of one project, team or group and stays in the others.
    ProjectLost,
    /// The member is let in again after a suspension or a removal.
    Reinstated,
    /// The key's own date has passed.
    KeyExpired,
    /// The member is invited again.
    Invited,
    /// The member to be removed is the last owner.
    LastOwner,
}

impl Situation {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::MemberRemoved,
        Self::MemberLeft,
        Self::AccountDeleted,
        Self::Suspended,
        Self::RoleLowered,
        Self::ProjectLost,
        Self::Reinstated,
        Self::KeyExpired,
        Self::Invited,
        Self::LastOwner,
    ];

    /// Those that the catalogue answers for every credential class, be it with `unknown`.
    pub const ANSWERED: [Self; 8] = [
        Self::MemberRemoved,
        Self::MemberLeft,
        Self::AccountDeleted,
        Self::Suspended,
        Self::RoleLowered,
        Self::ProjectLost,
        Self::Reinstated,
        Self::KeyExpired,
    ];

    /// The name in files, JSON and tables.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::MemberRemoved => "member_removed",
            Self::MemberLeft => "member_left",
            Self::AccountDeleted => "account_deleted",
            Self::Suspended => "suspended",
            Self::RoleLowered => "role_lowered",
            Self::ProjectLost => "project_lost",
            Self::Reinstated => "reinstated",
            Self::KeyExpired => "key_expired",
            Self::Invited => "invited",
            Self::LastOwner => "last_owner",
        }
    }
}

impl std::fmt::Display for Situation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

impl std::str::FromStr for Situation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|known| known.label() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::label).join(", ");
                format!("{text:?} is no situation; known are {known}")
            })
    }
}
