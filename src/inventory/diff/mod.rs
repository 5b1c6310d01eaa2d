//! What a snapshot says that was not known: pure.
//!
//! Only a snapshot without gaps concludes that something is gone. What vanished between two
//! snapshots did so at some time between them, and keeps both ends.

use jiff::Timestamp;

use super::{SeenKey, SeenMember, SeenProject, Snapshot};
use crate::domain::{
    Account, ChangeId, ChangeKind, Key, KeyInterval, Member, MemberInterval, MembershipChange,
    PersonRef, Project, Record, RoleChange, Scope, inventory::SnapshotSummary,
};

/// What the log holds of one provider.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Its projects.
    pub projects: Vec<Project>,
    /// Its members.
    pub members: Vec<Member>,
    /// Its keys.
    pub keys: Vec<Key>,
    /// Its newest snapshot.
    pub last: Option<SnapshotSummary>,
}

/// What is news.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// Members, keys, projects and the snapshot's summary.
    pub records: Vec<Record>,
    /// What happened to people.
    pub changes: Vec<MembershipChange>,
}

/// One snapshot of one provider, compared.
struct Comparison<'a> {
    provider: &'a str,
    /// The end of the snapshot: when what it shows was so.
    now: Timestamp,
    /// The beginning of the last complete snapshot before.
    before: Option<Timestamp>,
    news: News,
}

/// Compares what `provider` was seen to have with what was known.
#[must_use]
pub fn diff(provider: &str, known: &Known, seen: &Snapshot) -> News {
    let before = known.last.as_ref().and_then(|last| last.last_complete);
    let now = seen.finished_at;
    let mut comparison = Comparison {
        provider,
        now,
        before,
        news: News::default(),
    };
    for project in &seen.projects {
        comparison.project(known, project);
    }
    if seen.gaps.is_empty() {
        comparison.vanished_projects(known, seen);
    }
    let last = known.last.as_ref();
    comparison.summary(seen, last.map_or(&[], |last| last.own_keys.as_slice()));
    comparison.news
}

