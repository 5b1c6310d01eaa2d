//! Requests and usage.

use actix_web::web::{self, Data, Path, Query, ServiceConfig};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Simulated, ok};
use crate::simulator::{
    refusal::Refusal,
    world::{Call, Caller, Credential, Project, World, parse_id},
};

/// What the API describes as the default and the most for one page of requests.
const PAGE: usize = 10;
const MOST: usize = 1000;
/// How deep one may page.
const DEEPEST: usize = 50_000;
/// Logs are kept for 90 days; without dates, usage is of the last 30.
const KEPT_DAYS: i64 = 90;
const DEFAULT_DAYS: i64 = 30;
const MOST_DAYS: usize = 400;
/// One steady request is half a minute of audio.
const HOURS_A_REQUEST: f64 = 30.0 / 3600.0;

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("/{project}/requests", web::get().to(requests))
        .route("/{project}/requests/{request}", web::get().to(request))
        .route("/{project}/usage", web::get().to(summary))
        .route("/{project}/usage/fields", web::get().to(fields))
        .route("/{project}/usage/breakdown", web::get().to(breakdown));
}

#[derive(Deserialize)]
struct Asked {
    start: Option<String>,
    end: Option<String>,
    limit: Option<usize>,
    page: Option<usize>,
    accessor: Option<Uuid>,
    status: Option<String>,
    grouping: Option<String>,
}

impl Asked {
    /// The days from `start` to `end`, both included.
    fn days(&self, now: Timestamp, by_default: i64) -> Result<(Date, Date), Refusal> {
        let today = now.to_zoned_datetime(TimeZone::UTC).date();
        let end = parse_day(self.end.as_deref())?.unwrap_or(today);
        let start = parse_day(self.start.as_deref())?;
        let start = match start {
            Some(day) => day,
            None => end.saturating_sub(by_default.days()),
        };
        if start > end {
            return Err(Refusal::Invalid("start must be before end.".to_owned()));
        }
        Ok((start, end))
    }
}

/// The day of `2026-01-31` or of `2026-01-31T12:00:00Z`.
fn parse_day(text: Option<&str>) -> Result<Option<Date>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let day = text.get(..10).unwrap_or(text).parse();
    day.map(Some)
        .map_err(|_| Refusal::Invalid(format!("{text:?} is no date; write YYYY-MM-DD.")))
}

/// From just before the first moment of `start` to the last of `end`.
fn span(start: Date, end: Date) -> (Timestamp, Timestamp) {
    let midnight = |day: Date| {
        let zoned = day.to_zoned_datetime(TimeZone::UTC);
        zoned.map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp())
    };
    let just_before = |time: Timestamp| time.saturating_sub(1.microsecond()).unwrap_or(time);
    let after_end = end.saturating_add(1.day());
    (
        just_before(midnight(start)),
        just_before(midnight(after_end)),
    )
}

fn enter(world: &World, who: &Credential, project: &str) -> Result<Caller, Refusal> {
    let caller = world.enter(who, project)?;
    caller.must("usage:read")?;
    Ok(caller)
}

async fn requests(
    state: Data<Simulated>,
    who: Credential,
    project: Path<String>,
    asked: Query<Asked>,
) -> Answer {
    let world = state.world();
    let caller = enter(&world, &who, &project)?;
    let now = world.now();
    let (start, end) = asked.days(now, KEPT_DAYS)?;
    let (limit, page) = (asked.limit.unwrap_or(PAGE), asked.page.unwrap_or(0));
    if !(1..=MOST).contains(&limit) {
        return Err(Refusal::Invalid("limit must be from 1 to 1000.".to_owned()));
    }
    let skipped = page.saturating_mul(limit).min(DEEPEST);
    let here = world.project(&caller)?;
    let found = if asked.status.as_deref() == Some("failed") {
        Vec::new()
    } else {
        here.newest_calls(asked.accessor, span(start, end), skipped + limit, now)
    };
    let items = found.iter().skip(skipped).map(|call| to_json(here, call));
    ok(&json!({ "page": page, "limit": limit, "requests": items.collect::<Vec<_>>() }))
}

