//! Makes up stories.

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::story::{CAME, CID, DOT, Event, GROUPS, Kind, LEFT, Made, Place, Reach, Story, Teller};

/// When somebody is there, so that what is said of them can only be about them.
fn range(who: usize) -> std::ops::Range<i64> {
    match who {
        CID => 10..LEFT - 10,
        DOT => CAME + 10..900,
        _ => 10..900,
    }
}

fn place() -> impl Strategy<Value = Place> {
    select(vec![Place::Deepgram, Place::Datadog, Place::OpenAi])
}

fn made() -> impl Strategy<Value = Made> {
    let whose = (0..4_usize, place(), 0..2_usize);
    let how = (0.0..1.0_f64, option::of(1..300_i64), option::of(0..2_usize));
    let scope = select(vec!["billing:write", "billing:read", "usage:write"]);
    (whose, how, scope).prop_map(|((by, place, project), (from, length, then_by), scope)| {
        let range = range(by);
        #[expect(clippy::cast_possible_truncation, reason = "hours are few")]
        let from = range.start + ((range.end - range.start) as f64 * from) as i64;
        Made {
            number: 0,
            place,
            project,
            by,
            from,
            until: length.map(|length| from + length),
            // Whoever is there all the time.
            then_by: then_by.filter(|next| *next != by),
            scope,
        }
    })
}

fn event() -> impl Strategy<Value = Event> {
    use Kind::{Joined, LeaveScheduled, Reinstated, Removed, Suspended};
    let kinds = vec![
        Removed,
        Removed,
        Suspended,
        LeaveScheduled,
        Joined,
        Reinstated,
    ];
    let what = (0..4_usize, select(kinds), 0.0..1.0_f64, 0..60_i64);
    (what, 0..5_u8, place(), 0..2_usize).prop_map(|((who, kind, at, late), by, place, project)| {
        let range = range(who);
        #[expect(clippy::cast_possible_truncation, reason = "hours are few")]
        let at = range.start + ((range.end - range.start) as f64 * at) as i64;
        // What would let Cid go before, or come back, would leave open whose the address is.
        let kind = if who == CID { Suspended } else { kind };
        let (by, reach, not_before) = match by {
            0 => (Teller::Hr, Reach::Everything, None),
            1 => (Teller::Directory, Reach::Everything, None),
            2 => (Teller::DirectoryWithoutAddress, Reach::Everything, None),
            3 => (Teller::Hr, Reach::Project(place, project), None),
            _ => {
                let reach = Reach::Project(place, project);
                (Teller::Provider(place), reach, Some(at - 60))
            }
        };
        let told = match kind {
            LeaveScheduled => at - late,
            _ => at + late,
        };
        Event {
            number: 0,
            who,
            kind,
            reach,
            at,
            not_before,
            told,
            by,
        }
    })
}

/// Into a group or out of it, told at once by whoever has the group.
fn in_group(who: usize, kind: Kind, group: usize, at: i64) -> Event {
    Event {
        number: 0,
        who,
        kind,
        reach: Reach::Group(group),
        at,
        not_before: None,
        told: at,
        by: GROUPS[group].by,
    }
}

/// Into a group and out of it; many at the same moment.
fn group_event() -> impl Strategy<Value = Event> {
    use Kind::{Joined, LeaveScheduled, Removed};
    let kinds = select(vec![
        Joined,
        Joined,
        Joined,
        Removed,
        Removed,
        LeaveScheduled,
    ]);
    let when = (1..12_i64, 0..4_i64);
    (0..2_usize, kinds, when, 0..GROUPS.len()).prop_map(|(who, kind, (at, late), group)| {
        let at = at * 70;
        let told = match kind {
            LeaveScheduled => at - 30 * late,
            _ => at + late,
        };
        Event {
            told,
            ..in_group(who, kind, group, at)
        }
    })
}

/// Somebody with a key is in two groups that may open its project, and leaves one of them, or both.
fn episode() -> impl Strategy<Value = (Made, Vec<Event>)> {
    let groups = (0..GROUPS.len(), 0..GROUPS.len(), any::<bool>());
    (made(), groups, 0..2_usize, 20..600_i64).prop_map(|(made, (one, next, both), who, at)| {
        let of_place = |from: usize| {
            let mut all = (from..GROUPS.len()).chain(0..from);
            all.find(|number| GROUPS[*number].place == made.place)
        };
        let one = of_place(one).unwrap_or_default();
        let other = of_place(next).unwrap_or_default();
        let event = |kind, group, at| in_group(who, kind, group, at);
        let mut events = vec![
            event(Kind::Joined, one, at),
            event(Kind::Joined, other, at + 10),
            event(Kind::Removed, one, at + 90),
        ];
        events.extend(both.then(|| event(Kind::Removed, other, at + 90)));
        let made = Made {
            by: who,
            from: 11,
            until: None,
            then_by: None,
            ..made
        };
        (made, events)
    })
}

/// What happens in every story.
fn frame(renamed: [Option<i64>; 2]) -> Vec<Event> {
    let one = |who, kind, at| Event {
        number: 0,
        who,
        kind,
        reach: Reach::Everything,
        at,
        not_before: None,
        told: at,
        by: Teller::Directory,
    };
    let mut all: Vec<Event> = (0..DOT).map(|who| one(who, Kind::Joined, 1)).collect();
    all.push(one(CID, Kind::Removed, LEFT));
    all.push(one(DOT, Kind::Joined, CAME));
    // The office tells late that Cid left, by the address.
    all.push(Event {
        by: Teller::Hr,
        told: CAME + 50,
        ..one(CID, Kind::Removed, LEFT + 20)
    });
    for (who, at) in renamed.into_iter().enumerate() {
        all.extend(at.map(|at| one(who, Kind::Renamed, at)));
    }
    all
}

pub(crate) fn story() -> impl Strategy<Value = Story> {
    let renamed = [option::of(100..800_i64), option::of(100..800_i64)];
    let groups = (vec(group_event(), 0..6), vec(episode(), 0..4));
    let told = (vec(event(), 0..9), groups);
    (vec(made(), 0..9), told, renamed).prop_map(|(mut keys, (more, groups), renamed)| {
        let mut events = frame(renamed);
        events.extend(more);
        events.extend(groups.0);
        for (made, more) in groups.1 {
            keys.push(made);
            events.extend(more);
        }
        for (number, event) in events.iter_mut().enumerate() {
            event.number = number;
        }
        for (number, key) in keys.iter_mut().enumerate() {
            key.number = number;
        }
        Story {
            keys,
            events,
            renamed,
        }
    })
}
