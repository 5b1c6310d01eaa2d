//! Roles and what they allow.
//!
//! Facts: developers.deepgram.com, "Working with Roles & API Scopes". The names of permissions
//! are Deepgram's; `:own` marks our reading of "only for keys they created".

use serde::{Deserialize, Serialize};

/// A member's role in one project, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Uses the API and makes keys.
    Member,
    /// Also sees everything, and manages members and admins.
    Admin,
    /// May do everything.
    Owner,
}

const MEMBER: &[&str] = &[
    "project:read",
    "project:write",
    "usage:read",
    "usage:write",
    "keys:read:own",
    "keys:write:own",
];

const ADMIN: &[&str] = &[
    "keys:read",
    "members:read",
    "members:read:invites",
    "members:read:scopes",
    "members:write",
    "members:write:invites",
    "members:write:scopes",
    "members:write:kick",
    "admins:read",
    "admins:read:invites",
    "admins:read:scopes",
    "admins:write",
    "admins:write:invites",
    "admins:write:scopes",
    "admins:write:kick",
    "owners:read",
    "owners:read:invites",
    "owners:read:scopes",
    "billing:read",
];

const OWNER: &[&str] = &[
    "keys:write",
    "owners:write",
    "owners:write:invites",
    "owners:write:scopes",
    "owners:write:kick",
    "project:write:settings",
    "project:write:destroy",
    "billing:write",
];

impl Role {
    /// The role's name on the wire.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Member, Self::Admin, Self::Owner]
            .into_iter()
            .find(|role| role.label() == name)
    }

    /// The permission to do `what` (as in `write:kick`) to somebody of this role.
    #[must_use]
    pub(crate) fn permission(self, what: &str) -> String {
        format!("{}s:{what}", self.label())
    }

    fn grants(self, permission: &str) -> bool {
        let own: &[&[&str]] = match self {
            Self::Member => &[MEMBER],
            Self::Admin => &[MEMBER, ADMIN],
            Self::Owner => &[MEMBER, ADMIN, OWNER],
        };
        own.iter()
            .any(|list| list.iter().any(|scope| covers(scope, permission)))
    }
}

fn covers(scope: &str, permission: &str) -> bool {
    permission
        .strip_prefix(scope)
        .is_some_and(|rest| rest.is_empty() || rest == ":own")
}

/// What a key may do in a project: its own scopes, limited by its creator's role there.
#[derive(Debug, Clone)]
pub(crate) struct Rights {
    role: Role,
    scopes: Vec<String>,
}

impl Rights {
    /// The rights of a key with `scopes` whose creator has `role`.
    pub(crate) fn new(role: Role, scopes: &[String]) -> Self {
        Self {
            role,
            scopes: scopes.to_vec(),
        }
    }

    /// Whether they include `permission`.
    pub(crate) fn may(&self, permission: &str) -> bool {
        self.role.grants(permission)
            && self.scopes.iter().any(|scope| match Role::parse(scope) {
                Some(role) => role.grants(permission),
                None => covers(scope, permission),
            })
    }

    /// Whether the list of keys holds everybody's: otherwise it is short, and nothing says so.
    pub(crate) fn sees_all_keys(&self) -> bool {
        ["members:read", "admins:read", "owners:read"]
            .iter()
            .all(|permission| self.may(permission))
    }

    /// The strongest role that these rights amount to.
    pub(crate) fn role(&self) -> Option<Role> {
        let of_key = self.scopes.iter().filter_map(|scope| Role::parse(scope));
        of_key.max().map(|role| role.min(self.role))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Rights, Role};

    #[rstest]
    #[case(Role::Owner, "owner", "owners:write:kick", true)]
    #[case(Role::Admin, "owner", "owners:write:kick", false)]
    #[case(Role::Admin, "admin", "admins:write:kick", true)]
    #[case(Role::Admin, "admin", "keys:write", false)]
    #[case(Role::Admin, "admin", "keys:write:own", true)]
    #[case(Role::Member, "owner", "keys:read", false)]
    #[case(Role::Owner, "usage:read", "usage:read", true)]
    #[case(Role::Owner, "usage:read", "usage:write", false)]
    #[case(Role::Member, "keys:read", "keys:read:own", true)]
    fn a_key_may_do_what_both_its_scopes_and_its_creators_role_allow(
        #[case] role: Role,
        #[case] scope: &str,
        #[case] permission: &str,
        #[case] may: bool,
    ) {
        let rights = Rights::new(role, &[scope.to_owned()]);
        assert_eq!(rights.may(permission), may);
    }

    #[test]
    fn a_key_that_outranks_its_creator_has_the_creators_role() {
        let rights = Rights::new(Role::Admin, &["owner".to_owned()]);
        assert_eq!(rights.role(), Some(Role::Admin));
        assert!(rights.sees_all_keys());
        assert!(!Rights::new(Role::Member, &["owner".to_owned()]).sees_all_keys());
    }
}
