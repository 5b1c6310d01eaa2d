//! The second reading: what is news goes to the log.

use std::{
    collections::{BTreeMap, HashSet},
    mem,
};

use super::{
    Checked, Import, ImportError, Row,
    check::{each, key_digest},
};
use crate::{
    domain::{Account, Key, Member, MemberInterval, Project, Record, inventory::SnapshotSummary},
    inventory::{
        SeenProject, Snapshot,
        diff::{Known, diff},
    },
    projection::read::Reader,
};

/// How many keys are compared, and how many records appended, in one step.
const BATCH: u32 = 1000;
/// Why a batch proves nothing about what it lacks.
const A_PART: &str = "a part of the file";

/// What an import came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Done {
    /// Keys in the file.
    pub keys: u64,
    /// Keys nobody knew.
    pub added: u64,
    /// Keys that were otherwise before.
    pub changed: u64,
    /// Keys that the file lacks, which are gone now.
    pub gone: u64,
    /// People in projects they were not known in.
    pub members: u64,
    /// Projects nobody knew, or by another name.
    pub projects: u64,
}

/// Gives `append` what is news, in batches: projects, members and keys first, then keys that are
/// gone, and the summary at last, without which nothing is taken for complete.
///
/// # Errors
/// [`ImportError`]; the next import repeats what is missing.
pub fn publish(
    import: &Import<'_>,
    checked: &Checked,
    known: &Reader<'_>,
    append: &mut dyn FnMut(Vec<Record>) -> Result<(), ImportError>,
) -> Result<Done, ImportError> {
    let last = known.snapshot(import.provider)?;
    let mut work = Work {
        import,
        known,
        append,
        last,
        keys: HashSet::new(),
        members: HashSet::new(),
        projects: BTreeMap::new(),
        done: Done::default(),
    };
    for project in known
        .projects()?
        .into_iter()
        .filter(|known| known.provider == import.provider)
    {
        work.projects.insert(project.id.clone(), project);
    }
    let mut batch = Vec::new();
    let (_, digest) = each(import, |_, row| {
        batch.push(row.map_err(|_| ImportError::Changed(import.file.to_owned()))?);
        if batch.len() < BATCH as usize {
            return Ok(());
        }
        work.take(mem::take(&mut batch))
    })?;
    work.take(batch)?;
    if digest != checked.digest {
        return Err(ImportError::Changed(import.file.to_owned()));
    }
    if import.is_complete {
        work.gone()?;
    }
    work.summary()?;
    Ok(work.done)
}

/// One import on its way.
struct Work<'a, 'b> {
    import: &'a Import<'b>,
    known: &'a Reader<'a>,
    append: &'a mut dyn FnMut(Vec<Record>) -> Result<(), ImportError>,
    last: Option<SnapshotSummary>,
    /// The keys of the file, by a digest.
    keys: HashSet<u128>,
    /// Who is in which project, by a digest.
    members: HashSet<u128>,
    /// Every project, known or in the file.
    projects: BTreeMap<String, Project>,
    done: Done,
}

impl Work<'_, '_> {
    /// Publishes what is news in `rows`.
    fn take(&mut self, rows: Vec<Row>) -> Result<(), ImportError> {
        let mut records = Vec::new();
        let mut known = Known::default();
        let mut seen: BTreeMap<String, SeenProject> = BTreeMap::new();
        for row in rows {
            self.done.keys += 1;
            self.keys.insert(key_digest(&row.project, &row.key.id));
            records.extend(self.member(&row.project, &row.key.creator)?);
            known.keys.extend(
                self.known
                    .key(self.import.provider, &row.project, &row.key.id)?,
            );
            let old = self.projects.get(&row.project);
            let name = row.project_name.or_else(|| old.map(|old| old.name.clone()));
            let project = seen
                .entry(row.project)
                .or_insert_with_key(|id| SeenProject {
                    id: id.clone(),
                    name: id.clone(),
                    members: Vec::new(),
                    keys: Vec::new(),
                    gaps: vec![A_PART.to_owned()],
                });
            if let Some(name) = name {
                project.name = name;
            }
            project.keys.push(row.key);
        }
        known
            .projects
            .extend(seen.keys().filter_map(|id| self.projects.get(id)).cloned());
        let before: HashSet<u128> = known
            .keys
            .iter()
            .map(|key| key_digest(&key.project, &key.id))
            .collect();
        let news = self.compare(known, seen.into_values().collect(), true)?;
        for record in &news {
            self.count(record, &before)?;
        }
        records.extend(news);
        self.publish(records)
    }

    /// What the comparison says of keys and projects.
    fn compare(
        &self,
        known: Known,
        projects: Vec<SeenProject>,
        is_part: bool,
    ) -> Result<Vec<Record>, ImportError> {
        let snapshot = Snapshot {
            started_at: self.import.now,
            finished_at: self.import.now,
            projects,
            gaps: is_part.then(|| A_PART.to_owned()).into_iter().collect(),
            own_keys: None,
        };
        let known = Known {
            last: self.last.clone(),
            ..known
        };
        let mut records = diff(self.import.provider, &known, &snapshot).records;
        // The summary of the whole file comes at its end.
        records.retain(|record| record.kind != SnapshotSummary::TYPE);
        Ok(records)
    }

