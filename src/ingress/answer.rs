//! What one reading comes to: the records to append, and the answer to the sender.

use actix_web::{HttpResponse, http::StatusCode};
use serde::Serialize;

use super::Inlet;
use crate::{
    domain::{ChangeId, Quarantined, Record, Refused},
    sources::{Lookup, Reading, Request, Unusable},
};

/// The most faults of one body that are written down; the rest is counted.
const MOST_FAULTS: usize = 10;

/// What the sender is told.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    /// The ids of the changes.
    accepted: Vec<ChangeId>,
    /// How many events will be read back from the source.
    lookups: usize,
    /// The ids of what could not be used.
    quarantined: Vec<uuid::Uuid>,
    /// How many events mean nothing here.
    ignored: usize,
}

impl Answer {
    pub(super) fn response(&self, status: u16) -> HttpResponse {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::ACCEPTED);
        HttpResponse::build(status).json(self)
    }

    /// The outcome's name in metrics.
    pub(super) fn label(&self) -> &'static str {
        if !self.quarantined.is_empty() {
            "quarantined"
        } else if self.accepted.is_empty() && self.lookups == 0 {
            "ignored"
        } else {
            "accepted"
        }
    }
}

/// The records of `reading`, all to be appended at once, and the answer once they are there.
pub(super) fn records(
    inlet: &Inlet,
    request: &Request<'_>,
    reading: &Reading,
) -> (Vec<Record>, Answer) {
    let at = request.received_at;
    let changes = reading.changes.iter().map(|change| change.to_record(at));
    let lookups = reading
        .lookups
        .iter()
        .map(|lookup| Lookup::to_record(lookup, at));
    let mut records: Vec<_> = changes.chain(lookups).collect();
    let quarantined = quarantined(inlet, request, reading);
    records.extend(quarantined.iter().map(Quarantined::to_record));
    let answer = Answer {
        accepted: reading.changes.iter().map(|change| change.id).collect(),
        lookups: reading.lookups.len(),
        quarantined: quarantined.iter().map(|one| one.id).collect(),
        ignored: reading.ignored.len(),
    };
    (records, answer)
}

/// One record for the whole delivery, however many faults it has: one for each would store the
/// body as often.
fn quarantined(inlet: &Inlet, request: &Request<'_>, reading: &Reading) -> Option<Quarantined> {
    let faults = &reading.unusable;
    let (why, event_id) = match (&reading.unreadable, faults.as_slice()) {
        (Some(why), _) => (why.clone(), None),
        (None, []) => return None,
        (None, [one]) => (one.why.clone(), one.event_id.as_deref()),
        (None, several) => (summary(several), None),
    };
    Some(Quarantined::new(&Refused {
        source: inlet.source.name(),
        received_at: request.received_at,
        why: &why,
        event_id,
        headers: request.headers,
        proof_headers: &inlet.source.proof_headers(),
        body: request.body,
        keep_payload: inlet.keep_payload,
    }))
}

fn summary(faults: &[Unusable]) -> String {
    let mut lines: Vec<_> = faults
        .iter()
        .take(MOST_FAULTS)
        .map(|fault| match &fault.event_id {
            Some(id) => format!("{id}: {}", fault.why),
            None => fault.why.clone(),
        })
        .collect();
    if let Some(rest) = faults.len().checked_sub(MOST_FAULTS)
        && rest > 0
    {
        lines.push(format!("and {rest} more"));
    }
    lines.join("\n")
}
