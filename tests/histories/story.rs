//! Stories: what really happened, and what sources and providers say of it.
//!
//! Ann and Ben are there all the time, and may get another address. Cid leaves; later Dot comes in
//! with Cid's address and an account of her own.

use jiff::Timestamp;
use offkey::domain::{
    Account, ChangeId, ChangeKind, Email, Key, KeyInterval, MembershipChange, PersonRef, Record,
    Scope,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// Cid's number; Dot's is the next.
pub(crate) const CID: usize = 2;
const DOT: usize = 3;
const NAMES: [&str; 4] = ["ann", "ben", "cid", "cid"];
/// When Cid leaves, and Dot comes.
const LEFT: i64 = 500;
const CAME: i64 = 700;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Deepgram,
    Datadog,
    OpenAi,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deepgram => "dg",
            Self::Datadog => "dd",
            Self::OpenAi => "oa",
        }
    }

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Deepgram => "deepgram",
            Self::Datadog => "datadog",
            Self::OpenAi => "openai",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Deepgram | Self::OpenAi => "project-key",
            Self::Datadog => "api-key",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Joined,
    Reinstated,
    Removed,
    Suspended,
    LeaveScheduled,
    Renamed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Everything,
    Project(Place, usize),
    /// One of [`GROUPS`].
    Group(usize),
}

/// What a group opens; no project: all of them, no role: nobody says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) by: Teller,
    pub(crate) place: Place,
    pub(crate) project: Option<usize>,
    pub(crate) role: Option<&'static str>,
}

const fn group(
    by: Teller,
    place: Place,
    project: Option<usize>,
    role: Option<&'static str>,
) -> Group {
    Group {
        by,
        place,
        project,
        role,
    }
}

pub(crate) const GROUPS: [Group; 10] = [
    group(Teller::Hr, Place::Deepgram, Some(0), Some("admin")),
    group(Teller::Directory, Place::Deepgram, Some(0), Some("member")),
    group(Teller::Directory, Place::Deepgram, None, Some("member")),
    group(Teller::Hr, Place::Deepgram, None, Some("owner")),
    group(Teller::Hr, Place::Deepgram, Some(1), None),
    group(Teller::Hr, Place::OpenAi, Some(0), Some("reader")),
    group(Teller::Directory, Place::OpenAi, None, Some("reader")),
    group(Teller::Directory, Place::OpenAi, Some(0), Some("writer")),
    group(Teller::Hr, Place::Datadog, None, Some("reader")),
    group(Teller::Hr, Place::Datadog, Some(1), None),
];

/// Who tells of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Teller {
    /// By the address alone.
    Hr,
    /// By the account, with the address.
    Directory,
    /// By the account alone.
    DirectoryWithoutAddress,
    /// By the account at the provider, seen between two looks.
    Provider(Place),
}

impl Teller {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hr => "hr",
            Self::Directory | Self::DirectoryWithoutAddress => "okta",
            Self::Provider(place) => place.name(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) number: usize,
    pub(crate) who: usize,
    pub(crate) kind: Kind,
    pub(crate) reach: Reach,
    /// In hours.
    pub(crate) at: i64,
    pub(crate) not_before: Option<i64>,
    pub(crate) told: i64,
    by: Teller,
}

#[derive(Debug, Clone)]
pub(crate) struct Made {
    number: usize,
    pub(crate) place: Place,
    pub(crate) project: usize,
    pub(crate) by: usize,
    pub(crate) from: i64,
    pub(crate) until: Option<i64>,
    pub(crate) then_by: Option<usize>,
    /// What it may do.
    pub(crate) scope: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) keys: Vec<Made>,
    pub(crate) events: Vec<Event>,
    /// When Ann and Ben get another address.
    renamed: [Option<i64>; 2],
}

/// A record, when it is known, and what has to keep its order with others of the same.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) at: i64,
    pub(crate) record: Record,
}

fn hour(hour: i64) -> Timestamp {
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    begin + jiff::SignedDuration::from_hours(hour)
}

impl Made {
    pub(crate) fn id(&self) -> String {
        format!("k{}", self.number)
    }

    /// The key as it is known once `versions` of its intervals are.
    fn key(&self, story: &Story, is_ended: bool) -> Key {
        let interval = |who: usize, from: i64, until: Option<i64>| KeyInterval {
            valid_from: Some(hour(from)),
            valid_to: until.map(hour),
            last_seen: until.map(|until| hour(until - 1)),
            observed_at: hour(from + 1),
            creator: Account {
                id: format!("m{who}"),
                email: Some(story.address(who, from)),
                name: None,
            },
            scopes: vec![self.scope.to_owned()],
        };
        let until = self.until.filter(|_| is_ended);
        let mut history = vec![interval(self.by, self.from, until)];
        if let (Some(until), Some(next)) = (until, self.then_by) {
            history.push(interval(next, until, None));
        }
        Key {
            provider: self.place.name().to_owned(),
            project: format!("p{}", self.project),
            id: self.id(),
            label: self.id(),
            class: self.place.class().to_owned(),
            created_at: Some(hour(self.from)),
            expires_at: None,
            tags: Vec::new(),
            history,
            uses: Vec::new(),
        }
    }
}

