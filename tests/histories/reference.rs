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
    /// It takes nothing away.
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
    let mut is_known = false;
    let mut keys = BTreeMap::new();
    for key in &story.keys {
        let mut is_hit = false;
        for (who, from, until) in intervals(key) {
            if who != event.who {
                continue;
            }
            is_known = true;
            let begun = from <= event.at;
            let ended = until.is_some_and(|until| until <= event.not_before.unwrap_or(event.at));
            is_hit |= begun && !ended;
        }
        let is_reached = match event.reach {
            Reach::Everything => true,
            Reach::Project(place, project) => key.place == place && key.project == project,
        };
        if is_hit && is_reached {
            keys.insert(key.id(), fate(key.place, event));
        }
    }
    if is_known {
        Expected::Keys(keys)
    } else {
        Expected::Nobody
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
