//! What the events of a declarative source mean, as configured.

use std::collections::BTreeMap;

use serde_json_path::JsonPath;

use crate::{
    config::declarative::EventsConfig,
    domain::{ChangeId, ChangeKind, Email, MembershipChange, PersonRef, RoleChange},
    sources::{
        SourceError,
        mapping::{EventIdSelector, Parser, ScopeSelector, Seen, Selector, TimeSelector, text},
        time::{check_effective, check_published},
    },
};

/// What a type means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Change(ChangeKind),
    Lookup,
    Ignore,
}

pub(super) struct Events {
    pub(super) each: Option<JsonPath>,
    pub(super) id: EventIdSelector,
    kind: Vec<Selector>,
    pub(super) types: BTreeMap<String, Action>,
    email: Option<Selector>,
    pub(super) account: Option<Selector>,
    person_name: Option<Selector>,
    formerly: Option<Selector>,
    scope: ScopeSelector,
    scopes: BTreeMap<String, ScopeSelector>,
    published_at: Option<TimeSelector>,
    effective_at: Option<TimeSelector>,
    role_from: Option<Selector>,
    role_to: Option<Selector>,
    actor: Option<Selector>,
    reason: Option<Selector>,
}

impl Events {
    pub(super) fn parse(config: &EventsConfig, parser: Parser<'_>) -> Result<Self, SourceError> {
        let optional = |selector: &Option<_>, field| parser.optional(selector.as_ref(), field);
        let mut types = BTreeMap::new();
        for (kind, action) in &config.types {
            let action = Action::parse(action)
                .map_err(|why| parser.refuse(&format!("events.types.{kind}"), why))?;
            types.insert(kind.clone(), action);
        }
        let person = &config.person;
        if person.email.is_none() && person.account.is_none() {
            return Err(parser.refuse("events.person", "give an email or an account"));
        }
        let needs = |wanted: fn(&Action) -> bool| types.values().any(wanted);
        if needs(|action| matches!(action, Action::Lookup)) && person.account.is_none() {
            return Err(parser.refuse("events.person.account", "is what a lookup looks up"));
        }
        let is_leave =
            |action: &Action| matches!(action, Action::Change(ChangeKind::LeaveScheduled));
        if needs(is_leave) && config.effective_at.is_none() {
            return Err(parser.refuse("events.effective_at", "is what leave_scheduled needs"));
        }
        let mut scopes = BTreeMap::new();
        for (kind, scope) in &config.scopes {
            let field = format!("events.scopes.{kind}");
            if !types.contains_key(kind) {
                return Err(parser.refuse(&field, "events.types has no such type"));
            }
            scopes.insert(kind.clone(), parser.scope(scope, &field)?);
        }
        let kind: Result<Vec<_>, _> = config
            .kind
            .iter()
            .map(|selector| parser.selector(selector, "events.type"))
            .collect();
        let each = parser.path(&config.each, "events.each")?;
        Ok(Self {
            each: (config.each != "$").then_some(each),
            id: parser.event_id(&config.id)?,
            kind: kind?,
            types,
            email: optional(&person.email, "events.person.email")?,
            account: optional(&person.account, "events.person.account")?,
            person_name: optional(&person.name, "events.person.name")?,
            formerly: optional(&person.formerly, "events.person.formerly")?,
            scope: parser.scope(&config.scope, "events.scope")?,
            scopes,
            published_at: parser.time(config.published_at.as_ref(), "events.published_at")?,
            effective_at: parser.time(config.effective_at.as_ref(), "events.effective_at")?,
            role_from: optional(&config.role.from, "events.role.from")?,
            role_to: optional(&config.role.to, "events.role.to")?,
            actor: optional(&config.actor, "events.actor")?,
            reason: optional(&config.reason, "events.reason")?,
        })
    }

    /// The pieces of the type that are there.
    pub(super) fn kind(&self, seen: &Seen<'_>) -> Result<String, String> {
        let mut pieces = Vec::new();
        for selector in &self.kind {
            pieces.extend(selector.text(seen)?);
        }
        if pieces.is_empty() {
            return Err("events.type: finds nothing".to_owned());
        }
        Ok(pieces.join("."))
    }

    pub(super) fn change(
        &self,
        change: ChangeKind,
        kind: &str,
        (source, event_id): (&str, String),
        seen: &Seen<'_>,
    ) -> Result<MembershipChange, String> {
        let received_at = seen.request.received_at;
        let time = |selector: &Option<TimeSelector>| {
            selector
                .as_ref()
                .map_or(Ok(None), |selector| selector.time(seen))
        };
        let published_at = match time(&self.published_at)? {
            Some(published) => check_published(published, received_at)
                .map_err(|why| format!("events.published_at: {why}"))?,
            None if self.published_at.is_some() => {
                return Err("events.published_at: finds nothing".to_owned());
            }
            None => received_at,
        };
        let effective_at = match time(&self.effective_at)? {
            Some(effective) => check_effective(effective, received_at)
                .map_err(|why| format!("events.effective_at: {why}"))?,
            None if change == ChangeKind::LeaveScheduled => {
                return Err("events.effective_at: finds nothing for a scheduled leave".to_owned());
            }
            None => published_at,
        };
        let role = RoleChange {
            from: text(self.role_from.as_ref(), seen)?,
            to: text(self.role_to.as_ref(), seen)?,
        };
        Ok(MembershipChange {
            id: ChangeId::derive(source, &event_id),
            source: source.to_owned(),
            event_id,
            change,
            person: self.person(seen)?,
            scope: self.scopes.get(kind).unwrap_or(&self.scope).scope(seen)?,
            effective_at,
            not_before: None,
            published_at,
            role: (role != RoleChange::default()).then_some(role),
            actor: text(self.actor.as_ref(), seen)?,
            reason: text(self.reason.as_ref(), seen)?,
        })
    }

    fn person(&self, seen: &Seen<'_>) -> Result<PersonRef, String> {
        let email = address(self.email.as_ref(), seen, "email")?;
        let person = PersonRef {
            email,
            account: text(self.account.as_ref(), seen)?,
            name: text(self.person_name.as_ref(), seen)?,
            formerly: address(self.formerly.as_ref(), seen, "formerly")?,
        };
        if person.is_nobody() {
            return Err("events.person: neither the email nor the account is there".to_owned());
        }
        Ok(person)
    }
}

fn address(
    selector: Option<&Selector>,
    seen: &Seen<'_>,
    field: &str,
) -> Result<Option<Email>, String> {
    text(selector, seen)?
        .map(|email| Email::parse(&email))
        .transpose()
        .map_err(|why| format!("events.person.{field}: {why}"))
}

impl Action {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "ignore" => Ok(Self::Ignore),
            "lookup" => Ok(Self::Lookup),
            change => change
                .parse()
                .map(Self::Change)
                .map_err(|why| format!("{why}, lookup, ignore")),
        }
    }
}
