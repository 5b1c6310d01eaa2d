//! Reading one project with one key.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::SecretString;

use super::{
    CLASS,
    client::{CallError, Client},
    completeness, usage,
    wire::{Listed, Member, Own},
};
use crate::{
    domain::{KeyUse, whole_microseconds},
    inventory::{SeenKey, SeenMember, SeenProject},
};

/// One project, as one of our keys sees it.
pub(super) struct Reading {
    pub(super) project: SeenProject,
    /// Which of our keys it was.
    pub(super) by: usize,
}

/// Reads projects with one key.
pub(super) struct Reader<'a> {
    pub(super) client: &'a Client,
    pub(super) secret: &'a SecretString,
    pub(super) own: Option<&'a Own>,
    pub(super) now: Timestamp,
}

impl Reader<'_> {
    /// Everything in `project`; what cannot be read is a gap.
    pub(super) async fn read(&self, project: &str, name: &str, by: usize) -> Reading {
        let mut gaps = Vec::new();
        let members = self.client.members(self.secret, project).await;
        let members = or_gap(members, "members", &mut gaps);
        let keys = self.keys(project, &mut gaps).await;
        gaps.extend(completeness::gap(self.own, &members, &keys));
        let ids: Vec<_> = keys
            .iter()
            .map(|key| key.api_key.api_key_id.as_str())
            .collect();
        let uses = usage::read(self, project, &ids).await;
        let uses = uses
            .inspect_err(|why| tracing::debug!(project, %why, "the use of keys is not known"))
            .ok();
        Reading {
            project: SeenProject {
                id: project.to_owned(),
                name: name.to_owned(),
                members: members.iter().map(seen_member).collect(),
                keys: keys
                    .iter()
                    .map(|key| seen_key(key, uses.as_ref()))
                    .collect(),
                gaps,
            },
            by,
        }
    }

    /// All keys. Active ones first: a key that expires in between is then in both lists, not in
    /// none.
    async fn keys(&self, project: &str, gaps: &mut Vec<String>) -> Vec<Listed> {
        let mut all = BTreeMap::new();
        for status in ["active", "expired"] {
            let listed = self.client.keys(self.secret, project, status).await;
            for key in or_gap(listed, &format!("{status} keys"), gaps) {
                all.insert(key.api_key.api_key_id.clone(), key);
            }
        }
        all.into_values().collect()
    }
}

fn or_gap<T>(list: Result<Vec<T>, CallError>, what: &str, gaps: &mut Vec<String>) -> Vec<T> {
    list.unwrap_or_else(|why| {
        gaps.push(format!("the {what} cannot be listed: {why}"));
        Vec::new()
    })
}

fn seen_member(member: &Member) -> SeenMember {
    SeenMember {
        account: member.account(),
        roles: sorted(member.scopes.as_deref()),
    }
}

fn seen_key(listed: &Listed, uses: Option<&BTreeMap<String, KeyUse>>) -> SeenKey {
    let key = &listed.api_key;
    SeenKey {
        id: key.api_key_id.clone(),
        label: key.comment.clone().unwrap_or_default(),
        class: CLASS.to_owned(),
        creator: listed.member.account(),
        scopes: sorted(key.scopes.as_deref()),
        tags: sorted(key.tags.as_deref()),
        created_at: time(key.created.as_deref()),
        expires_at: time(key.expiration_date.as_deref()),
        usage: uses.and_then(|uses| uses.get(&key.api_key_id)).cloned(),
    }
}

fn sorted(words: Option<&[String]>) -> Vec<String> {
    let mut words = words.unwrap_or_default().to_vec();
    words.sort();
    words.dedup();
    words
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok().map(whole_microseconds)
}