impl Comparison<'_> {
    fn project(&mut self, known: &Known, seen: &SeenProject) {
        let old = known.projects.iter().find(|project| project.id == seen.id);
        if old.is_none_or(|old| old.name != seen.name || old.gone_at.is_some()) {
            let project = Project {
                provider: self.provider.to_owned(),
                id: seen.id.clone(),
                name: seen.name.clone(),
                gone_at: None,
            };
            self.news.records.push(project.to_record(self.now));
        }
        let members: Vec<_> = known
            .members
            .iter()
            .filter(|old| old.project == seen.id)
            .collect();
        for member in &seen.members {
            let old = members
                .iter()
                .find(|old| old.account.id == member.account.id);
            self.member(old.copied(), member, &seen.id);
        }
        let keys: Vec<_> = known
            .keys
            .iter()
            .filter(|old| old.project == seen.id)
            .collect();
        let by_id: std::collections::HashMap<_, _> =
            keys.iter().map(|old| (old.id.as_str(), *old)).collect();
        for key in &seen.keys {
            self.key(by_id.get(key.id.as_str()).copied(), key, &seen.id);
        }
        if seen.gaps.is_empty() {
            let is_member = |id: &str| seen.members.iter().any(|member| member.account.id == id);
            for old in members
                .into_iter()
                .filter(|old| !is_member(&old.account.id))
            {
                self.member_gone(old);
            }
            let there: std::collections::HashSet<_> =
                seen.keys.iter().map(|key| key.id.as_str()).collect();
            for old in keys
                .into_iter()
                .filter(|old| !there.contains(old.id.as_str()))
            {
                self.key_gone(old);
            }
        }
    }

    /// A project that is no longer shown was deleted or taken from us. Nobody tells which, so its
    /// members and keys stay as they were.
    fn vanished_projects(&mut self, known: &Known, seen: &Snapshot) {
        let is_seen = |id: &str| seen.projects.iter().any(|project| project.id == id);
        let gone = known
            .projects
            .iter()
            .filter(|old| old.gone_at.is_none() && !is_seen(&old.id));
        for project in gone {
            tracing::warn!(
                project.id,
                "a project is no longer shown: deleted, or taken from us"
            );
            let closed = Project {
                gone_at: Some(self.now),
                ..project.clone()
            };
            self.news.records.push(closed.to_record(self.now));
        }
    }

    fn member(&mut self, old: Option<&Member>, seen: &SeenMember, project: &str) {
        let open = old
            .and_then(|old| old.history.last())
            .filter(|last| last.valid_to.is_none());
        if let (Some(old), Some(open)) = (old, open)
            && open.roles == seen.roles
            && old.account == seen.account
        {
            return;
        }
        let mut history = old.map(|old| old.history.clone()).unwrap_or_default();
        let roles_are_new = open.is_none_or(|open| open.roles != seen.roles);
        if roles_are_new {
            let valid_from = match open {
                Some(open) => {
                    let role = RoleChange {
                        from: Some(open.roles.join(",")),
                        to: Some(seen.roles.join(",")),
                    };
                    self.happened(ChangeKind::RoleChanged, &seen.account, project, Some(role));
                    self.close_last(&mut history);
                    Some(self.now)
                }
                None if self.before.is_some() => {
                    self.happened(ChangeKind::Joined, &seen.account, project, None);
                    self.before
                }
                // The first look: they may have been there for years.
                None => None,
            };
            history.push(MemberInterval {
                valid_from,
                valid_to: None,
                last_seen: None,
                observed_at: self.now,
                roles: seen.roles.clone(),
            });
        }
        let member = Member {
            provider: self.provider.to_owned(),
            project: project.to_owned(),
            account: seen.account.clone(),
            formerly: old.map_or_else(Vec::new, |old| {
                old.former_addresses(&seen.account, self.now)
            }),
            history,
        };
        self.news.records.push(member.to_record(self.now));
    }

    fn member_gone(&mut self, old: &Member) {
        if old
            .history
            .last()
            .is_none_or(|last| last.valid_to.is_some())
        {
            return;
        }
        let mut gone = old.clone();
        self.close_last(&mut gone.history);
        self.news.records.push(gone.to_record(self.now));
        self.happened(ChangeKind::Removed, &old.account, &old.project, None);
    }

    fn close_last(&self, history: &mut [MemberInterval]) {
        if let Some(last) = history.last_mut() {
            last.valid_to = Some(self.now);
            last.last_seen = Some(self.last_seen(last.observed_at));
        }
    }

    /// The last moment at which something was seen that is not there any more.
    fn last_seen(&self, observed_at: Timestamp) -> Timestamp {
        self.before
            .map_or(observed_at, |before| before.max(observed_at))
            .min(self.now)
    }

    fn happened(
        &mut self,
        change: ChangeKind,
        account: &Account,
        project: &str,
        role: Option<RoleChange>,
    ) {
        let event_id = format!("{change}/{project}/{}/{}", account.id, self.now);
        self.news.changes.push(MembershipChange {
            id: ChangeId::derive(self.provider, &event_id),
            source: self.provider.to_owned(),
            event_id,
            change,
            person: PersonRef {
                email: account.email.clone(),
                account: Some(account.id.clone()),
                name: account.name.clone(),
                formerly: None,
            },
            scope: Scope::Project {
                provider: self.provider.to_owned(),
                project: project.to_owned(),
            },
            effective_at: self.now,
            not_before: self.before.map(|before| before.min(self.now)),
            published_at: self.now,
            role,
            actor: None,
            reason: None,
        });
    }

    fn key(&mut self, old: Option<&Key>, seen: &SeenKey, project: &str) {
        let mut key = Key {
            provider: self.provider.to_owned(),
            project: project.to_owned(),
            id: seen.id.clone(),
            label: seen.label.clone(),
            class: seen.class.clone(),
            created_at: seen.created_at,
            expires_at: seen.expires_at,
            tags: seen.tags.clone(),
            history: old.map(|old| old.history.clone()).unwrap_or_default(),
            uses: old.map(|old| old.uses.clone()).unwrap_or_default(),
        };
        let reappeared = key
            .history
            .last()
            .is_some_and(|last| last.valid_to.is_some());
        let same = key.history.last().is_some_and(|last| {
            last.valid_to.is_none() && last.creator == seen.creator && last.scopes == seen.scopes
        });
        if !same {
            let valid_from = match key.history.last_mut() {
                Some(last) if last.valid_to.is_none() => {
                    last.valid_to = Some(self.now);
                    last.last_seen = Some(self.last_seen(last.observed_at));
                    Some(self.now)
                }
                Some(_) if reappeared => Some(self.now),
                Some(_) | None => seen.created_at,
            };
            key.history.push(KeyInterval {
                valid_from,
                valid_to: None,
                last_seen: None,
                observed_at: self.now,
                creator: seen.creator.clone(),
                scopes: seen.scopes.clone(),
            });
        }
        if let Some(usage) = &seen.usage
            && is_news(key.uses.last(), usage)
        {
            key.uses.push(usage.clone());
            let surplus = key.uses.len().saturating_sub(Key::MOST_USES);
            key.uses.drain(..surplus);
        }
        if old != Some(&key) {
            self.news.records.push(key.to_record(self.now));
        }
    }

    fn key_gone(&mut self, old: &Key) {
        let mut gone = old.clone();
        let Some(last) = gone
            .history
            .last_mut()
            .filter(|last| last.valid_to.is_none())
        else {
            return;
        };
        last.valid_to = Some(self.now);
        last.last_seen = Some(self.last_seen(last.observed_at));
        self.news.records.push(gone.to_record(self.now));
    }

    /// `known_own`: our keys as they were known, for when the provider does not tell them now.
    fn summary(&mut self, seen: &Snapshot, known_own: &[String]) {
        let gaps: Vec<String> = seen
            .gaps
            .iter()
            .cloned()
            .chain(seen.projects.iter().flat_map(|project| {
                project
                    .gaps
                    .iter()
                    .map(move |gap| format!("{}: {gap}", project.name))
            }))
            .collect();
        let last_complete = if gaps.is_empty() {
            Some(seen.started_at)
        } else {
            self.before
        };
        let summary = SnapshotSummary {
            provider: self.provider.to_owned(),
            started_at: seen.started_at,
            finished_at: seen.finished_at,
            gaps,
            last_complete,
            own_keys: seen.own_keys.clone().unwrap_or_else(|| known_own.to_vec()),
            projects: seen.projects.len(),
            members: seen
                .projects
                .iter()
                .map(|project| project.members.len())
                .sum(),
            keys: seen.projects.iter().map(|project| project.keys.len()).sum(),
        };
        self.news.records.push(summary.to_record());
    }
}

/// Whether use moved enough to say so: it began, it stopped, it changed by a tenth, or a day went
/// by since the last word.
fn is_news(old: Option<&crate::domain::KeyUse>, new: &crate::domain::KeyUse) -> bool {
    const DAY: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
    let Some(old) = old else { return true };
    let (before, after) = (old.requests_7d, new.requests_7d);
    let moved = (before == 0) != (after == 0) || before.abs_diff(after) * 10 > before;
    let newer_use = new.last_used_at > old.last_used_at;
    moved || (newer_use && new.as_of.duration_since(old.as_of) >= DAY)
}

#[cfg(test)]
mod tests;
