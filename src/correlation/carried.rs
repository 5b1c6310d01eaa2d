//! How a change comes to the provider, if it does.

use std::{sync::LazyLock, time::Duration};

use super::{
    inputs::Inputs,
    judge::Judgement,
    ownership::{Moment, membership},
    policy::ProviderFacts,
};
use crate::{
    catalogue::Rule,
    domain::{ChangeKind, Fate, Key, MembershipChange, Propagation, Shared},
};

/// Whether the provider will refuse to remove the person from the key's project: there is no owner
/// beside them, and nobody saw the removal happen.
pub(super) fn is_refused(inputs: &Inputs<'_>, key: &Key, facts: &ProviderFacts) -> bool {
    let Inputs {
        change,
        history,
        catalogue,
        ..
    } = *inputs;
    let was_seen = change.source == key.provider && change.not_before.is_some();
    let removes = matches!(
        change.change,
        ChangeKind::Removed | ChangeKind::LeaveScheduled
    );
    if was_seen || !removes || change.reason.as_deref() == Some("account_deleted") {
        return false;
    }
    let moment = Moment::of(change);
    let members = history.members.iter();
    let here =
        members.filter(|member| member.project == key.project && member.provider == key.provider);
    let owners = here.filter(|member| {
        let roles = membership(member, moment).map(|now| now.roles.as_slice());
        let mut roles = roles.unwrap_or_default().iter();
        roles.any(|role| catalogue.rank(&facts.kind, role) == Some(0))
    });
    let mut owners = owners.map(|owner| history.has_account(&owner.provider, &owner.account.id));
    owners.next() == Some(true) && owners.all(|is_person| is_person)
}

/// How the change comes to the provider, and whether the provider lets it (`refused`: the rule by
/// which it does not).
pub(super) fn carried<'a>(
    change: &MembershipChange,
    refused: Option<&'a Rule>,
    judgement: Judgement<'a>,
) -> Judgement<'a> {
    let fate = judgement.fate;
    let stops = matches!(
        fate,
        Fate::Dies | Fate::Dormant | Fate::Shrinks | Fate::Blocks
    );
    let waits = |fate, until_then: Shared<String>| (fate, None, Some(until_then));
    let (fate, effective_at, until_then) = match judgement.propagation {
        Propagation::None {} if stops => waits(Fate::Survives, NEVER.clone()),
        Propagation::None {} => (fate, Some(change.effective_at), None),
        _ if refused.is_some() || fate == Fate::Blocks => waits(Fate::Blocks, REFUSED.clone()),
        Propagation::Automatic { within } if stops => {
            (fate, Some(change.effective_at), Some(automatically(within)))
        }
        Propagation::Manual {} if stops && judgement.is_of_role() => waits(fate, LOWERED.clone()),
        Propagation::Manual {} if stops => waits(fate, MANUALLY.clone()),
        Propagation::Direct {} | Propagation::Automatic { .. } | Propagation::Manual {} => {
            (fate, Some(change.effective_at), None)
        }
    };
    let refused = refused.filter(|_| fate == Fate::Blocks);
    let lost_scopes = if fate == Fate::Shrinks {
        judgement.lost_scopes
    } else {
        Vec::new()
    };
    Judgement {
        fate,
        lost_scopes,
        effective_at,
        until_then,
        afterwards: refused.map(|_| judgement.fate),
        rule: refused.or(judgement.rule),
        ..judgement
    }
}

static MANUALLY: LazyLock<Shared<String>> = LazyLock::new(|| {
    "The key stays alive in the person's hands until somebody removes the member at the provider, \
     and stops then."
        .into()
});
static LOWERED: LazyLock<Shared<String>> = LazyLock::new(|| {
    "The key may what it could until somebody lowers the member's role at the provider, and loses \
     it then."
        .into()
});
static REFUSED: LazyLock<Shared<String>> = LazyLock::new(|| {
    "The provider refuses the removal as things are: the key stays alive in the person's hands \
     until that is mended."
        .into()
});
static NEVER: LazyLock<Shared<String>> = LazyLock::new(|| {
    "Nothing carries this change to the provider: the key stays alive in the person's hands.".into()
});

fn automatically(within: Duration) -> Shared<String> {
    format!(
        "The provider follows by itself within {}: the key can stop at any time from then on.",
        humantime_serde::re::humantime::format_duration(within)
    )
    .into()
}
