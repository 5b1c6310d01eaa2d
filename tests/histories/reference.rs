//! What must come of a story, worked out by looking at everything: no index, no fold, nothing of
//! the program's own but the names of fates.

use std::collections::BTreeMap;

use offkey::domain::Fate;

use crate::story::{Event, Kind, Made, Place, Reach, Story};

/// What must be reported of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// These keys, each with its fate; none: the person is known, and nothing of theirs is hit.
    Keys(BTreeMap<String, Fate>),
    /// Nobody knows the person.
    Nobody,
    /// It takes nothing away, or nothing but what somebody had told before.
    Nothing,
    /// A return: judged elsewhere.
    NotAsked,
}

/// What must be reported of `event`.
pub(crate) fn expected(story: &Story, event: &Event) -> Expected {
    match event.kind {
        Kind::Renamed => return Expected::Nothing,
        Kind::Joined | Kind::Reinstated => return Expected::NotAsked,
        Kind::Removed | Kind::Suspended | Kind::LeaveScheduled => {}
    }
    let is_known = story
        .keys
        .iter()
        .any(|key| intervals(key).iter().any(|(who, ..)| *who == event.who));
    if !is_known {
        return Expected::Nobody;
    }
    let hit: Vec<&Made> = story.keys.iter().filter(|key| hits(event, key)).collect();
    let keys: BTreeMap<String, Fate> = hit
        .iter()
        .filter(|key| !was_told(story, event, key))
        .map(|key| (key.id(), fate(key.place, event)))
        .collect();
    if keys.is_empty() && !hit.is_empty() {
        Expected::Nothing
    } else {
        Expected::Keys(keys)
    }
}

/// Whether the key is the person's, within reach, when it happens.
fn hits(event: &Event, key: &Made) -> bool {
    let is_theirs = intervals(key).into_iter().any(|(who, from, until)| {
        let ended = until.is_some_and(|until| until <= event.not_before.unwrap_or(event.at));
        who == event.who && from <= event.at && !ended
    });
    is_theirs && reaches(event, key)
}

fn reaches(event: &Event, key: &Made) -> bool {
    match event.reach {
        Reach::Everything => true,
        Reach::Project(place, project) => key.place == place && key.project == project,
    }
}

/// Whether a look shows of the key only what somebody had told, and what still held: that is
/// reported once.
fn was_told(story: &Story, seen: &Event, key: &Made) -> bool {
    let is_over = |told: &Event| {
        let mut others = story.events.iter();
        others.any(|other| {
            other.who == seen.who && reaches(other, key) && undoes(story, other, told, seen.at)
        })
    };
    seen.not_before.is_some()
        && story.events.iter().any(|told| {
            told.not_before.is_none()
                && matches!(
                    told.kind,
                    Kind::Removed | Kind::Suspended | Kind::LeaveScheduled
                )
                && told.who == seen.who
                && told.at <= seen.at
                && hits(told, key)
                && fate(key.place, told) == fate(key.place, seen)
                && !is_over(told)
        })
}

/// Whether a return, or another date, came after what was told and not after `until`.
fn undoes(story: &Story, other: &Event, told: &Event, until: i64) -> bool {
    match other.kind {
        Kind::Joined | Kind::Reinstated => {
            (other.at, other.told) > (told.at, told.told) && other.at <= until
        }
        Kind::LeaveScheduled => {
            let said = |event: &Event| (event.told, event.at, event.change(story).id);
            told.kind == Kind::LeaveScheduled && said(other) > said(told) && other.told <= until
        }
        Kind::Removed | Kind::Suspended | Kind::Renamed => false,
    }
}

/// Who had the key from when until when.
fn intervals(key: &Made) -> Vec<(usize, i64, Option<i64>)> {
    let mut all = vec![(key.by, key.from, key.until)];
    if let (Some(until), Some(next)) = (key.until, key.then_by) {
        all.push((next, until, None));
    }
    all
}

/// As the providers' pages have it.
fn fate(place: Place, event: &Event) -> Fate {
    let is_narrow = event.reach != Reach::Everything;
    match (place, event.kind, is_narrow) {
        // A member is there or not: nobody can be suspended, and who goes takes all keys along.
        (Place::Deepgram, Kind::Suspended, _) => Fate::Survives,
        (Place::Deepgram, _, _) => Fate::Dies,
        // Its keys are the organisation's.
        (Place::Datadog, _, _) => Fate::Survives,
        (Place::OpenAi, Kind::Suspended, _) => Fate::Unknown,
        (Place::OpenAi, _, true) => Fate::Dormant,
        (Place::OpenAi, _, false) => Fate::Dies,
    }
}