    fn count(&mut self, record: &Record, before: &HashSet<u128>) -> Result<(), ImportError> {
        match record.kind.as_str() {
            Key::TYPE => {
                let key: Key = record
                    .read()
                    .map_err(crate::projection::ProjectionError::from)?;
                if before.contains(&key_digest(&key.project, &key.id)) {
                    self.done.changed += 1;
                } else {
                    self.done.added += 1;
                }
            }
            Project::TYPE => {
                let project: Project = record
                    .read()
                    .map_err(crate::projection::ProjectionError::from)?;
                self.projects.insert(project.id.clone(), project);
                self.done.projects += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// The membership of whoever made a key, where it is news.
    fn member(&mut self, project: &str, creator: &Account) -> Result<Option<Record>, ImportError> {
        if !self.members.insert(key_digest(project, &creator.id)) {
            return Ok(None);
        }
        let provider = self.import.provider;
        let old = self.known.member(provider, project, &creator.id)?;
        let mut account = creator.clone();
        let (mut history, mut formerly) = (Vec::new(), Vec::new());
        if let Some(old) = old {
            account.email = account.email.or_else(|| old.account.email.clone());
            account.name = account.name.or_else(|| old.account.name.clone());
            let is_there = old
                .history
                .last()
                .is_some_and(|last| last.valid_to.is_none());
            if is_there && old.account == account {
                return Ok(None);
            }
            formerly = old.former_addresses(&account, self.import.now);
            history = old.history;
        }
        if history
            .last()
            .is_none_or(|last: &MemberInterval| last.valid_to.is_some())
        {
            history.push(MemberInterval {
                // Whether they were there before the file, it does not tell.
                valid_from: history.last().and_then(|last| last.valid_to),
                valid_to: None,
                last_seen: None,
                observed_at: self.import.now,
                roles: Vec::new(),
            });
        }
        self.done.members += 1;
        let member = Member {
            provider: provider.to_owned(),
            project: project.to_owned(),
            account,
            formerly,
            history,
        };
        Ok(Some(member.to_record(self.import.now)))
    }

    /// Publishes that the known keys which the file lacks are gone.
    fn gone(&mut self) -> Result<(), ImportError> {
        let mut after: Option<(String, String)> = None;
        loop {
            let place = after
                .as_ref()
                .map(|(project, key)| (project.as_str(), key.as_str()));
            let page = self.known.keys_after(self.import.provider, place, BATCH)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some((last.project.clone(), last.id.clone()));
            let is_absent = |key: &Key| !self.keys.contains(&key_digest(&key.project, &key.id));
            let absent: Vec<Key> = page.into_iter().filter(is_absent).collect();
            let mut projects: Vec<&str> = absent.iter().map(|key| key.project.as_str()).collect();
            projects.dedup();
            let seen = projects.iter().map(|&id| self.without_keys(id)).collect();
            let known = Known {
                projects: projects
                    .iter()
                    .filter_map(|&id| self.projects.get(id))
                    .cloned()
                    .collect(),
                keys: absent,
                ..Known::default()
            };
            let records = self.compare(known, seen, false)?;
            self.done.gone += records
                .iter()
                .map(|record| u64::from(record.kind == Key::TYPE))
                .sum::<u64>();
            self.publish(records)?;
        }
    }

    /// A project as it is known, and no key in it.
    fn without_keys(&self, id: &str) -> SeenProject {
        SeenProject {
            id: id.to_owned(),
            name: self
                .projects
                .get(id)
                .map_or_else(|| id.to_owned(), |known| known.name.clone()),
            members: Vec::new(),
            keys: Vec::new(),
            gaps: Vec::new(),
        }
    }

    fn summary(&mut self) -> Result<(), ImportError> {
        let now = self.import.now;
        let gaps: Vec<String> = if self.import.is_complete {
            Vec::new()
        } else {
            vec!["the file is said to hold a part of the keys".to_owned()]
        };
        let before = self.last.as_ref().and_then(|last| last.last_complete);
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let summary = SnapshotSummary {
            provider: self.import.provider.to_owned(),
            started_at: now,
            finished_at: now,
            last_complete: if gaps.is_empty() { Some(now) } else { before },
            gaps,
            own_keys: Vec::new(),
            projects: self.projects.len(),
            members: self.members.len(),
            keys: count(self.done.keys),
        };
        self.publish(vec![summary.to_record()])
    }

    fn publish(&mut self, records: Vec<Record>) -> Result<(), ImportError> {
        if records.is_empty() {
            return Ok(());
        }
        (self.append)(records)
    }
}
