//! The fate of one key: from the catalogue, never from here.

use jiff::Timestamp;

use super::{
    carried::{carried, is_refused},
    groups::{Effect, effect},
    inputs::Inputs,
    ownership::Moment,
    policy::ProviderFacts,
    returned::{self, Touched, comeback, is_return},
    roles::{judge_role, told},
    ties::Tie,
};
use crate::{
    catalogue::{Catalogue, Rule, Situation},
    domain::{
        ChangeKind, Consequence, Fate, MembershipChange, Propagation, Returns, Scope, Shared,
        impact::{Citation, Symptom},
    },
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
    pub(super) until_then: Option<Shared<String>>,
    /// Absent: the catalogue has no rule.
    pub(super) rule: Option<&'a Rule>,
    /// The key stops on its own date, before or with the change.
    pub(super) expired: bool,
    /// With `blocks`: what becomes of the key when the removal goes through in the end.
    pub(super) afterwards: Option<Fate>,
    /// When somebody came back: whether the key does.
    pub(super) returns: Option<Returns>,
    /// What else has to be said of how this is known.
    pub(super) note: Option<String>,
    /// Whose the key's account is.
    pub(super) tie: Tie<'a>,
}

impl Judgement<'_> {
    /// Where the fate is documented, or that it is not.
    pub(super) fn citation(&self, catalogue: &Catalogue, kind: &str) -> Shared<Citation> {
        self.rule.map_or_else(
            || {
                let (rule, says) = match self.tie {
                    Tie::Behind(_) => (
                        "service-account",
                        "The change is the human's: the service account stays, and its keys with it.",
                    ),
                    Tie::Own | Tie::Perhaps(_) => (
                        "undocumented",
                        "The catalogue has no rule for this kind of key and change.",
                    ),
                };
                Citation {
                    rule: format!("{kind}.{rule}"),
                    says: says.to_owned(),
                    url: String::new(),
                    checked: catalogue.version.clone(),
                }
                .into()
            },
            |rule| rule.cited.clone(),
        )
    }

    /// What goes with the key: nothing, where the key does not go.
    pub(super) fn takes_along(&self) -> &[Shared<Consequence>] {
        let stays = self.expired || self.fate == Fate::Survives || self.afterwards.is_some();
        match self.rule {
            Some(rule) if !stays => &rule.takes_along,
            Some(_) | None => &[],
        }
    }

    /// Whether a return brings the key back as it was.
    pub(super) fn works_as_before(&self) -> bool {
        matches!(
            self.returns,
            Some(Returns::ComesBack | Returns::NeverStopped)
        )
    }

    /// Whether the rule is about returns, and not about what was lost before.
    pub(super) fn is_of_returns(&self) -> bool {
        self.rule
            .is_some_and(|rule| rule.on == Situation::Reinstated)
    }

    /// Whether it is a role that the person lost, and not what it is a role in.
    pub(super) fn is_of_role(&self) -> bool {
        self.rule
            .is_some_and(|rule| rule.on == Situation::RoleLowered)
    }

    /// What callers see, of a key that stops.
    pub(super) fn symptom(&self) -> Option<Shared<Symptom>> {
        let rule = self.rule.filter(|_| !self.works_as_before())?;
        rule.symptom.clone()
    }

    /// Whether the key stays in the person's hands for now.
    pub(super) fn stays_alive(&self) -> bool {
        !self.expired
            && match self.fate {
                Fate::Survives | Fate::Unknown | Fate::Blocks => true,
                Fate::Dies | Fate::Dormant | Fate::Shrinks => self.effective_at.is_none(),
            }
    }
}

/// The situations that `change` is, the most specific one first; none: it changes no key.
pub(super) fn situations(change: &MembershipChange) -> &'static [Situation] {
    use Situation::{
        AccountDeleted, MemberLeft, MemberRemoved, ProjectLost, Reinstated, RoleLowered, Suspended,
    };
    // Whoever loses one project stays in the others.
    let is_narrow = matches!(change.scope, Scope::Project { .. } | Scope::Group { .. });
    match change.change {
        ChangeKind::Removed | ChangeKind::LeaveScheduled => {
            match (change.reason.as_deref(), is_narrow) {
                (Some("account_deleted"), _) => &[AccountDeleted, MemberRemoved],
                (Some("left"), true) => &[ProjectLost, MemberLeft, MemberRemoved],
                (Some("left"), false) => &[MemberLeft, MemberRemoved],
                (_, true) => &[ProjectLost, MemberRemoved],
                (_, false) => &[MemberRemoved],
            }
        }
        ChangeKind::Suspended => &[Suspended],
        ChangeKind::RoleChanged => &[RoleLowered],
        ChangeKind::Joined | ChangeKind::Reinstated => &[Reinstated],
        ChangeKind::Renamed | ChangeKind::LeaveCancelled => &[],
    }
}

