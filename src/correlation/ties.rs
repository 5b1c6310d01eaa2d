//! What a person has to do with the account that made a key, where it is not simply theirs.

use super::{
    identity::PeopleRules,
    inputs::Inputs,
    judge::{Judgement, judge, situations},
    ownership::{PersonHistory, ServiceAccount},
    policy::ProviderFacts,
    returned::Touched,
};
use crate::domain::{
    ChangeKind, Fate, KeyInterval, Member, MembershipChange, Returns, Scope, impact::Evidence,
};

/// A service account behind which a person stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The service account's one name.
    pub service: String,
    /// Who else stands behind it, sorted.
    pub others: Vec<String>,
}

/// Whose the account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tie<'a> {
    /// The person's.
    Own,
    /// One of theirs, and nobody knows whose.
    Perhaps(&'a [String]),
    /// A service account's behind which the person stands.
    Behind(&'a Behind),
}

impl<'a> Tie<'a> {
    /// Whose the account is that made the key in `interval`.
    pub(super) fn of(history: &'a PersonHistory, provider: &str, interval: &KeyInterval) -> Self {
        if history.doubtful.is_empty() && history.behind.is_empty() {
            return Self::Own;
        }
        let account = (provider.to_owned(), interval.creator.id.clone());
        match (history.doubtful.get(&account), history.behind.get(&account)) {
            (Some(names), _) => Self::Perhaps(names),
            (None, Some(behind)) => Self::Behind(behind),
            (None, None) => Self::Own,
        }
    }

    /// What there is to say of it.
    pub(super) fn evidence(self, person: &str) -> Option<Evidence> {
        let fact = match self {
            Self::Own => return None,
            Self::Perhaps(names) => format!("its account can be that of {}", names.join(" or ")),
            Self::Behind(Behind { service, .. }) => {
                format!("somebody said that {person} stands behind the service account {service}")
            }
        };
        Some(Evidence {
            fact: fact.into(),
            at: None,
        })
    }

    /// What to do first.
    pub(super) fn action(self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Perhaps(_) => Some(
                "Find out whose account made the key, and say so with `offkey people merge` or \
                 `split`. If it is this person's:",
            ),
            Self::Behind(_) => Some(
                "Name somebody who stays as the human behind the service account, with `offkey \
                 people service-account`.",
            ),
        }
    }
}

/// Whether a change of this kind concerns the service accounts behind which the person stands.
pub(super) fn leaves_robots(change: &MembershipChange) -> bool {
    matches!(
        change.change,
        ChangeKind::Removed | ChangeKind::LeaveScheduled
    ) && change.scope == Scope::Organisation {}
}

/// Judges a key that the change reaches as what it is to the person; nothing: it stays as it is.
pub(super) fn judge_as_tied<'a>(
    inputs: &Inputs<'a>,
    touched: &Touched<'a>,
    facts: &ProviderFacts,
) -> Option<Judgement<'a>> {
    let tie = Tie::of(inputs.history, &touched.key.provider, touched.interval);
    let judgement = judge(inputs, touched, facts)?;
    match tie {
        // What has ended ended whoever it belonged to.
        _ if judgement.expired => Some(judgement),
        Tie::Own => Some(judgement),
        Tie::Perhaps(names) => Some(doubt(inputs, names, &judgement)),
        Tie::Behind(behind) => leaves_robots(inputs.change)
            .then(|| robot(inputs, (touched, facts), behind, &judgement)),
    }
}

/// A key that may be somebody else's: what becomes of it is not known.
fn doubt<'a>(inputs: &Inputs<'a>, names: &'a [String], judgement: &Judgement<'a>) -> Judgement<'a> {
    let if_theirs = match judgement.returns {
        Some(returns) => returns.label(),
        None => judgement.fate.label(),
    };
    let whose = names.join(" or ");
    let note = format!("it can be that of {whose}; if it is this person's: {if_theirs}");
    let before = judgement.note.iter().map(|before| format!("; {before}"));
    Judgement {
        fate: Fate::Unknown,
        lost_scopes: Vec::new(),
        effective_at: Some(inputs.change.effective_at),
        until_then: None,
        afterwards: None,
        returns: judgement.returns.map(|_| Returns::Unknown),
        note: Some(before.fold(note, |note, before| note + &before)),
        tie: Tie::Perhaps(names),
        propagation: judgement.propagation,
        rule: judgement.rule,
        expired: false,
    }
}

/// A service account's key: the change does not touch its account.
fn robot<'a>(
    inputs: &Inputs<'a>,
    (touched, facts): (&Touched<'a>, &ProviderFacts),
    behind: &'a Behind,
    judgement: &Judgement<'a>,
) -> Judgement<'a> {
    let class = &touched.key.class;
    // Only of keys of service accounts does the catalogue say what a human's leaving does to them.
    let rule = is_of_robots(class)
        .then(|| {
            let mut situations = situations(inputs.change).iter();
            situations.find_map(|&on| inputs.catalogue.rule(&facts.kind, class, on))
        })
        .flatten();
    let Behind { service, others } = behind;
    let others = if others.is_empty() {
        "nobody else stands behind it".to_owned()
    } else {
        format!("{} stay behind it", others.join(", "))
    };
    Judgement {
        fate: rule.map_or(Fate::Survives, |rule| rule.fate),
        lost_scopes: Vec::new(),
        effective_at: Some(inputs.change.effective_at),
        until_then: None,
        rule,
        afterwards: None,
        returns: None,
        note: Some(format!(
            "it is the service account {service}'s, and {others}"
        )),
        tie: Tie::Behind(behind),
        propagation: judgement.propagation,
        expired: false,
    }
}

/// Whether `person` of the history, with its accounts, is no human: by hand, by the provider's word
/// or by the operator's pattern.
#[must_use]
pub fn service_account(history: &PersonHistory, rules: &PeopleRules) -> Option<ServiceAccount> {
    let accounts = history.accounts.iter();
    let accounts = accounts.map(|(system, id)| format!("{system}:{id}"));
    let mut names = accounts.chain([history.person.clone()]);
    let by_pattern = || {
        let found = names.find_map(|name| rules.of_robots(&name).map(str::to_owned))?;
        Some(ServiceAccount {
            because: format!("the configuration says so of {found}"),
            behind: Vec::new(),
        })
    };
    history.service.clone().or_else(by_pattern)
}

/// Whether the account of a colleague is no human's.
pub(super) fn is_robot(history: &PersonHistory, member: &Member, rules: &PeopleRules) -> bool {
    let account = format!("{}:{}", member.provider, member.account.id);
    let email = member.account.email.as_ref().map(ToString::to_string);
    let mut names = std::iter::once(account).chain(email);
    history.is_robot(&member.provider, &member.account.id)
        || names.any(|name| rules.of_robots(&name).is_some())
}

/// Whether the provider keeps keys of this class for service accounts, by its name in the
/// catalogue.
#[must_use]
pub fn is_of_robots(class: &str) -> bool {
    class.contains("service-account")
}
