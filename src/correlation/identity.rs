//! Whose account is it.

use super::policy::Link;
use crate::domain::Email;

/// The one name of the person behind an account: the linked address, else the account's address,
/// else `SYSTEM:ID`.
#[must_use]
pub fn person_of(links: &[Link], system: &str, id: Option<&str>, email: Option<&Email>) -> String {
    let account = id.map(|id| format!("{system}:{id}"));
    let linked = links.iter().find(|link| {
        account
            .as_ref()
            .is_some_and(|account| link.accounts.contains(account))
            || email.is_some_and(|email| link.person == *email || link.emails.contains(email))
    });
    match (linked, email, account) {
        (Some(link), _, _) => link.person.to_string(),
        (None, Some(email), _) => email.to_string(),
        (None, None, Some(account)) => account,
        (None, None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::person_of;
    use crate::{correlation::policy::Link, domain::Email};

    #[test]
    fn a_link_speaks_before_the_address_and_the_address_before_the_account() {
        let links = [Link {
            person: Email::parse("ada@example.com").unwrap(),
            emails: vec![Email::parse("ada@old.example").unwrap()],
            accounts: vec!["okta:00u1".to_owned()],
        }];
        let old = Email::parse("ada@old.example").unwrap();
        let bo = Email::parse("bo@example.com").unwrap();
        assert_eq!(
            person_of(&links, "okta", Some("00u1"), None),
            "ada@example.com"
        );
        assert_eq!(
            person_of(&links, "dg", Some("m1"), Some(&old)),
            "ada@example.com"
        );
        assert_eq!(
            person_of(&links, "dg", Some("m2"), Some(&bo)),
            "bo@example.com"
        );
        assert_eq!(person_of(&links, "dg", Some("m2"), None), "dg:m2");
    }
}
