//! Somebody came back: which keys come back with them, and which were replaced in the meantime.

use super::{
    groups::stays,
    inputs::Inputs,
    ownership::{Moment, PersonHistory, held, spoken},
};
use crate::domain::{
    ChangeKind, Fate, Key, KeyInterval, MembershipChange, Propagation, Replacement, Returns, Shared,
};

/// A key that a change reaches, as the person held it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touched<'a> {
    pub(super) key: &'a Key,
    pub(super) interval: &'a KeyInterval,
    /// With a return: what had taken the key from the person, where that is known.
    pub(super) loss: Option<&'a MembershipChange>,
}

impl<'a> Touched<'a> {
    /// How the change of `inputs` reaches `key`; nothing: it does not.
    pub(super) fn by(inputs: &Inputs<'a>, key: &'a Key) -> Option<Self> {
        let (change, history) = (inputs.change, inputs.history);
        let loss = is_return(change.change)
            .then(|| loss(inputs, key))
            .flatten();
        let moment = match (change.change, loss) {
            (_, Some(loss)) => Moment::of(loss),
            // Whoever only comes in brings nothing back.
            (ChangeKind::Joined, None) => return None,
            (_, None) => Moment::of(change),
        };
        Some(Self {
            key,
            interval: held(history, key, moment)?,
            loss,
        })
    }
}

/// Whether a change lets somebody in.
pub(super) fn is_return(change: ChangeKind) -> bool {
    matches!(change, ChangeKind::Joined | ChangeKind::Reinstated)
}

fn order(change: &MembershipChange) -> (jiff::Timestamp, jiff::Timestamp) {
    (change.effective_at, change.published_at)
}

/// The newest change before `back` that took `key` away and that nothing undid in between.
fn loss<'a>(inputs: &Inputs<'a>, key: &Key) -> Option<&'a MembershipChange> {
    let Inputs {
        change: back,
        history,
        policy,
        ..
    } = *inputs;
    let reach = |change: &&MembershipChange| policy.covers(change, &key.provider, &key.project);
    let before = || {
        let earlier = history.changes.iter().filter(reach);
        earlier.filter(|change| order(change) < order(back))
    };
    let is_undone = |loss: &MembershipChange| {
        history.changes.iter().filter(reach).any(|other| {
            let speaks_ahead = other.change.speaks_ahead();
            let cancels = speaks_ahead && spoken(other) > spoken(loss);
            let between = !speaks_ahead && order(other) > order(loss) && order(other) < order(back);
            other.change.undoes(loss.change) && (cancels || between)
        })
    };
    before()
        .filter(|change| {
            use ChangeKind::{LeaveScheduled, Removed, Suspended};
            matches!(change.change, Removed | Suspended | LeaveScheduled)
        })
        .filter(|change| !is_undone(change) && !stays(inputs, change, key))
        .max_by_key(|change| (order(change), change.id))
}

/// Whether the key comes back, and a word about how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comeback {
    pub(super) returns: Returns,
    pub(super) note: Option<String>,
}

/// Weighs what the catalogue says of a return (`said`) against what the loss did to the key
/// (`lost`: its fate).
pub(super) fn comeback(
    history: &PersonHistory,
    back: &MembershipChange,
    touched: &Touched<'_>,
    said: Returns,
    lost: Option<Fate>,
) -> Comeback {
    let provider = &touched.key.provider;
    let plain = |returns| Comeback {
        returns,
        note: None,
    };
    let noted = |returns, note| Comeback {
        returns,
        note: Some(note),
    };
    let Some(loss) = touched.loss else {
        // It is listed now: what is gone for good is not, or some other loss is meant.
        let said = if said == Returns::GoneForGood {
            Returns::Unknown
        } else {
            said
        };
        return noted(said, "nothing is known of what is undone here".to_owned());
    };
    let reached = reached(history, loss, back, touched);
    match (said, lost) {
        (Returns::NeverStopped, _) => plain(said),
        _ if reached == Some(false) => noted(
            Returns::NeverStopped,
            format!("it never stopped: {provider} kept the member all the time"),
        ),
        (Returns::ComesBack | Returns::Unknown, Some(Fate::Survives)) => noted(
            Returns::NeverStopped,
            format!("it never stopped: {} did nothing to it", loss.change),
        ),
        (Returns::ComesBack, Some(Fate::Dies)) => noted(
            Returns::GoneForGood,
            "it ended for good; only what had merely stopped comes back".to_owned(),
        ),
        (Returns::GoneForGood, _) if reached.is_none() => noted(
            Returns::Unknown,
            format!("it is gone for good if somebody removed the member at {provider} meanwhile"),
        ),
        (said, _) => plain(said),
    }
}

