//! People and the accounts by which systems know them.

use serde::{Deserialize, Serialize};

/// An e-mail address, trimmed and in lower case, so that two spellings of it are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Email(String);

/// Why a text is no e-mail address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no e-mail address")]
pub struct NotAnEmail(String);

impl Email {
    /// Accepts `local@domain` of at most 254 bytes (RFC 5321 section 4.5.3.1) without blanks.
    ///
    /// # Errors
    /// [`NotAnEmail`] when the text has another form.
    pub fn parse(text: &str) -> Result<Self, NotAnEmail> {
        let address = text.trim().to_lowercase();
        let fits = address.len() <= 254
            && !address.chars().any(|c| c.is_whitespace() || c.is_control())
            && address
                .rsplit_once('@')
                .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if fits {
            Ok(Self(address))
        } else {
            Err(NotAnEmail(text.chars().take(80).collect()))
        }
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Email {
    type Err = NotAnEmail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Whom a change is about, in the words of its source: at least an e-mail address or an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonRef {
    /// The person's address as the source knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// The source's own id of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How to call the person in a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `renamed`: the address until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formerly: Option<Email>,
}

impl PersonRef {
    /// What partitions the person's changes of one source: the account, else the address.
    #[must_use]
    pub fn partition_key(&self, source: &str) -> String {
        let account = self.account.as_deref();
        let who = account
            .or(self.email.as_ref().map(Email::as_str))
            .unwrap_or_default();
        format!("{source}/{who}")
    }

    /// Whether there is anything to find the person by.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.email.is_none() && self.account.as_deref().is_none_or(str::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::Email;

    #[test]
    fn case_and_blanks_around_do_not_make_another_person() {
        assert_eq!(
            Email::parse(" Ada@Example.COM ").unwrap().as_str(),
            "ada@example.com"
        );
    }

    #[test]
    fn what_has_no_local_part_or_holds_a_blank_is_refused() {
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a da@example.com",
            "a\n@x",
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
    }
}
