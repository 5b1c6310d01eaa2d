//! Tells in an impact what was seen of it.

use jiff::Timestamp;

use super::{
    assess::{About, assess},
    common::Common,
    correlate::Awaited,
    inputs::Inputs,
    judge::Judgement,
    returned::Touched,
    verify::{self, Check},
};
use crate::domain::{
    Fate, Impact, Status,
    impact::{Assessment, Successor},
};

/// What is to be told of an impact beside the prediction.
pub(super) struct Verified {
    check: Check,
    /// Of one that came otherwise: how bad that is, and what to do.
    otherwise: Option<(Assessment, String)>,
    /// When an announced leave takes effect.
    scheduled: Option<Timestamp>,
}

/// Holds the predicted `impact` against what was seen.
pub(super) fn verified(
    (inputs, common): (&Inputs<'_>, &Common<'_>),
    touched: &Touched<'_>,
    judgement: &Judgement<'_>,
    impact: &Impact,
) -> Verified {
    // What was undone is not waited for.
    if !impact.status.stands() {
        return Verified {
            check: Check::default(),
            otherwise: None,
            scheduled: None,
        };
    }
    let check = verify::check(inputs, touched, judgement);
    let change = inputs.change;
    let scheduled = impact.status == Status::Scheduled;
    Verified {
        otherwise: otherwise((inputs, common), judgement, impact, &check),
        check,
        scheduled: scheduled.then_some(change.effective_at),
    }
}

/// How bad it is that a key came to another end, as the table says of the fate that it met.
fn otherwise(
    (inputs, common): (&Inputs<'_>, &Common<'_>),
    judgement: &Judgement<'_>,
    impact: &Impact,
    check: &Check,
) -> Option<(Assessment, String)> {
    let (status, observed) = check.seen.as_ref()?;
    let (fate, action) = match status {
        Status::StillAlive => (
            Fate::Survives,
            "End this key at the provider: it outlived the change, and works as far as its list \
             says.",
        ),
        Status::DiedUnexpectedly => (
            Fate::Dies,
            "Give its callers another key now: this one is gone, and nobody had told them.",
        ),
        _ => return None,
    };
    let met = Judgement {
        fate,
        effective_at: Some(inputs.change.effective_at),
        lost_scopes: Vec::new(),
        until_then: None,
        note: None,
        ..*judgement
    };
    let key = &impact.key;
    let project = key.project_name.as_deref().unwrap_or_default();
    let (_, environment) = inputs.policy.environment(&key.tags, &key.label, project);
    let about = About {
        key: &impact.key,
        act_by: impact.act_by,
        environment,
        successor: matches!(*impact.successor, Successor::Found(_)),
        replaced_by: None,
    };
    let mut severity = assess((inputs, common), &met, &about);
    severity.reasons.insert(0, observed.says.clone().into());
    Some((severity, action.to_owned()))
}

impl Verified {
    /// Adds to `impact` what was seen, and to `awaited` what can tell more.
    pub(super) fn tell(self, impact: &mut Impact, awaited: &mut Awaited) {
        let Check {
            seen,
            awaits_look,
            lapses,
        } = self.check;
        if awaits_look && !awaited.looks.contains(&impact.key.provider) {
            awaited.looks.insert(impact.key.provider.clone());
        }
        awaited.moments.extend(lapses);
        match seen {
            Some((status, observed)) => {
                impact.status = status;
                impact.observed = Some(observed);
            }
            None => awaited.moments.extend(self.scheduled),
        }
        if let Some((severity, action)) = self.otherwise {
            impact.severity = severity.into();
            impact.recommended_action = action.into();
        }
    }
}
