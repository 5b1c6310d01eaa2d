//! Coming, going and changing roles, and what that does to keys.
//!
//! "API keys created by this member for the specified project will also be deleted": the API
//! reference of developers.deepgram.com on Remove Member, and the same on Leave Project.

use uuid::Uuid;

use super::{Caller, Invite, Member, Person, World};
use crate::{
    domain::id::content_id,
    simulator::{refusal::Refusal, role::Role},
};

impl World {
    /// Removes a member, and with them the keys they made in this project; `keeps_keys`: without
    /// them, which the API says does not happen.
    pub(crate) fn remove_member(
        &mut self,
        caller: &Caller,
        id: Uuid,
        keeps_keys: bool,
    ) -> Result<(), Refusal> {
        let project = self.project(caller)?;
        let member = project.member(id).ok_or(Refusal::NotFound("member"))?;
        caller.must(&member.role.permission("write:kick"))?;
        self.drop_member(caller, id, keeps_keys)
    }

    /// Removes the caller, and with them the keys they made in this project.
    pub(crate) fn leave(&mut self, caller: &Caller) -> Result<(), Refusal> {
        // The reference names no scope for leaving; a key without a role is assumed not to.
        if caller.rights.role().is_none() {
            return Err(Refusal::ForbiddenText);
        }
        self.drop_member(caller, caller.account, false)
    }

    fn drop_member(&mut self, caller: &Caller, id: Uuid, keeps_keys: bool) -> Result<(), Refusal> {
        let now = self.now();
        let project = self.project_mut(caller)?;
        if project.is_sole_owner(id) {
            return Err(Refusal::SoleOwner);
        }
        project.members.retain(|member| member.person.id != id);
        let theirs = project.keys.iter_mut().filter(|key| key.creator.id == id);
        for key in theirs.filter(|key| !keeps_keys && key.deleted.is_none()) {
            key.deleted = Some(now);
        }
        Ok(())
    }

    /// Gives a member another role; their keys may do no more than that from now on.
    pub(crate) fn set_role(
        &mut self,
        caller: &Caller,
        id: Uuid,
        role: Role,
    ) -> Result<(), Refusal> {
        let project = self.project_mut(caller)?;
        let member = project.member(id).ok_or(Refusal::NotFound("member"))?;
        caller.must(&member.role.permission("write:scopes"))?;
        caller.must(&role.permission("write:scopes"))?;
        if role != Role::Owner && project.is_sole_owner(id) {
            return Err(Refusal::SoleOwner);
        }
        for member in &mut project.members {
            if member.person.id == id {
                member.role = role;
            }
        }
        Ok(())
    }

    /// Invites somebody, or changes the role of an open invitation.
    pub(crate) fn invite(
        &mut self,
        caller: &Caller,
        email: &str,
        role: Role,
    ) -> Result<(), Refusal> {
        if !caller.rights.may(&role.permission("write:invites")) {
            return Err(Refusal::ForbiddenText);
        }
        let email = email.to_lowercase();
        let invites = &mut self.project_mut(caller)?.invites;
        invites.retain(|open| open.email != email);
        invites.push(Invite { email, role });
        Ok(())
    }

    /// Takes an invitation back.
    pub(crate) fn withdraw(&mut self, caller: &Caller, email: &str) -> Result<(), Refusal> {
        let invites = &mut self.project_mut(caller)?.invites;
        let open = invites
            .iter()
            .position(|one| one.email == email.to_lowercase());
        let open = open.ok_or(Refusal::NotFound("invite"))?;
        let role = invites.get(open).map(|invite| invite.role);
        if !role.is_some_and(|role| caller.rights.may(&role.permission("write:invites"))) {
            return Err(Refusal::ForbiddenText);
        }
        invites.remove(open);
        Ok(())
    }

    /// What an invited person does: the invitation becomes a membership.
    pub(crate) fn accept(&mut self, project: Uuid, email: &str) -> Result<(), Refusal> {
        let email = email.to_lowercase();
        let known = self.person(&email);
        let found = self.projects.iter_mut().find(|one| one.id == project);
        let project = found.ok_or(Refusal::NotFound("project"))?;
        let open = project.invites.iter().position(|one| one.email == email);
        let invite = project
            .invites
            .remove(open.ok_or(Refusal::NotFound("invite"))?);
        project
            .members
            .retain(|member| member.person.id != known.id);
        project.members.push(Member {
            person: known,
            role: invite.role,
        });
        Ok(())
    }

    fn person(&self, email: &str) -> Person {
        let members = self.projects.iter().flat_map(|project| &project.members);
        let mut known = members.map(|member| &member.person);
        let new = || Person {
            id: content_id(&[b"person", email.as_bytes()]),
            email: email.to_owned(),
            first_name: None,
            last_name: None,
        };
        known
            .find(|person| person.email == email)
            .cloned()
            .unwrap_or_else(new)
    }
}
