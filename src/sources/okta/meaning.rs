//! What each type of Okta event means for membership.
//!
//! The types are in the catalogue <https://developer.okta.com/docs/reference/api/event-types/>.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::event::{Event, Party};
use crate::{
    domain::{ChangeId, ChangeKind, Email, MembershipChange, PersonRef, Scope},
    sources::{
        Ignored, Lookup,
        time::{TimeFormat, check_published},
    },
};

/// What one event comes to.
pub(super) enum Meaning {
    Change(Box<MembershipChange>),
    Lookup(Lookup),
    Nothing(Ignored),
}

/// What an event of one type can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// About the person as a whole.
    Person(ChangeKind),
    /// About the person in one group.
    Group(ChangeKind),
    /// About the person in one application.
    Application(ChangeKind),
    /// That something about the account changed, without saying what it is now.
    ReadBack,
    /// Nothing for us.
    Nothing(&'static str),
}

fn kind(event_type: &str) -> Kind {
    use ChangeKind::{Joined, Reinstated, Removed, RoleChanged, Suspended};
    match event_type {
        "user.lifecycle.create" => Kind::Person(Joined),
        "user.lifecycle.activate" | "user.lifecycle.reactivate" | "user.lifecycle.unsuspend" => {
            Kind::Person(Reinstated)
        }
        "user.lifecycle.deactivate" | "user.lifecycle.delete.initiated" => Kind::Person(Removed),
        "user.lifecycle.suspend" => Kind::Person(Suspended),
        "user.account.privilege.grant" | "user.account.privilege.revoke" => {
            Kind::Person(RoleChanged)
        }
        "group.user_membership.add" => Kind::Group(Joined),
        "group.user_membership.remove" => Kind::Group(Removed),
        "application.user_membership.add" => Kind::Application(Joined),
        "application.user_membership.remove" => Kind::Application(Removed),
        // The event names the account and not what its profile says now.
        "user.account.update_profile" => Kind::ReadBack,
        "group.privilege.grant" | "group.privilege.revoke" => {
            Kind::Nothing("it is about a group's administrator role and names no person")
        }
        "group.lifecycle.create" | "group.lifecycle.delete" => {
            Kind::Nothing("it is about a group and names no member")
        }
        _ => Kind::Nothing("this type says nothing about membership"),
    }
}

/// What `event` comes to for the source `name`, whose `apps` open configured providers.
///
/// # Errors
/// What is wrong, led by the field's path in the event.
pub(super) fn of(
    event: &Event,
    name: &str,
    apps: &BTreeMap<String, String>,
    received_at: Timestamp,
) -> Result<Meaning, String> {
    let ignored = |why| {
        Ok(Meaning::Nothing(Ignored {
            event_id: event.uuid.clone(),
            why,
        }))
    };
    let kind = kind(&event.event_type);
    if let Kind::Nothing(why) = kind {
        return ignored(why);
    }
    if event.uuid.is_empty() {
        return Err("uuid: is empty".to_owned());
    }
    let outcome = event.outcome.as_ref();
    match outcome.and_then(|outcome| outcome.result.as_deref()) {
        Some("SUCCESS") => {}
        Some(_) => return ignored("what was tried did not succeed"),
        None => return Err("outcome.result: is missing".to_owned()),
    }
    let (change, scope) = match kind {
        Kind::Person(change) => (change, Scope::Organisation {}),
        Kind::Group(change) => {
            let group = event.target_id("UserGroup")?.to_owned();
            (change, Scope::Group { group })
        }
        Kind::Application(change) => {
            let Some(provider) = apps.get(event.target_id("AppInstance")?) else {
                return ignored("the application opens no configured provider");
            };
            let provider = provider.clone();
            (change, Scope::Provider { provider })
        }
        Kind::ReadBack => {
            return Ok(Meaning::Lookup(Lookup {
                source: name.to_owned(),
                event_id: event.uuid.clone(),
                account: event.target_id("User")?.to_owned(),
            }));
        }
        Kind::Nothing(why) => return ignored(why),
    };
    let published_at = TimeFormat::Rfc3339
        .parse(&event.published)
        .and_then(|time| check_published(time, received_at))
        .map_err(|why| format!("published: {why}"))?;
    Ok(Meaning::Change(Box::new(MembershipChange {
        id: ChangeId::derive(name, &event.uuid),
        source: name.to_owned(),
        event_id: event.uuid.clone(),
        change,
        person: person(event)?,
        scope,
        effective_at: published_at,
        not_before: None,
        published_at,
        role: None,
        actor: event.actor.as_ref().and_then(call),
        reason: outcome.and_then(|outcome| outcome.reason.clone()),
    })))
}

/// The person an event is about: its target of type `User`, wherever it stands.
fn person(event: &Event) -> Result<PersonRef, String> {
    let account = event.target_id("User")?.to_owned();
    let user = event.target("User")?;
    let login = user.and_then(Party::login);
    Ok(PersonRef {
        email: login.and_then(|login| Email::parse(login).ok()),
        account: Some(account),
        name: user.and_then(|user| user.display_name.clone()),
        formerly: None,
    })
}

/// How to call whoever did it.
fn call(actor: &Party) -> Option<String> {
    let name = actor.login().or(actor.display_name.as_deref());
    name.or(actor.id.as_deref()).map(str::to_owned)
}
