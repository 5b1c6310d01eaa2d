//! `offkey preview`: the live function over a change that has not happened.

use clap::Args;
use jiff::Timestamp;

use super::{Context, End, report};
use crate::{
    correlation::{Inputs, correlate, identity::person_of},
    domain::{ChangeId, ChangeKind, Email, MembershipChange, PersonRef, Report, Scope},
    projection::read::Reader,
};

/// Which change to imagine.
#[derive(Debug, Args)]
pub(super) struct Preview {
    /// Whose, by address.
    #[arg(long)]
    person: Email,
    /// What happens.
    #[arg(long, default_value = "removed")]
    change: ChangeKind,
    /// How far it reaches: organisation, provider:NAME, project:PROVIDER/ID or group:ID.
    #[arg(long, default_value = "organisation")]
    scope: Scope,
    /// When it takes effect; now by default.
    #[arg(long)]
    at: Option<Timestamp>,
}

impl Preview {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let at = self.at.unwrap_or_else(|| context.clock.now());
        let change = imagine(self.person.clone(), self.change, self.scope.clone(), at);
        let report = make(context, &change)?;
        if context.output.json {
            context.output.json(&report)?;
        } else {
            report::print(context.output, &report)?;
        }
        Ok(if report::kills_production(&report) {
            End::ProductionDies
        } else {
            End::Done
        })
    }
}

/// A change that has not happened.
///
/// Within a provider it happens there, so that nothing has to propagate.
pub(super) fn imagine(
    email: Email,
    change: ChangeKind,
    scope: Scope,
    at: Timestamp,
) -> MembershipChange {
    let source = match &scope {
        Scope::Provider { provider } | Scope::Project { provider, .. } => provider.clone(),
        Scope::Organisation {} | Scope::Group { .. } => "preview".to_owned(),
    };
    let event_id = format!("preview/{email}/{change}/{scope}");
    MembershipChange {
        id: ChangeId::derive(&source, &event_id),
        source,
        event_id,
        change,
        person: PersonRef {
            email: Some(email),
            ..PersonRef::default()
        },
        scope,
        effective_at: at,
        not_before: None,
        published_at: at,
        role: None,
        actor: None,
        reason: None,
    }
}

/// The report of `change` with what is known now.
pub(super) fn make(context: &Context, change: &MembershipChange) -> anyhow::Result<Report> {
    let (catalogue, db) = context.reading()?;
    let policy = &context.config.policy;
    let person = person_of(
        &policy.links,
        &change.source,
        None,
        change.person.email.as_ref(),
    );
    let history = Reader::new(&db).history(&person)?;
    Ok(correlate(&Inputs {
        change,
        history: &history,
        catalogue: &catalogue,
        policy,
    }))
}
