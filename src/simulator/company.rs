//! The company that is simulated, as a TOML file says it; `demo-company.toml` explains the format.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::role::Role;
use crate::domain::Email;

const DEMO: &str = include_str!("demo-company.toml");

/// People, projects and keys. All times are relative to [`Company::as_of`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Company {
    /// What it is called.
    pub name: String,
    /// What days are counted from; absent: the moment the simulator starts.
    #[serde(default)]
    pub as_of: Option<Timestamp>,
    /// Everybody.
    #[serde(default, rename = "person")]
    pub people: Vec<CompanyPerson>,
    /// Everything they work on.
    #[serde(default, rename = "project")]
    pub projects: Vec<CompanyProject>,
}

/// Somebody with an account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanyPerson {
    /// Their address: what the rest of the file calls them by.
    pub email: Email,
    /// The account's id; absent: derived from the address.
    #[serde(default)]
    pub id: Option<Uuid>,
    /// Absent: they never said.
    #[serde(default)]
    pub first_name: Option<String>,
    /// Absent: they never said.
    #[serde(default)]
    pub last_name: Option<String>,
}

/// One project.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanyProject {
    /// Its name.
    pub name: String,
    /// Its id; absent: derived from the company's name and its own.
    #[serde(default)]
    pub id: Option<Uuid>,
    /// Role by address.
    pub members: BTreeMap<String, Role>,
    /// Open invitations: role by address.
    #[serde(default)]
    pub invites: BTreeMap<String, Role>,
    /// Its keys.
    #[serde(default, rename = "key")]
    pub keys: Vec<CompanyKey>,
}

/// One API key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanyKey {
    /// What it is for: Deepgram calls it the comment.
    pub comment: String,
    /// Its id; absent: derived from the project and the comment.
    #[serde(default)]
    pub id: Option<Uuid>,
    /// The address of the member who made it.
    pub creator: Email,
    /// Role names or fine scopes.
    pub scopes: Vec<String>,
    /// Set once, at creation.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How many days ago it was made.
    pub created_days_ago: u32,
    /// In how many days it stops by itself; negative: it already has.
    #[serde(default)]
    pub expires_in_days: Option<i32>,
    /// Steady traffic from creation on.
    #[serde(default)]
    pub requests_per_day: u32,
    /// How many days ago the traffic stopped; absent: it goes on.
    #[serde(default)]
    pub last_used_days_ago: Option<u32>,
    /// Whether this one has the secret that the simulator is started with. It acts in every
    /// project of its creator; all others act in their own project only.
    #[serde(default)]
    pub administrative: bool,
}

/// Why a company cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum CompanyError {
    /// The text is no company.
    #[error("the company file cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// An address in a project belongs to nobody.
    #[error("project {project:?} names {email:?}, who is no [[person]] of the company")]
    Stranger {
        /// Where.
        project: String,
        /// Who.
        email: String,
    },
    /// A key's creator is not in its project.
    #[error("{email} made key {comment:?} but is no member of project {project:?}; add them")]
    CreatorOutside {
        /// Where.
        project: String,
        /// Which key.
        comment: String,
        /// Who.
        email: Email,
    },
    /// The same id twice.
    #[error("the id {0} is given or derived twice; give one of the two another id")]
    DoubleId(Uuid),
    /// Nobody owns a project.
    #[error("project {0:?} has no owner; give one member the role \"owner\"")]
    NoOwner(String),
    /// The given secret must belong to exactly one key.
    #[error("{0} keys are marked administrative; mark exactly one")]
    Administrative(usize),
}

impl Company {
    /// Reads a company file.
    ///
    /// # Errors
    /// [`CompanyError::Toml`] with line and column.
    pub fn parse(text: &str) -> Result<Self, CompanyError> {
        Ok(toml::from_str(text)?)
    }

    /// A small voice-software firm that does not exist, as it is at `now`.
    #[must_use]
    pub fn demo(now: Timestamp) -> Self {
        // The file is part of the program, and a test reads it: an empty company cannot start.
        let company = Self::parse(DEMO).unwrap_or_default();
        Self {
            as_of: Some(now),
            ..company
        }
    }
}
