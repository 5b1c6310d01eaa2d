//! `[[group]]`: what the groups of sources open.

use super::{Config, ConfigError, provider::ProviderConfig};
use crate::{catalogue::Catalogue, correlation::policy::GroupMapping};

/// Whether every group is one of a source in `names` and opens one of `providers`.
pub(super) fn check(
    groups: &[GroupMapping],
    names: &[String],
    providers: &[ProviderConfig],
) -> Result<(), ConfigError> {
    for group in groups {
        let is_known = names.contains(&group.source);
        let is_provider = |one: &ProviderConfig| one.name() == group.provider;
        if !is_known || !providers.iter().any(is_provider) {
            return Err(ConfigError::Contradiction(format!(
                "the group {:?} of {:?} opens {:?}: name a source and a provider that are configured",
                group.group, group.source, group.provider
            )));
        }
        if group
            .role
            .as_deref()
            .is_some_and(|role| role.trim().is_empty())
        {
            return Err(ConfigError::Contradiction(format!(
                "the group {:?} of {:?} gives a role without a name; leave `role` out where nobody \
                 knows it",
                group.group, group.source
            )));
        }
    }
    Ok(())
}

/// Whether the roles that groups give are roles of their providers, as far as `catalogue` knows
/// these.
///
/// # Errors
/// [`ConfigError`] names the first that is not, and those that there are.
pub fn check_roles(config: &Config, catalogue: &Catalogue) -> Result<(), ConfigError> {
    for group in &config.groups {
        let mut providers = config.providers.iter();
        let provider = providers.find(|one| one.name() == group.provider);
        let (Some(provider), Some(role)) = (provider, &group.role) else {
            continue;
        };
        let known = catalogue.provider(provider.kind());
        let roles: Vec<&str> = known
            .map(|known| known.roles().collect())
            .unwrap_or_default();
        if !roles.is_empty() && !roles.contains(&role.as_str()) {
            return Err(ConfigError::Contradiction(format!(
                "the group {:?} of {:?} gives the role {role:?} in {:?}; the roles that the \
                 catalogue knows of {:?} are {}",
                group.group,
                group.source,
                group.provider,
                provider.kind(),
                roles.join(", ")
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Config, check_roles};
    use crate::catalogue::Catalogue;

    const GROUP: &str = r#"
        [[provider]]
        name = "gh"
        kind = "import"
        catalogue = "github"
        [[group]]
        source = "gh"
        group = "team"
        provider = "gh"
        project = "site"
    "#;

    fn with_role(kind: &str, role: &str) -> String {
        GROUP.replace("\"github\"", &format!("{kind:?}")) + &format!("role = {role:?}\n")
    }

    #[test]
    fn a_group_opens_a_configured_provider_only() {
        let config = Config::parse(GROUP).unwrap();
        assert_eq!(config.policy.groups, config.groups);
        assert_eq!(config.groups.len(), 1);
        assert_eq!(config.groups[0].role, None);
        for (right, wrong) in [
            ("provider = \"gh\"", "provider = \"hg\""),
            ("source = \"gh\"", "source = \"hg\""),
        ] {
            let said = Config::parse(&GROUP.replace(right, wrong)).unwrap_err();
            assert!(said.to_string().contains("\"hg\""), "{said}");
        }
    }

    #[test]
    fn a_group_gives_a_role_that_its_provider_has() {
        let catalogue = Catalogue::built_in().unwrap();
        let config = Config::parse(&with_role("deepgram", "admin")).unwrap();
        assert_eq!(config.policy.groups[0].role.as_deref(), Some("admin"));
        check_roles(&config, &catalogue).unwrap();
        let wrong = Config::parse(&with_role("deepgram", "boss")).unwrap();
        let said = check_roles(&wrong, &catalogue).unwrap_err().to_string();
        for part in ["\"team\"", "\"boss\"", "owner, admin, member"] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn where_nobody_lists_the_roles_any_word_is_one_and_no_word_is_none() {
        let catalogue = Catalogue::built_in().unwrap();
        let config = Config::parse(&with_role("github", "maintain")).unwrap();
        check_roles(&config, &catalogue).unwrap();
        let said = Config::parse(&with_role("github", " ")).unwrap_err();
        assert!(said.to_string().contains("without a name"), "{said}");
        let said = Config::parse(&GROUP.replace("project", "rolle")).unwrap_err();
        assert!(said.to_string().contains("rolle"), "{said}");
    }
}
