//! What must come of a story, worked out by looking at everything: no index, no fold, nothing of
//! the program's own but the names of fates.

use std::collections::BTreeMap;

use offkey::domain::Fate;

use crate::story::{Event, GROUPS, Kind, Made, Place, Reach, Story};

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
        .filter_map(|key| Some((key.id(), fate(story, event, key)?)))
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
        Reach::Group(number) => opens(number, key),
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
                && is_same(fate(story, told, key), told, fate(story, seen, key), seen)
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

/// Whether two events say the same of a key; what nobody knows only if they are of the same sort.
fn is_same(one: Option<Fate>, told: &Event, other: Option<Fate>, seen: &Event) -> bool {
    let sort = |event: &Event| event.kind == Kind::Suspended;
    one == other && (one != Some(Fate::Unknown) || sort(told) == sort(seen))
}

/// What becomes of a key that is hit; nothing: it stays as it is.
fn fate(story: &Story, event: &Event, key: &Made) -> Option<Fate> {
    match event.reach {
        Reach::Group(number) => of_group(story, event, number, key),
        Reach::Everything | Reach::Project(..) => Some(of_kind(event, key)),
    }
}

/// As the providers' pages have it.
fn of_kind(event: &Event, key: &Made) -> Fate {
    let is_narrow = event.reach != Reach::Everything;
    match (key.place, event.kind, is_narrow) {
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

/// What becomes of a key when its maker is taken out of a group that opens its project.
fn of_group(story: &Story, event: &Event, number: usize, key: &Made) -> Option<Fate> {
    let stays = |wanted: Stays| -> Vec<Option<&str>> {
        let others = (0..GROUPS.len()).filter(|other| *other != number && opens(*other, key));
        let such = others.filter(|other| stays(story, event, *other) == wanted);
        such.map(|other| GROUPS[other].role).collect()
    };
    let (sure, unsure) = (stays(Stays::Yes), stays(Stays::PerhapsAgain));
    let left = GROUPS[number].role;
    if sure.iter().any(|role| suffices(*role, left, key.place)) {
        return None;
    }
    if sure.is_empty() {
        let lost = of_kind(event, key);
        return Some(match lost {
            Fate::Survives => lost,
            _ if unsure.is_empty() => lost,
            _ => Fate::Unknown,
        });
    }
    let best = ["owner", "admin", "member"];
    let best = best.into_iter().find(|role| sure.contains(&Some(role)));
    let is_open = left.is_none()
        || sure.contains(&None)
        || unsure.iter().any(|role| !suffices(best, *role, key.place));
    match key.place {
        // Its keys follow nobody's role.
        Place::Datadog => Some(Fate::Survives),
        Place::OpenAi => Some(Fate::Unknown),
        Place::Deepgram if is_open => Some(Fate::Unknown),
        Place::Deepgram => {
            let (left, best) = (may(left), may(best));
            let loses = left.contains(&key.scope) && !best.contains(&key.scope);
            loses.then_some(Fate::Shrinks)
        }
    }
}

/// Whether a role is as good as another one.
fn suffices(role: Option<&str>, other: Option<&str>, place: Place) -> bool {
    let ranks = ["owner", "admin", "member"];
    let rank = |role: Option<&str>| ranks.iter().position(|one| Some(*one) == role);
    match (rank(role), rank(other)) {
        (Some(0), _) if place == Place::Deepgram => true,
        (Some(one), Some(other)) if place == Place::Deepgram => one <= other,
        _ => role.is_some() && role == other,
    }
}

/// What of all that the keys are for a role at Deepgram may do.
fn may(role: Option<&str>) -> &'static [&'static str] {
    match role {
        Some("owner") => &["billing:write", "billing:read", "usage:write"],
        Some("admin") => &["billing:read", "usage:write"],
        _ => &["usage:write"],
    }
}

fn opens(number: usize, key: &Made) -> bool {
    let group = GROUPS[number];
    group.place == key.place && group.project.is_none_or(|project| project == key.project)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    Yes,
    No,
    /// They left everything since, and came back.
    PerhapsAgain,
}

/// Whether whoever `event` happens to is in another group then.
fn stays(story: &Story, event: &Event, number: usize) -> Stays {
    let order = |event: &Event| (event.at, event.told, event.change(story).id);
    let is_of = |one: &Event| one.reach == Reach::Group(number);
    let enters = |one: &Event| is_of(one) && one.kind == Kind::Joined;
    let before = story.events.iter().filter(|one| {
        let is_first = order(one) < order(event) || (enters(one) && one.at == event.at);
        one.who == event.who && is_first && one.number != event.number && !is_off(story, one)
    });
    let before: Vec<&Event> = before.collect();
    let last = |wanted: &dyn Fn(&Event) -> bool| {
        let such = before.iter().copied().filter(|one| wanted(one));
        such.max_by_key(|one| order(one))
    };
    let Some(word) = last(&is_of).filter(|word| enters(word)) else {
        return Stays::No;
    };
    let leaves = |one: &Event| matches!(one.kind, Kind::Removed | Kind::LeaveScheduled);
    let is_all = |one: &Event| one.reach == Reach::Everything && order(one) > order(word);
    let Some(gone) = last(&|one| is_all(one) && leaves(one)) else {
        return Stays::Yes;
    };
    let comes_back = |one: &Event| is_all(one) && one.kind == Kind::Reinstated;
    match last(&|one| comes_back(one) && order(one) > order(gone)) {
        Some(_) => Stays::PerhapsAgain,
        None => Stays::No,
    }
}

/// Whether it was said later that an announced leave comes on another day.
fn is_off(story: &Story, leave: &Event) -> bool {
    let said = |event: &Event| (event.told, event.at, event.change(story).id);
    let is_announced = |one: &Event| one.kind == Kind::LeaveScheduled;
    is_announced(leave)
        && story.events.iter().any(|other| {
            let is_wider = other.reach == Reach::Everything || other.reach == leave.reach;
            is_announced(other) && other.who == leave.who && is_wider && said(other) > said(leave)
        })
}
