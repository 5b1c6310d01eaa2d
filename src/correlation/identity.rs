//! Whose account is it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::Email;

/// By what accounts and addresses come to persons, as the operator says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identities {
    /// Accounts and addresses that are one person's.
    pub links: Vec<Link>,
    /// What holds for all of them.
    pub rules: PeopleRules,
}

/// Accounts that belong to one person, said by the operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The person's address.
    pub person: Email,
    /// Other addresses of theirs.
    #[serde(default)]
    pub emails: Vec<Email>,
    /// Accounts of theirs, `SYSTEM:ID`, where the system is a source's or provider's name.
    #[serde(default)]
    pub accounts: Vec<String>,
}

/// How addresses are spelled here, and what accounts without one are called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeopleRules {
    /// Whether `ada+ci@example.com` is `ada@example.com` (RFC 5233 calls it a subaddress; only the
    /// operator knows whether their mail server has them).
    pub plus_addressing: bool,
    /// Domains under which the same people have the same names, and the one they are known by.
    pub domain_aliases: BTreeMap<String, String>,
    /// Systems whose accounts are called after people.
    pub logins: Vec<LoginRule>,
    /// Addresses and accounts (`SYSTEM:ID`) that are no human's; `*` stands for anything.
    pub service_accounts: Vec<String>,
}

/// The accounts of a system whose ids hold people's names: `ada_acme` is `ada@example.com`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRule {
    /// The source's or provider's name.
    pub system: String,
    /// What the id begins with before the name.
    #[serde(default)]
    pub prefix: String,
    /// What it ends with behind it.
    #[serde(default)]
    pub suffix: String,
    /// The domain of the person's address.
    pub domain: String,
}

impl PeopleRules {
    /// What of the rules cannot be meant.
    ///
    /// # Errors
    /// Which, and what to say instead.
    pub fn check(&self) -> Result<(), String> {
        for (alias, domain) in &self.domain_aliases {
            if alias != &alias.to_lowercase() || domain != &domain.to_lowercase() {
                return Err(format!(
                    "people.domain_aliases: write {alias:?} and {domain:?} in lower case"
                ));
            }
            if self.domain_aliases.contains_key(domain) {
                return Err(format!(
                    "people.domain_aliases: {alias:?} leads to {domain:?}, which is an alias itself; \
                     name the domain that people are known by"
                ));
            }
        }
        for rule in &self.logins {
            if Email::parse(&format!("a@{}", rule.domain)).is_err() {
                return Err(format!(
                    "people.logins: {:?} of {:?} is no domain",
                    rule.domain, rule.system
                ));
            }
        }
        let takes_all = |pattern: &&String| pattern.bytes().all(|byte| byte == b'*');
        if let Some(pattern) = self.service_accounts.iter().find(takes_all) {
            return Err(format!(
                "people.service_accounts: {pattern:?} takes everybody for a service account"
            ));
        }
        Ok(())
    }

    /// The pattern by which an address or account (`SYSTEM:ID`) is no human's.
    #[must_use]
    pub fn of_robots(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        let mut patterns = self.service_accounts.iter();
        let found = patterns.find(|pattern| fits(&pattern.to_lowercase(), &name));
        found.map(String::as_str)
    }

    /// The one spelling of an address.
    #[must_use]
    pub fn spell(&self, email: &Email) -> Email {
        let Some((local, domain)) = email.as_str().rsplit_once('@') else {
            return email.clone();
        };
        let local = match local.split_once('+') {
            Some((name, _)) if self.plus_addressing && !name.is_empty() => name,
            Some(_) | None => local,
        };
        let domain = self
            .domain_aliases
            .get(domain)
            .map_or(domain, String::as_str);
        Email::parse(&format!("{local}@{domain}")).unwrap_or_else(|_| email.clone())
    }

    /// The address behind an account that has a name of this system's form, in its one spelling.
    #[must_use]
    pub fn read(&self, system: &str, id: &str) -> Option<Email> {
        self.behind(system, id).map(|email| self.spell(&email))
    }

    /// The same as the rule has it.
    fn behind(&self, system: &str, id: &str) -> Option<Email> {
        self.logins.iter().find_map(|rule| {
            let name = (rule.system == system).then_some(id)?;
            let name = name.strip_prefix(&rule.prefix)?;
            let name = name.strip_suffix(&rule.suffix)?;
            Email::parse(&format!("{name}@{}", rule.domain)).ok()
        })
    }
}

/// Whether `name` is `pattern`, in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match left.split_once(part) {
            Some((_, behind)) => left = behind,
            None => return false,
        }
    }
    left.ends_with(end)
}

