//! The fate of one key: from the catalogue, never from here.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{ownership::Moment, policy::ProviderFacts};
use crate::{
    catalogue::{Catalogue, Rule, Situation},
    domain::{ChangeKind, Fate, Key, KeyInterval, MembershipChange, Propagation, impact::Citation},
};

/// What becomes of one key.
#[derive(Debug)]
pub(super) struct Judgement<'a> {
    pub(super) fate: Fate,
    pub(super) lost_scopes: Vec<String>,
    pub(super) propagation: Propagation,
    /// From when the fate can strike; absent: when somebody acts.
    pub(super) effective_at: Option<Timestamp>,
    /// What holds before that.
    pub(super) until_then: Option<String>,
    /// Absent: the catalogue has no rule.
    pub(super) rule: Option<&'a Rule>,
    /// The key stops on its own date, before or with the change.
    pub(super) expired: bool,
}

impl Judgement<'_> {
    /// Where the fate is documented, or that it is not.
    pub(super) fn citation(&self, catalogue: &Catalogue, kind: &str) -> Citation {
        self.rule.map_or_else(
            || Citation {
                rule: format!("{kind}.undocumented"),
                says: "The catalogue has no rule for this kind of key and change.".to_owned(),
                url: String::new(),
                checked: catalogue.version.clone(),
            },
            Rule::citation,
        )
    }

    /// Whether the key stays in the person's hands for now.
    pub(super) fn stays_alive(&self) -> bool {
        !self.expired
            && match self.fate {
                Fate::Survives | Fate::Unknown => true,
                Fate::Dies | Fate::Dormant | Fate::Shrinks => self.effective_at.is_none(),
                Fate::Blocks => false,
            }
    }
}

/// The situations that `change` is, the most specific one first; none: it takes nothing away.
pub(super) fn situations(change: &MembershipChange) -> &'static [Situation] {
    use Situation::{AccountDeleted, MemberLeft, MemberRemoved, RoleLowered, Suspended};
    match change.change {
        ChangeKind::Removed | ChangeKind::LeaveScheduled => match change.reason.as_deref() {
            Some("left") => &[MemberLeft, MemberRemoved],
            Some("account_deleted") => &[AccountDeleted, MemberRemoved],
            _ => &[MemberRemoved],
        },
        ChangeKind::Suspended => &[Suspended],
        ChangeKind::RoleChanged => &[RoleLowered],
        ChangeKind::Joined
        | ChangeKind::Reinstated
        | ChangeKind::Renamed
        | ChangeKind::LeaveCancelled => &[],
    }
}

/// Judges `key`, held as `interval`; nothing: the change leaves it as it is.
pub(super) fn judge<'a>(
    change: &MembershipChange,
    (key, interval): (&Key, &KeyInterval),
    facts: &ProviderFacts,
    catalogue: &'a Catalogue,
) -> Option<Judgement<'a>> {
    let rule = |on| catalogue.rule(&facts.kind, &key.class, on);
    let moment = Moment::of(change);
    if let Some(expires) = key.expires_at.filter(|expires| *expires <= moment.from) {
        let rule = rule(Situation::KeyExpired);
        return Some(Judgement {
            fate: rule.map_or(Fate::Unknown, |rule| rule.fate),
            lost_scopes: Vec::new(),
            propagation: Propagation::Direct {},
            effective_at: Some(expires),
            until_then: None,
            rule,
            expired: true,
        });
    }
    let is_direct = change.source == key.provider;
    let propagation = if is_direct {
        Propagation::Direct {}
    } else {
        facts.propagation
    };
    let rule = situations(change).iter().find_map(|&on| rule(on));
    let mut fate = rule.map_or(Fate::Unknown, |rule| rule.fate);
    let mut lost_scopes = Vec::new();
    if change.change == ChangeKind::RoleChanged {
        match lost(change, interval, facts, catalogue) {
            Some(lost) if lost.is_empty() => return None,
            Some(lost) => lost_scopes = lost,
            None => fate = Fate::Unknown,
        }
    }
    let stops = matches!(fate, Fate::Dies | Fate::Dormant | Fate::Shrinks);
    let (effective_at, until_then) = match propagation {
        Propagation::Automatic { within } if stops => {
            (Some(change.effective_at), Some(automatically(within)))
        }
        Propagation::Manual {} if stops => (None, Some(MANUALLY.to_owned())),
        Propagation::None {} if stops => {
            fate = Fate::Survives;
            (None, Some(NEVER.to_owned()))
        }
        Propagation::Direct {}
        | Propagation::Automatic { .. }
        | Propagation::Manual {}
        | Propagation::None {} => (Some(change.effective_at), None),
    };
    Some(Judgement {
        fate,
        lost_scopes,
        propagation,
        effective_at,
        until_then,
        rule,
        expired: false,
    })
}

const MANUALLY: &str = "The key stays alive in the person's hands until somebody removes the \
                        member at the provider, and stops then.";
const NEVER: &str = "Nothing carries this change to the provider: the key stays alive in the \
                     person's hands.";

fn automatically(within: Duration) -> String {
    format!(
        "The provider follows by itself within {}: the key can stop at any time from then on.",
        humantime_serde::re::humantime::format_duration(within)
    )
}

/// What the key may no longer do; nothing when the roles say too little to tell.
fn lost(
    change: &MembershipChange,
    interval: &KeyInterval,
    facts: &ProviderFacts,
    catalogue: &Catalogue,
) -> Option<Vec<String>> {
    let role = change.role.as_ref()?;
    let kind = facts.kind.as_str();
    let before = scopes_of(role.from.as_deref()?, kind, catalogue)?;
    let after = scopes_of(role.to.as_deref()?, kind, catalogue)?;
    let own: BTreeSet<&str> = interval
        .scopes
        .iter()
        .flat_map(|scope| catalogue.expand(kind, scope))
        .collect();
    // A scope outside both roles' lists is no management scope and does not follow the role.
    let lost = own
        .into_iter()
        .filter(|&scope| before.contains(scope) && !after.contains(scope));
    Some(lost.map(str::to_owned).collect())
}

/// What `roles`, one or several between commas, may do; nothing when none of them is known.
fn scopes_of<'a>(
    roles: &'a str,
    kind: &str,
    catalogue: &'a Catalogue,
) -> Option<BTreeSet<&'a str>> {
    let known = roles
        .split(',')
        .any(|role| catalogue.rank(kind, role).is_some());
    known.then(|| {
        roles
            .split(',')
            .flat_map(|role| catalogue.expand(kind, role))
            .collect()
    })
}
