//! Stories: what really happened, and what sources and providers say of it.
//!
//! Ann and Ben are there all the time, and may get another address. Cid leaves; later Dot comes in
//! with Cid's address and an account of her own.

use jiff::Timestamp;
use offkey::domain::{
    Account, ChangeId, ChangeKind, Email, Key, KeyInterval, MembershipChange, PersonRef, Record,
    Scope,
};

/// Cid's number; Dot's is the next.
pub(crate) const CID: usize = 2;
pub(crate) const DOT: usize = 3;
const NAMES: [&str; 4] = ["ann", "ben", "cid", "cid"];
/// When Cid leaves, and Dot comes.
pub(crate) const LEFT: i64 = 500;
pub(crate) const CAME: i64 = 700;

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
    pub(crate) by: Teller,
}

#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) number: usize,
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
    pub(crate) renamed: [Option<i64>; 2],
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
