//! Who takes a key over.

use super::{
    inputs::Inputs,
    ownership::{Moment, membership},
    policy::ProviderFacts,
    ties::is_robot,
};
use crate::domain::{
    Key,
    impact::{Contact, Successor},
};

/// The colleague with the highest role in the key's project who can be reached and stays.
pub(super) fn successor(
    inputs: &Inputs<'_>,
    key: &Key,
    moment: Moment,
    facts: &ProviderFacts,
) -> Successor {
    let Inputs {
        history,
        catalogue,
        policy,
        ..
    } = *inputs;
    let colleagues = history.members.iter().filter(|member| {
        member.provider == key.provider
            && member.project == key.project
            && !history.has_account(&member.provider, &member.account.id)
            && !is_robot(history, member, &policy.identities.rules)
    });
    let mut leaving = 0_usize;
    let best = colleagues
        .filter_map(|member| {
            let interval = membership(member, moment)?;
            let email = member.account.email.clone()?;
            let account = (member.provider.clone(), member.account.id.clone());
            let mut departures = history.departures.get(&account).into_iter().flatten();
            if departures.any(|departure| departure.is_from(key, moment)) {
                leaving += 1;
                return None;
            }
            let (rank, role) = interval
                .roles
                .iter()
                .filter_map(|role| Some((catalogue.rank(&facts.kind, role)?, role)))
                .min()?;
            Some((rank, email, role, member.account.name.clone()))
        })
        .min();
    match best {
        Some((rank, email, role, name)) if rank <= 1 => Successor::Found(Contact {
            email,
            name,
            why: format!("{role} of the project"),
        }),
        Some(_) => Successor::None {
            none_because: "the others in the project are members without keys:write for all"
                .to_owned(),
        },
        None if leaving > 0 => Successor::None {
            none_because: "everybody else who could is leaving as well".to_owned(),
        },
        None => Successor::None {
            none_because: "nobody else is known in the project".to_owned(),
        },
    }
}
