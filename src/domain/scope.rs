//! How far a change reaches.

use serde::{Deserialize, Serialize};

/// How far a membership change reaches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// The whole organisation: everything the person has.
    Organisation {},
    /// One configured provider.
    Provider {
        /// The provider's configured name.
        provider: String,
    },
    /// One project of one provider.
    Project {
        /// The provider's configured name.
        provider: String,
        /// The provider's own id of the project.
        project: String,
    },
    /// One group of the source.
    Group {
        /// The source's own id of the group.
        group: String,
    },
}

impl Scope {
    /// Whether a key in `project` of `provider` lies within this scope.
    ///
    /// A group covers nothing by itself: which projects it opens is configuration.
    #[must_use]
    pub fn covers(&self, provider: &str, project: &str) -> bool {
        match self {
            Self::Organisation {} => true,
            Self::Provider { provider: own } => own == provider,
            Self::Project {
                provider: own,
                project: id,
            } => own == provider && id == project,
            Self::Group { .. } => false,
        }
    }

    /// Whether everything in `other` lies within this scope too.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Organisation {}, _) => true,
            (Self::Provider { provider: own }, Self::Project { provider, .. }) => own == provider,
            _ => self == other,
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Organisation {} => f.write_str("organisation"),
            Self::Provider { provider } => write!(f, "provider:{provider}"),
            Self::Project { provider, project } => write!(f, "project:{provider}/{project}"),
            Self::Group { group } => write!(f, "group:{group}"),
        }
    }
}

/// Why a text names no scope.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no scope; write organisation, provider:NAME, project:PROVIDER/ID or group:ID")]
pub struct NotAScope(String);

impl std::str::FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotAScope(text.to_owned());
        if text == "organisation" {
            return Ok(Self::Organisation {});
        }
        let (kind, id) = text.split_once(':').ok_or_else(refused)?;
        if id.is_empty() {
            return Err(refused());
        }
        match kind {
            "provider" => Ok(Self::Provider {
                provider: id.to_owned(),
            }),
            "group" => Ok(Self::Group {
                group: id.to_owned(),
            }),
            "project" => {
                let (provider, project) = id.split_once('/').ok_or_else(refused)?;
                Ok(Self::Project {
                    provider: provider.to_owned(),
                    project: project.to_owned(),
                })
            }
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn what_is_printed_can_be_read_back() {
        for text in ["organisation", "provider:dg", "project:dg/p1", "group:g1"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        assert!("project:p1".parse::<Scope>().is_err());
    }

    #[test]
    fn a_wider_scope_includes_a_narrower_one_and_not_the_other_way_round() {
        let provider: Scope = "provider:dg".parse().unwrap();
        let project: Scope = "project:dg/p1".parse().unwrap();
        assert!(provider.includes(&project) && !project.includes(&provider));
        assert!(project.covers("dg", "p1") && !project.covers("dg", "p2"));
    }
}
