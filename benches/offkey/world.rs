//! Invented people, keys and events.

use std::sync::LazyLock;

use jiff::Timestamp;
use offkey::{
    clock::{Clock as _, SystemClock},
    domain::{
        Account, ChangeId, ChangeKind, Email, Key, KeyInterval, Member, MemberInterval,
        MembershipChange, PersonRef, Project, Record, Scope, whole_microseconds,
    },
};

/// How many projects there are.
pub(crate) const PROJECTS: usize = 100;

/// The moment from which everything is known.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_second(1_767_225_600).unwrap_or_default()
}

/// When everything happens: as a rule one hears of it at once.
pub(crate) fn just_now() -> Timestamp {
    static BEGIN: LazyLock<Timestamp> = LazyLock::new(|| whole_microseconds(SystemClock.now()));
    *BEGIN
}

/// Where a person gets mail.
pub(crate) fn address(person: usize) -> String {
    format!("person{person:08}@example.com")
}

/// The source's own id of an event.
pub(crate) fn event_id(event: usize) -> String {
    format!("00000000-0000-4000-8000-{event:012}")
}

/// About 1 KB that says that a person was deactivated.
fn okta_event(event: usize, person: usize) -> String {
    let (uuid, login, published) = (event_id(event), address(person), just_now());
    format!(
        r#"{{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1","source":"https://example.okta.com/api/v1/eventHooks/who1","eventId":"{uuid}","data":{{"events":[{{"uuid":"{uuid}","published":"{published}","eventType":"user.lifecycle.deactivate","version":"0","displayMessage":"Deactivate Okta user","severity":"INFO","client":{{"userAgent":{{"rawUserAgent":"Mozilla/5.0 (X11; Linux x86_64)","os":"Linux","browser":"FIREFOX"}},"zone":"null","device":"Computer","id":null,"ipAddress":"192.0.2.7"}},"actor":{{"id":"00u1","type":"User","alternateId":"admin@example.com","displayName":"Admin"}},"outcome":{{"result":"SUCCESS"}},"target":[{{"id":"00p{person:012}","type":"User","alternateId":"{login}","displayName":"Person {person}"}}],"transaction":{{"type":"WEB","id":"WtOu0","detail":{{}}}},"authenticationContext":{{"authenticationStep":0,"externalSessionId":"ses0"}}}}]}},"eventTime":"{published}","contentType":"application/json"}}"#
    )
}

/// The webhook of such an event.
pub(crate) fn request(event: usize, person: usize) -> Vec<u8> {
    let body = okta_event(event, person);
    let length = body.len();
    format!(
        "POST /in/okta HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         authorization: the word\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A person's account at the provider.
pub(crate) fn account(person: usize) -> String {
    format!("member-{person:08}")
}

fn project_id(project: usize) -> String {
    format!("project-{project:03}")
}

/// One of the projects.
pub(crate) fn project(project: usize) -> Record {
    let project = Project {
        provider: "deepgram".to_owned(),
        id: project_id(project),
        name: format!("Voice {project}"),
        gone_at: None,
    };
    project.to_record(start())
}

/// One of those who own a project and have no key.
pub(crate) fn owner(project: usize, number: usize) -> anyhow::Result<Record> {
    let name = format!("owner-{project:03}-{number}");
    let member = Member {
        provider: "deepgram".to_owned(),
        project: project_id(project),
        account: Account {
            email: Some(Email::parse(&format!("{name}@example.com"))?),
            id: name,
            name: None,
        },
        formerly: Vec::new(),
        history: vec![MemberInterval {
            valid_from: Some(start()),
            valid_to: None,
            last_seen: None,
            observed_at: start(),
            roles: vec!["owner".to_owned()],
        }],
    };
    Ok(member.to_record(start()))
}

/// One of the keys of a person.
pub(crate) fn key(person: usize, number: usize) -> anyhow::Result<Record> {
    let interval = KeyInterval {
        valid_from: Some(start()),
        valid_to: None,
        last_seen: None,
        observed_at: start(),
        creator: Account {
            id: account(person),
            email: Some(Email::parse(&address(person))?),
            name: None,
        },
        scopes: vec!["member".to_owned()],
    };
    let key = Key {
        provider: "deepgram".to_owned(),
        project: project_id(person % PROJECTS),
        id: format!("key-{person:08}-{number:04}"),
        label: format!("captions {number}"),
        class: "project-key".to_owned(),
        created_at: Some(start()),
        expires_at: None,
        tags: vec!["prod".to_owned()],
        history: vec![interval],
        uses: Vec::new(),
    };
    Ok(key.to_record(start()))
}

/// The keys of `people`, so many each.
pub(crate) fn keys(
    people: std::ops::Range<usize>,
    each: usize,
) -> impl Iterator<Item = anyhow::Result<Record>> {
    people.flat_map(move |person| (0..each).map(move |number| key(person, number)))
}

/// That a person left.
pub(crate) fn leave(person: usize) -> anyhow::Result<Record> {
    let event = format!("leave-{person}");
    let at = just_now();
    let change = MembershipChange {
        id: ChangeId::derive("okta", &event),
        source: "okta".to_owned(),
        event_id: event,
        change: ChangeKind::Removed,
        person: PersonRef {
            email: Some(Email::parse(&address(person))?),
            ..PersonRef::default()
        },
        scope: Scope::Organisation {},
        effective_at: at,
        not_before: None,
        published_at: at,
        role: None,
        actor: None,
        reason: None,
    };
    Ok(change.to_record(at))
}