/// Judges a key that the change reaches; nothing: the change leaves it as it is.
pub(super) fn judge<'a>(
    inputs: &Inputs<'a>,
    touched: &Touched<'a>,
    facts: &ProviderFacts,
) -> Option<Judgement<'a>> {
    let (change, catalogue) = (inputs.change, inputs.catalogue);
    let key = touched.key;
    let class = catalogue.class(&facts.kind, &key.class);
    let rule = |on| class.and_then(|class| class.rule(on));
    let moment = Moment::of(change);
    let propagation = if change.source == key.provider {
        Propagation::Direct {}
    } else {
        facts.propagation
    };
    let effect = effect(inputs, touched);
    let mut situations = match &effect {
        Effect::Nothing(_) => return None,
        Effect::Role(..) => &[Situation::RoleLowered],
        Effect::AsTold | Effect::Perhaps(_) => situations(change),
    }
    .iter();
    let found = situations.find_map(|&on| rule(on));
    let judgement = Judgement {
        fate: found.map_or(Fate::Unknown, |rule| rule.fate),
        lost_scopes: Vec::new(),
        propagation,
        effective_at: Some(change.effective_at),
        until_then: None,
        rule: found,
        expired: false,
        afterwards: None,
        returns: None,
        note: None,
        tie: Tie::Own,
    };
    if let Some(expires) = key.expires_at.filter(|expires| *expires <= moment.from) {
        let rule = rule(Situation::KeyExpired);
        return Some(Judgement {
            fate: rule.map_or(Fate::Unknown, |rule| rule.fate),
            propagation: Propagation::Direct {},
            effective_at: Some(expires),
            rule,
            expired: true,
            ..judgement
        });
    }
    if is_return(change.change) {
        return Some(judge_return(inputs, touched, facts, judgement));
    }
    let refused = rule(Situation::LastOwner)
        .filter(|_| effect == Effect::AsTold && is_refused(inputs, key, facts));
    let judgement = with_effect(inputs, touched, (facts, effect), judgement)?;
    Some(carried(change, refused, judgement))
}

/// What the change does to the key through the membership of whoever made it.
fn with_effect<'a>(
    inputs: &Inputs<'a>,
    touched: &Touched<'a>,
    (facts, effect): (&ProviderFacts, Effect<'_>),
    judgement: Judgement<'a>,
) -> Option<Judgement<'a>> {
    let change = inputs.change;
    match effect {
        Effect::Nothing(_) => None,
        Effect::AsTold if change.change == ChangeKind::RoleChanged => {
            judge_role(inputs, touched, (facts, told(change)), judgement)
        }
        Effect::AsTold => Some(judgement),
        Effect::Role(roles, why) => {
            let judgement = judge_role(inputs, touched, (facts, roles), judgement)?;
            let more = judgement.note.iter().map(|note| format!("; {note}"));
            let note = more.fold(why, |why, note| why + &note);
            Some(Judgement {
                note: Some(note),
                ..judgement
            })
        }
        // Out of the project or not, it is the same.
        Effect::Perhaps(_) if judgement.fate == Fate::Survives => Some(judgement),
        Effect::Perhaps(why) => Some(Judgement {
            note: Some(format!("{why}; if the project is lost: {}", judgement.fate)),
            fate: Fate::Unknown,
            ..judgement
        }),
    }
}

/// Whether the key comes back with the person.
fn judge_return<'a>(
    inputs: &Inputs<'a>,
    touched: &Touched<'a>,
    facts: &ProviderFacts,
    judgement: Judgement<'a>,
) -> Judgement<'a> {
    let said = judgement.rule.and_then(|rule| rule.returns);
    let of_loss = touched.loss.and_then(|loss| {
        let inputs = Inputs {
            change: loss,
            ..*inputs
        };
        judge(&inputs, touched, facts)
    });
    let back = comeback(
        inputs.history,
        inputs.change,
        touched,
        said.unwrap_or(Returns::Unknown),
        of_loss.as_ref().map(|lost| lost.fate),
    );
    let (effective_at, until_then) = returned::when(
        inputs.change,
        back.returns,
        judgement.propagation,
        touched.loss,
    );
    // Where the loss decided against what is said of returns, its rule is the one to cite.
    let of_loss = of_loss.and_then(|lost| lost.rule);
    let rule = if said == Some(back.returns) || back.returns == Returns::Unknown {
        judgement.rule
    } else {
        of_loss.or(judgement.rule)
    };
    Judgement {
        fate: back.returns.fate(),
        effective_at,
        until_then,
        rule,
        returns: Some(back.returns),
        note: back.note,
        ..judgement
    }
}