async fn request(state: Data<Simulated>, who: Credential, path: Path<(String, String)>) -> Answer {
    let world = state.world();
    let caller = enter(&world, &who, &path.0)?;
    let id = parse_id(&path.1)?;
    let here = world.project(&caller)?;
    let ever = (Timestamp::MIN, Timestamp::MAX);
    let found = here.newest_calls(None, ever, MOST, world.now());
    let call = found.iter().find(|call| call.id == id);
    let call = to_json(here, call.ok_or(Refusal::NotFound("request"))?);
    // The description wraps the request and has no null; older clients, and recorded answers, have
    // it bare, with a null for a callback that was not asked for.
    let mut answer = call.clone();
    let mut wrapped = call;
    if let (Some(bare), Some(inner)) = (answer.as_object_mut(), wrapped.as_object_mut()) {
        inner.remove("callback");
        bare.insert("request".to_owned(), wrapped);
    }
    ok(&answer)
}

fn to_json(project: &Project, call: &Call) -> Value {
    let details = json!({
        "usd": 0.0,
        "duration": 30.0,
        "total_audio": 30.0,
        "channels": 1,
        "streams": 1,
        "models": [],
        "method": "sync",
        "tags": [],
        "features": [],
        "config": {},
    });
    json!({
        "request_id": call.id,
        "project_uuid": project.id,
        "created": call.at,
        "path": call.path,
        "api_key_id": call.key,
        "response": {
            "details": details,
            "code": 200,
            "completed": call.at,
            "deployment": "hosted:us",
        },
        "callback": null,
    })
}

/// How many requests each key made on each day: `(day, accessor, requests)`.
fn by_day(
    project: &Project,
    (start, end): (Date, Date),
    accessor: Option<Uuid>,
    now: Timestamp,
) -> Vec<(Date, Uuid, u64)> {
    let days = start.series(1.day()).take_while(|day| *day <= end);
    let mut counted = Vec::new();
    for day in days.take(MOST_DAYS) {
        for key in &project.keys {
            let count = project.requests(key, span(day, day), now);
            if count > 0 && accessor.is_none_or(|one| one == key.id) {
                counted.push((day, key.id, count));
            }
        }
    }
    counted
}

fn hours(requests: u64) -> f64 {
    f64::from(u32::try_from(requests).unwrap_or(u32::MAX)) * HOURS_A_REQUEST
}

async fn summary(
    state: Data<Simulated>,
    who: Credential,
    project: Path<String>,
    asked: Query<Asked>,
) -> Answer {
    let world = state.world();
    let caller = enter(&world, &who, &project)?;
    let now = world.now();
    let (start, end) = asked.days(now, DEFAULT_DAYS)?;
    let counted = by_day(world.project(&caller)?, (start, end), asked.accessor, now);
    let mut days: Vec<(Date, u64)> = Vec::new();
    for (day, _, count) in counted {
        match days.last_mut() {
            Some(last) if last.0 == day => last.1 += count,
            _ => days.push((day, count)),
        }
    }
    let items = days.iter().map(|(day, count)| {
        let hours = hours(*count);
        json!({
            "start": day, "end": day, "hours": hours, "total_hours": hours, "requests": count,
        })
    });
    ok(&window(start, end, &items.collect::<Vec<_>>()))
}

async fn breakdown(
    state: Data<Simulated>,
    who: Credential,
    project: Path<String>,
    asked: Query<Asked>,
) -> Answer {
    let world = state.world();
    let caller = enter(&world, &who, &project)?;
    let now = world.now();
    let (start, end) = asked.days(now, DEFAULT_DAYS)?;
    let by_accessor = asked.grouping.as_deref() == Some("accessor");
    let counted = by_day(world.project(&caller)?, (start, end), asked.accessor, now);
    let items = counted.into_iter().map(|(day, key, count)| {
        let hours = hours(count);
        json!({
            "hours": hours,
            "total_hours": hours,
            "agent_hours": 0.0,
            "tokens_in": 0,
            "tokens_out": 0,
            "tts_characters": 0,
            "requests": count,
            "grouping": {
                "start": day,
                "end": day,
                "accessor": by_accessor.then_some(key),
                "endpoint": null,
                "feature_set": null,
                "models": [],
                "method": null,
                "tags": null,
                "deployment": null,
            },
        })
    });
    ok(&window(start, end, &items.collect::<Vec<_>>()))
}

fn window(start: Date, end: Date, results: &[Value]) -> Value {
    json!({
        "start": start,
        "end": end,
        "resolution": { "units": "day", "amount": 1 },
        "results": results,
    })
}

async fn fields(state: Data<Simulated>, who: Credential, project: Path<String>) -> Answer {
    let world = state.world();
    enter(&world, &who, &project)?;
    ok(&json!({
        "tags": [],
        "models": [],
        "processing_methods": ["sync", "streaming"],
        "features": ["punctuate", "smart_format"],
    }))
}
