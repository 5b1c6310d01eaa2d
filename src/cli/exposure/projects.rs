//! On how few people a project rests.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde::Serialize;

use crate::domain::Impact;

/// A provider and a project.
type Place = (String, String);

/// How many production keys in use break where, if one person leaves.
#[derive(Debug, Default)]
pub(super) struct Broken(BTreeMap<Place, (usize, Option<String>)>);

impl Broken {
    pub(super) fn add(&mut self, impact: &Impact) {
        let place = (impact.key.provider.clone(), impact.key.project.clone());
        let (keys, name) = self.0.entry(place).or_default();
        *keys += 1;
        name.clone_from(&impact.key.project_name);
    }
}

/// Every project of which somebody's leaving breaks a key.
#[derive(Debug, Default)]
pub(super) struct Projects(BTreeMap<Place, Project>);

/// How many people break how many keys: few rows for many people.
#[derive(Debug, Default)]
struct Project {
    name: Option<String>,
    people_by_keys: BTreeMap<usize, usize>,
    /// Who breaks most, and of several the first by name.
    most: (usize, String),
}

/// One project.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProjectRow {
    pub(super) bus_factor: usize,
    pub(super) keys: Reverse<usize>,
    pub(super) provider: String,
    pub(super) project: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// How many people have one of these keys.
    pub(super) people: usize,
    /// Who has most of them.
    pub(super) most: String,
    /// How many that is.
    pub(super) most_keys: usize,
}

impl Projects {
    pub(super) fn add(&mut self, person: &str, broken: Broken) {
        for (place, (keys, name)) in broken.0 {
            let project = self.0.entry(place).or_default();
            project.name = name.or(project.name.take());
            *project.people_by_keys.entry(keys).or_default() += 1;
            let (most, who) = &project.most;
            if keys > *most || (keys == *most && person < who.as_str()) {
                project.most = (keys, person.to_owned());
            }
        }
    }

    /// The `most` projects that rest on fewest people; of several those with most keys.
    pub(super) fn worst(self, most: usize) -> Vec<ProjectRow> {
        let mut rows = BTreeSet::new();
        for ((provider, id), project) in self.0 {
            rows.insert(ProjectRow {
                bus_factor: project.bus_factor(),
                keys: Reverse(project.keys()),
                provider,
                project: id,
                people: project.people_by_keys.values().sum(),
                most_keys: project.most.0,
                most: project.most.1,
                name: project.name,
            });
            if rows.len() > most {
                rows.pop_last();
            }
        }
        rows.into_iter().collect()
    }
}

impl Project {
    fn keys(&self) -> usize {
        let all = self.people_by_keys.iter();
        all.map(|(keys, people)| keys * people).sum()
    }

    /// How few people hold more than half of the keys. Every key is one person's, so those with
    /// most come first.
    fn bus_factor(&self) -> usize {
        let half = self.keys() / 2;
        let (mut held, mut people) = (0, 0);
        for (&keys, &count) in self.people_by_keys.iter().rev() {
            let needed = (half + 1 - held).div_ceil(keys.max(1));
            if needed <= count {
                return people + needed;
            }
            held += keys * count;
            people += count;
        }
        people
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Project;

    #[rstest]
    #[case::one_has_all(&[(5, 1)], 1)]
    #[case::one_has_more_than_half(&[(3, 1), (1, 2)], 1)]
    #[case::one_has_half(&[(2, 1), (1, 2)], 2)]
    #[case::everybody_has_one(&[(1, 10)], 6)]
    #[case::many_of_a_few_and_few_of_many(&[(10, 2), (1, 30)], 8)]
    fn the_bus_factor_is_how_few_hold_more_than_half(
        #[case] people: &[(usize, usize)],
        #[case] expected: usize,
    ) {
        let project = Project {
            people_by_keys: people.iter().copied().collect(),
            ..Project::default()
        };
        assert_eq!(project.bus_factor(), expected);
    }
}
