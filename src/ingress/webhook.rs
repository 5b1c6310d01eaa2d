//! One request of one source: prove it, read it, bring it to disk, answer. In this order.

use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use jiff::Timestamp;
use metrics::{counter, histogram};
use tracing::{Instrument, debug, error, info, info_span, warn};

use super::{
    IngressState, Inlet, answer,
    body::{check, hold_until_sent, read},
    problem::Problem,
};
use crate::{
    config::http::HttpConfig,
    log::Health,
    sources::{Reading, Request, Unauthentic, signature::pretend_to_verify},
    telemetry::metrics::{
        INGRESS_APPEND_SECONDS, INGRESS_BODY_BYTES, INGRESS_CHANGES, INGRESS_REQUESTS,
    },
};

/// What a source that is not configured is called in metrics and logs: the names that strangers
/// try must not become labels.
const UNKNOWN: &str = "unknown";

/// Takes what a source sends.
pub(super) async fn deliver(
    request: HttpRequest,
    name: web::Path<String>,
    mut payload: web::Payload,
    state: web::Data<IngressState>,
    limits: web::Data<HttpConfig>,
) -> HttpResponse {
    let inlet = state.sources.get(name.as_str());
    let source = inlet
        .map_or(UNKNOWN, |inlet| inlet.source.name())
        .to_owned();
    let span = info_span!("ingress", source);
    let outcome = take(&request, &mut payload, &state, &limits, inlet)
        .instrument(span)
        .await;
    let (response, label) = outcome.unwrap_or_else(|problem| {
        let response = problem.error_response();
        (hold_until_sent(response, payload), problem.label())
    });
    counter!(INGRESS_REQUESTS, "source" => source, "outcome" => label).increment(1);
    response
}

async fn take(
    request: &HttpRequest,
    payload: &mut web::Payload,
    state: &IngressState,
    limits: &HttpConfig,
    inlet: Option<&Inlet>,
) -> Result<(HttpResponse, &'static str), Problem> {
    if let Health::Unavailable(why) | Health::Failed(why) = state.log.health() {
        debug!(why, "a request is refused: the log takes no records");
        return Err(Problem::Unavailable);
    }
    check(request, limits)?;
    let body = read(payload, limits).await?;
    #[expect(clippy::cast_precision_loss, reason = "no body has 2^52 bytes")]
    histogram!(INGRESS_BODY_BYTES).record(body.len() as f64);

    let headers = headers(request);
    let request = Request {
        headers: &headers,
        body: &body,
        received_at: state.clock.now(),
    };
    let inlet = prove(inlet, &request)?;
    let reading = inlet.source.read(&request);
    let (records, answer) = answer::records(inlet, &request, &reading);
    if !records.is_empty() {
        append(state, records).await?;
    }
    tell(inlet.source.name(), &reading, request.received_at);
    if let Some(why) = reading.unreadable {
        return Err(Problem::Unreadable(why));
    }
    let response = answer.response(inlet.source.accepted_status());
    Ok((response, answer.label()))
}

/// The inlet, when the request proves that it comes from its source.
///
/// A stranger learns nothing: a source that does not exist costs the same hash over the body as a
/// wrong signature, and gets the same answer.
fn prove<'a>(inlet: Option<&'a Inlet>, request: &Request<'_>) -> Result<&'a Inlet, Problem> {
    let Some(inlet) = inlet else {
        pretend_to_verify(request.body);
        return Err(Problem::Unauthentic);
    };
    match inlet.source.verify(request) {
        Ok(()) => Ok(inlet),
        Err(why) => {
            if why == Unauthentic::Missing {
                pretend_to_verify(request.body);
            }
            warn!(%why, "a request is not believed");
            Err(Problem::Unauthentic)
        }
    }
}

async fn append(state: &IngressState, records: Vec<crate::domain::Record>) -> Result<(), Problem> {
    // A broken promise, for the test that shows that somebody would notice.
    fail::fail_point!("ingress.promise-without-append", |_| Ok(()));
    let started = std::time::Instant::now();
    let appended = state.log.append(records).await;
    histogram!(INGRESS_APPEND_SECONDS).record(started.elapsed().as_secs_f64());
    appended.map_err(|fault| {
        error!(%fault, "a request could not be brought to the log");
        fault.into()
    })
}

/// Counts and logs what is now on disk.
fn tell(source: &str, reading: &Reading, received_at: Timestamp) {
    for change in &reading.changes {
        info!(
            change.id = %change.id,
            change.kind = %change.change,
            change.published_at = %change.published_at,
            change.received_at = %received_at,
            "a membership change is accepted"
        );
        let labels = [
            ("source", source.to_owned()),
            ("change", change.change.label().to_owned()),
        ];
        counter!(INGRESS_CHANGES, &labels).increment(1);
    }
    for ignored in &reading.ignored {
        debug!(
            event.id = ignored.event_id,
            why = ignored.why,
            "an event is ignored"
        );
    }
    let faults = reading.unusable.len() + usize::from(reading.unreadable.is_some());
    if faults > 0 {
        warn!(faults, "a request is quarantined");
    }
}

/// Answers a source that verifies once who listens here.
pub(super) async fn shake_hands(
    request: HttpRequest,
    name: web::Path<String>,
    state: web::Data<IngressState>,
) -> Result<HttpResponse, Problem> {
    let headers = headers(&request);
    let asked = Request {
        headers: &headers,
        body: &[],
        received_at: state.clock.now(),
    };
    let inlet = state.sources.get(name.as_str());
    let answer = inlet.and_then(|inlet| inlet.source.handshake(&asked));
    let answer = answer.ok_or(Problem::Method("POST"))?;
    info!(source = name.as_str(), "a source verified this address");
    Ok(HttpResponse::Ok().json(answer))
}

/// All headers in order of arrival. Bytes that are no text are replaced, never left out: a header
/// given twice has to stay visible as such.
fn headers(request: &HttpRequest) -> Vec<(String, String)> {
    request
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}