/// Whether the loss had come to the provider before the person came back; nothing: who knows.
fn reached(
    history: &PersonHistory,
    loss: &MembershipChange,
    back: &MembershipChange,
    touched: &Touched<'_>,
) -> Option<bool> {
    let key = touched.key;
    if loss.source == key.provider {
        return Some(true);
    }
    let (gone_from, back_at) = (Moment::of(loss).from, back.effective_at);
    // What ended before the loss is no longer looked at where this is asked.
    let ended = |until: Option<jiff::Timestamp>| until.is_some_and(|until| until <= back_at);
    let own = history.members.iter().find(|member| {
        member.provider == key.provider
            && member.project == key.project
            && history.has_account(&member.provider, &member.account.id)
    });
    let stayed = own.and_then(|member| {
        let roles = &member.history;
        let is_followed = |until| {
            let mut others = roles.iter();
            others.any(|other| other.valid_from == until && other.valid_to != until)
        };
        let mut relevant = roles.iter().filter(|one| {
            one.valid_from.is_none_or(|from| from <= back_at)
                && one.valid_to.is_none_or(|until| until > gone_from)
        });
        let first = relevant.next()?;
        let was_there = first.valid_from.is_none_or(|from| from <= gone_from);
        let mut all = std::iter::once(first).chain(relevant);
        let has_left = all.any(|one| ended(one.valid_to) && !is_followed(one.valid_to));
        Some(was_there && !has_left)
    });
    match stayed {
        Some(stayed) => Some(!stayed),
        None => ended(touched.interval.valid_to).then_some(true),
    }
}

/// The key that took the place of `touched.key`: of the same class in the same project and with
/// the same name, made by anybody between the word of the loss and the return, and still there.
pub(super) fn replacement(
    history: &PersonHistory,
    back: &MembershipChange,
    touched: &Touched<'_>,
) -> Option<Replacement> {
    let (loss, key) = (touched.loss?, touched.key);
    let since = loss.published_at.min(Moment::of(loss).from);
    let name = name(&key.label)?;
    let candidates = history.keys.iter().chain(&history.others);
    let same = candidates.filter(|other| {
        (&other.provider, &other.project, &other.class) == (&key.provider, &key.project, &key.class)
            && other.id != key.id
            && self::name(&other.label).as_ref() == Some(&name)
    });
    same.filter_map(|other| {
        let first = other.history.first()?;
        let begun = other.created_at.or(first.valid_from)?;
        let last = other.history.last()?;
        let lives = last.valid_to.is_none_or(|until| until > back.effective_at);
        (begun >= since && begun <= back.effective_at && lives).then_some((begun, other, first))
    })
    .min_by_key(|(begun, other, _)| (*begun, &other.id))
    .map(|(_, other, first)| Replacement {
        id: other.id.clone(),
        label: other.label.clone(),
        creator: match &first.creator.email {
            Some(email) => email.to_string(),
            None => first.creator.id.clone(),
        },
    })
}

/// The words of a label that stay when a key is made anew; nothing when there are none.
fn name(label: &str) -> Option<Vec<String>> {
    const OF_A_COPY: [&str; 6] = ["new", "old", "copy", "replacement", "rotated", "v"];
    let words = label
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| {
            let counted = word.strip_prefix('v').unwrap_or(word);
            let counts = counted.bytes().all(|byte| byte.is_ascii_digit());
            !counts && !OF_A_COPY.contains(&word.as_str())
        });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then_some(words)
}

/// When the return reaches the provider, and what holds before; `direct` and the like as for a
/// loss.
pub(super) fn when(
    back: &MembershipChange,
    returns: Returns,
    propagation: Propagation,
    loss: Option<&MembershipChange>,
) -> (Option<jiff::Timestamp>, Option<Shared<String>>) {
    match (returns, propagation) {
        (Returns::GoneForGood, _) => {
            let ended = loss.map_or(back.effective_at, |loss| loss.effective_at);
            (Some(ended), None)
        }
        (Returns::ComesBack | Returns::Unknown, Propagation::Manual {}) => {
            (None, Some(MANUALLY.into()))
        }
        _ => (Some(back.effective_at), None),
    }
}

const MANUALLY: &str = "Whatever comes back does so when somebody lets the member in again at the \
                        provider.";

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::name;

    #[rstest]
    #[case("Live captions", "live captions v2", true)]
    #[case("captions (old)", "captions 2026-03", true)]
    #[case("captions", "captions dev", false)]
    #[case("v2", "2", false)]
    #[case("", "", false)]
    fn a_key_that_is_made_anew_keeps_its_name(
        #[case] one: &str,
        #[case] other: &str,
        #[case] same: bool,
    ) {
        assert_eq!(name(one).is_some() && name(one) == name(other), same);
    }
}