impl Event {
    pub(crate) fn change(&self, story: &Story) -> MembershipChange {
        let source = self.by.name();
        let account = match self.by {
            Teller::Hr => None,
            Teller::Directory | Teller::DirectoryWithoutAddress => Some(format!("a{}", self.who)),
            Teller::Provider(_) => Some(format!("m{}", self.who)),
        };
        let is_silent = self.by == Teller::DirectoryWithoutAddress;
        let event_id = format!("e{}", self.number);
        MembershipChange {
            id: ChangeId::derive(source, &event_id),
            source: source.to_owned(),
            event_id,
            change: match self.kind {
                Kind::Joined => ChangeKind::Joined,
                Kind::Reinstated => ChangeKind::Reinstated,
                Kind::Removed => ChangeKind::Removed,
                Kind::Suspended => ChangeKind::Suspended,
                Kind::LeaveScheduled => ChangeKind::LeaveScheduled,
                Kind::Renamed => ChangeKind::Renamed,
            },
            person: PersonRef {
                email: (!is_silent).then(|| story.address(self.who, self.at)),
                account,
                ..PersonRef::default()
            },
            scope: match self.reach {
                Reach::Everything => Scope::Organisation {},
                Reach::Project(place, project) => Scope::Project {
                    provider: place.name().to_owned(),
                    project: format!("p{project}"),
                },
                Reach::Group(number) => Scope::Group {
                    group: format!("g{number}"),
                },
            },
            effective_at: hour(self.at),
            not_before: self.not_before.map(hour),
            published_at: hour(self.told),
            role: None,
            actor: None,
            reason: None,
        }
    }
}

impl Story {
    /// The address that somebody has at a time.
    fn address(&self, who: usize, at: i64) -> Email {
        let renamed = self.renamed.get(who).copied().flatten();
        let name = NAMES[who];
        let name = match renamed {
            Some(since) if since <= at => format!("{name}.new"),
            Some(_) | None => name.to_owned(),
        };
        Email::parse(&format!("{name}@example.com")).unwrap()
    }

    /// Everything that is told, in the order in which it happened.
    pub(crate) fn told(&self) -> Vec<Told> {
        let changes = self.events.iter().map(|event| Told {
            at: event.told,
            record: event.change(self).to_record(hour(event.told)),
        });
        let mut all: Vec<Told> = changes.collect();
        for key in &self.keys {
            let ends = key.until.into_iter().map(|until| (until, true));
            for (at, is_ended) in std::iter::once((key.from, false)).chain(ends) {
                let record = key.key(self, is_ended).to_record(hour(at + 1));
                all.push(Told { at: at + 1, record });
            }
        }
        all.sort_by_key(|one| one.at);
        all
    }
}

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
    (0..2_usize, kinds, when, 0..GROUPS.len()).prop_map(|(who, kind, (at, late), number)| {
        let at = at * 70;
        Event {
            number: 0,
            who,
            kind,
            reach: Reach::Group(number),
            at,
            not_before: None,
            told: match kind {
                LeaveScheduled => at - 30 * late,
                _ => at + late,
            },
            by: GROUPS[number].by,
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
        let event = |kind, number: usize, at| Event {
            number: 0,
            who,
            kind,
            reach: Reach::Group(number),
            at,
            not_before: None,
            told: at,
            by: GROUPS[number].by,
        };
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

/// How a story comes to be known.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// Each record's place, by the remainder.
    priorities: Vec<u16>,
    /// Which records come twice.
    repeats: Vec<bool>,
    /// How many records come together.
    batches: Vec<usize>,
}

pub(crate) fn way() -> impl Strategy<Value = Way> {
    let parts = (
        vec(any::<u16>(), 60),
        vec(any::<bool>(), 60),
        vec(1..9_usize, 20),
    );
    parts.prop_map(|(priorities, repeats, batches)| Way {
        priorities,
        repeats,
        batches,
    })
}

impl Way {
    /// `told` in another order, some of it twice, in batches. What is known of one key stays in its
    /// order: a log keeps it.
    pub(crate) fn batches(&self, told: &[Told]) -> Vec<Vec<Record>> {
        let mut places: Vec<(u16, usize)> = Vec::new();
        for (number, one) in told.iter().enumerate() {
            let at = |place: usize| self.priorities[place % self.priorities.len()];
            places.push((at(number), number));
            let is_change = one.record.kind == MembershipChange::TYPE;
            if is_change && self.repeats[number % self.repeats.len()] {
                places.push((at(number + 17), number));
            }
        }
        places.sort_unstable();
        let mut order: Vec<usize> = places.into_iter().map(|(_, number)| number).collect();
        for place in 0..order.len() {
            let key = &told[order[place]].record.key;
            let first = (place..order.len())
                .filter(|other| told[order[*other]].record.key == *key)
                .min_by_key(|other| order[*other]);
            order.swap(place, first.unwrap_or(place));
        }
        let mut records = order.into_iter().map(|number| told[number].record.clone());
        let mut all = Vec::new();
        for size in self.batches.iter().cycle() {
            let batch: Vec<Record> = records.by_ref().take(*size).collect();
            if batch.is_empty() {
                return all;
            }
            all.push(batch);
        }
        all
    }
}