/// The one name of the person behind an account: the linked address, else the account's address,
/// else the one its id tells, else `SYSTEM:ID`.
#[must_use]
pub fn person_of(
    identities: &Identities,
    system: &str,
    id: Option<&str>,
    email: Option<&Email>,
) -> String {
    let rules = &identities.rules;
    let account = id.map(|id| format!("{system}:{id}"));
    let known = email
        .cloned()
        .or_else(|| rules.behind(system, id?))
        .map(|email| (rules.spell(&email), email));
    let linked = identities.links.iter().find(|link| {
        let says = |email: &Email| link.person == *email || link.emails.contains(email);
        account
            .as_ref()
            .is_some_and(|account| link.accounts.contains(account))
            || known
                .as_ref()
                .is_some_and(|(spelled, email)| says(spelled) || says(email))
    });
    match (linked, known, account) {
        (Some(link), _, _) => rules.spell(&link.person).to_string(),
        (None, Some((spelled, _)), _) => spelled.to_string(),
        (None, None, Some(account)) => account,
        (None, None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use rstest::rstest;

    use super::{Identities, PeopleRules, person_of};
    use crate::domain::Email;

    fn identities(rules: &str) -> Identities {
        let link = "person = \"ada@example.com\"\nemails = [\"ada@old.example\"]\n\
                    accounts = [\"okta:00u1\"]";
        Identities {
            links: vec![toml::from_str(link).unwrap()],
            rules: toml::from_str(rules).unwrap(),
        }
    }

    const RULES: &str = "plus_addressing = true\n\
        [domain_aliases]\n\"corp.example\" = \"example.com\"\n\
        [[logins]]\nsystem = \"github\"\nsuffix = \"_acme\"\ndomain = \"corp.example\"";

    #[rstest]
    #[case::link_by_account("okta", Some("00u1"), None, "ada@example.com")]
    #[case::link_by_address("dg", Some("m1"), Some("ada@old.example"), "ada@example.com")]
    #[case::address("dg", Some("m2"), Some("bo@example.com"), "bo@example.com")]
    #[case::account("dg", Some("m2"), None, "dg:m2")]
    fn a_link_speaks_before_the_address_and_the_address_before_the_account(
        #[case] system: &str,
        #[case] id: Option<&str>,
        #[case] email: Option<&str>,
        #[case] person: &str,
    ) {
        let email = email.map(|email| Email::parse(email).unwrap());
        for rules in ["", RULES] {
            let found = person_of(&identities(rules), system, id, email.as_ref());
            assert_eq!(found, person);
        }
    }

    #[rstest]
    #[case::subaddress("dg", None, Some("bo+ci@example.com"), "bo@example.com")]
    #[case::alias("dg", None, Some("bo@corp.example"), "bo@example.com")]
    #[case::both("dg", None, Some("bo+x+y@corp.example"), "bo@example.com")]
    #[case::no_name_before_the_plus("dg", None, Some("+x@example.com"), "+x@example.com")]
    #[case::link_of_another_spelling("dg", None, Some("ada+ci@old.example"), "ada@example.com")]
    #[case::login("github", Some("bo_acme"), None, "bo@example.com")]
    #[case::login_of_a_linked("github", Some("ada_acme"), None, "ada@example.com")]
    #[case::login_without_a_name("github", Some("_acme"), None, "github:_acme")]
    #[case::login_of_another_form("github", Some("bo"), None, "github:bo")]
    #[case::login_of_another_system("gitlab", Some("bo_acme"), None, "gitlab:bo_acme")]
    #[case::address_before_login(
        "github",
        Some("bo_acme"),
        Some("kim@example.com"),
        "kim@example.com"
    )]
    fn rules_spell_addresses_and_read_logins(
        #[case] system: &str,
        #[case] id: Option<&str>,
        #[case] email: Option<&str>,
        #[case] person: &str,
    ) {
        let email = email.map(|email| Email::parse(email).unwrap());
        let found = person_of(&identities(RULES), system, id, email.as_ref());
        assert_eq!(found, person);
    }

    #[rstest]
    #[case::chain("[domain_aliases]\n\"a.example\" = \"b.example\"\n\"b.example\" = \"c.example\"")]
    #[case::ring("[domain_aliases]\n\"a.example\" = \"a.example\"")]
    #[case::case("[domain_aliases]\n\"A.example\" = \"b.example\"")]
    #[case::case_of_the_domain("[domain_aliases]\n\"a.example\" = \"B.example\"")]
    #[case::everybody("service_accounts = [\"**\"]")]
    #[case::no_domain("[[logins]]\nsystem = \"x\"\ndomain = \"\"")]
    fn rules_that_cannot_be_meant_are_refused(#[case] rules: &str) {
        let rules: PeopleRules = toml::from_str(rules).unwrap();
        assert!(rules.check().is_err());
        assert_eq!(identities(RULES).rules.check(), Ok(()));
    }

    #[test]
    fn what_is_behind_a_plus_belongs_to_the_name_unless_the_rules_say_otherwise() {
        let address = Email::parse("bo+ci@example.com").unwrap();
        for (rules, spelled) in [("", "bo+ci@example.com"), (RULES, "bo@example.com")] {
            assert_eq!(identities(rules).rules.spell(&address).as_str(), spelled);
        }
    }

    #[rstest]
    #[case("bot-*@example.com", "bot-ci@example.com", true)]
    #[case("bot-*@example.com", "Bot-CI@Example.com", true)]
    #[case("bot-*@example.com", "robot-ci@example.com", false)]
    #[case("dg:svc-*", "dg:svc-1", true)]
    #[case("dg:svc-*", "okta:svc-1", false)]
    #[case("*svc*", "dg:a-svc-1", true)]
    #[case("a*b*c", "abc", true)]
    #[case("a*b*c", "acb", false)]
    #[case("ci@example.com", "ci@example.com", true)]
    fn a_star_stands_for_anything(#[case] pattern: &str, #[case] name: &str, #[case] fits: bool) {
        let rules = PeopleRules {
            service_accounts: vec![pattern.to_owned()],
            ..PeopleRules::default()
        };
        assert_eq!(rules.of_robots(name).is_some(), fits);
    }

    proptest! {
        #[test]
        fn a_spelled_address_stays_as_it_is(local in "[a-z+.]{1,12}", alias in any::<bool>()) {
            let rules = identities(RULES).rules;
            let domain = if alias { "corp.example" } else { "example.com" };
            let once = rules.spell(&Email::parse(&format!("{local}@{domain}")).unwrap());
            prop_assert_eq!(rules.spell(&once), once);
        }
    }
}
