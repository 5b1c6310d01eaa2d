//! A world from a company file.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{Invite, Key, Member, Person, Project, Traffic, World, keys};
use crate::{
    clock::Clock,
    domain::id::content_id,
    simulator::{
        company::{Company, CompanyError, CompanyKey, CompanyPerson, CompanyProject},
        role::Role,
    },
};

const HOURS_A_DAY: i64 = 24;

struct Builder {
    now: Timestamp,
    name: String,
    people: BTreeMap<String, Person>,
    ids: BTreeSet<Uuid>,
    administrative: [u8; 32],
}

impl World {
    /// The world of `company`, whose administrative key has the secret `api_key`.
    ///
    /// # Errors
    /// [`CompanyError`] when the company contradicts itself.
    pub(crate) fn new(
        company: Company,
        api_key: &SecretString,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CompanyError> {
        let mut builder = Builder {
            now: company.as_of.unwrap_or_else(|| clock.now()),
            name: company.name.clone(),
            people: BTreeMap::new(),
            ids: BTreeSet::new(),
            administrative: keys::hash(api_key.expose_secret()),
        };
        for person in &company.people {
            builder.add_person(person)?;
        }
        let projects = company.projects.iter();
        let projects: Vec<_> = projects
            .map(|one| builder.project(one))
            .collect::<Result<_, _>>()?;
        let all_keys = projects.iter().flat_map(|project| &project.keys);
        match all_keys.filter(|key| key.administrative).count() {
            1 => Ok(Self {
                clock,
                offset: SignedDuration::ZERO,
                name: company.name,
                projects,
                tokens: VecDeque::new(),
            }),
            count => Err(CompanyError::Administrative(count)),
        }
    }
}

impl Builder {
    fn add_person(&mut self, from: &CompanyPerson) -> Result<(), CompanyError> {
        let person = Person {
            id: self.id(from.id, &["person", from.email.as_str()])?,
            email: from.email.to_string(),
            first_name: from.first_name.clone(),
            last_name: from.last_name.clone(),
        };
        self.people.insert(person.email.clone(), person);
        Ok(())
    }

    fn project(&mut self, from: &CompanyProject) -> Result<Project, CompanyError> {
        let company = self.name.clone();
        let id = self.id(from.id, &["project", &company, &from.name])?;
        let members: Vec<_> = from
            .members
            .iter()
            .map(|(email, role)| self.member(from, email, *role))
            .collect::<Result<_, _>>()?;
        if !members.iter().any(|member| member.role == Role::Owner) {
            return Err(CompanyError::NoOwner(from.name.clone()));
        }
        let invites = from.invites.iter().map(|(email, role)| Invite {
            email: email.to_lowercase(),
            role: *role,
        });
        let mut project = Project {
            id,
            name: from.name.clone(),
            members,
            invites: invites.collect(),
            keys: Vec::new(),
            calls: VecDeque::new(),
        };
        for key in &from.keys {
            let key = self.key(&project, key)?;
            project.keys.push(key);
        }
        Ok(project)
    }

    fn member(
        &self,
        project: &CompanyProject,
        email: &str,
        role: Role,
    ) -> Result<Member, CompanyError> {
        let person = self.people.get(&email.to_lowercase());
        let person = person.cloned().ok_or_else(|| CompanyError::Stranger {
            project: project.name.clone(),
            email: email.to_owned(),
        })?;
        Ok(Member { person, role })
    }

    fn key(&mut self, project: &Project, from: &CompanyKey) -> Result<Key, CompanyError> {
        let mut members = project.members.iter();
        let creator = members.find(|member| member.person.email == from.creator.as_str());
        let creator = creator.ok_or_else(|| CompanyError::CreatorOutside {
            project: project.name.clone(),
            comment: from.comment.clone(),
            email: from.creator.clone(),
        })?;
        let created = self.days_from_now(-i64::from(from.created_days_ago));
        let until = from.last_used_days_ago.map(i64::from);
        Ok(Key {
            id: self.id(from.id, &["key", &project.id.to_string(), &from.comment])?,
            creator: creator.person.clone(),
            comment: from.comment.clone(),
            scopes: from.scopes.clone(),
            tags: from.tags.clone(),
            created,
            expires: from
                .expires_in_days
                .map(|days| self.days_from_now(i64::from(days))),
            deleted: None,
            administrative: from.administrative,
            traffic: Traffic {
                from: created,
                until: until.map(|days| self.days_from_now(-days)),
                per_day: from.requests_per_day,
            },
            secret: if from.administrative {
                self.administrative
            } else {
                keys::hash(keys::generate().expose_secret())
            },
        })
    }

    fn id(&mut self, given: Option<Uuid>, names: &[&str]) -> Result<Uuid, CompanyError> {
        let parts: Vec<_> = names.iter().map(|name| name.as_bytes()).collect();
        let id = given.unwrap_or_else(|| content_id(&parts));
        if self.ids.insert(id) {
            Ok(id)
        } else {
            Err(CompanyError::DoubleId(id))
        }
    }

    fn days_from_now(&self, days: i64) -> Timestamp {
        let span = SignedDuration::from_hours(days.saturating_mul(HOURS_A_DAY));
        self.now.checked_add(span).unwrap_or(self.now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use rstest::rstest;
    use secrecy::SecretString;

    use super::World;
    use crate::{clock::ManualClock, simulator::company::Company};

    const FINE: &str = r#"
        name = "x"
        [[person]]
        email = "a@example.com"
        [[project]]
        name = "p"
        members = { "a@example.com" = "owner" }
        [[project.key]]
        comment = "k"
        creator = "a@example.com"
        scopes = ["owner"]
        created_days_ago = 1
        administrative = true
    "#;

    fn build(company: Company) -> Result<World, String> {
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        World::new(company, &SecretString::from("s"), clock).map_err(|why| why.to_string())
    }

    #[rstest]
    #[case(r#""owner" }"#, r#""member" }"#, "no owner")]
    #[case("members = { \"a@", "members = { \"b@", "no [[person]]")]
    #[case("creator = \"a@", "creator = \"b@", "no member of project")]
    #[case("administrative = true", "", "0 keys are marked")]
    fn a_company_that_contradicts_itself_is_refused_with_the_reason(
        #[case] right: &str,
        #[case] wrong: &str,
        #[case] reason: &str,
    ) {
        assert!(build(Company::parse(FINE).unwrap()).is_ok());
        let company = Company::parse(&FINE.replace(right, wrong)).unwrap();
        let said = build(company).err().unwrap();
        assert!(said.contains(reason), "{said}");
    }

    #[test]
    fn an_unknown_field_of_a_company_file_is_refused() {
        let said = Company::parse(&FINE.replace("comment", "commment"));
        assert!(said.unwrap_err().to_string().contains("commment"));
    }

    #[test]
    fn the_demo_company_has_what_the_demo_shows() {
        let world = build(Company::demo(Timestamp::UNIX_EPOCH)).ok().unwrap();
        let now = world.now();
        let keys = || world.projects.iter().flat_map(|project| &project.keys);
        assert_eq!(world.projects.len(), 3);
        assert_eq!(keys().count(), 20);
        assert_eq!(keys().filter(|key| key.has_expired(now)).count(), 1);
        let lone = |project: &super::Project| {
            let mut members = project.members.iter();
            members.any(|member| project.is_sole_owner(member.person.id))
        };
        assert_eq!(world.projects.iter().filter(|one| lone(one)).count(), 1);
        let alive = keys().filter(|key| key.is_alive(now));
        let leos = alive.filter(|key| key.creator.email == "leo@example.com");
        assert_eq!(leos.count(), 0);
    }

    #[test]
    fn ids_are_the_same_at_every_start_and_secrets_are_not() {
        let start = |epoch: i64| {
            let now = Timestamp::from_second(epoch).unwrap();
            build(Company::demo(now)).ok().unwrap()
        };
        let (one, other) = (start(0), start(86_400));
        let keys = |world: &World| -> Vec<_> {
            let all = world.projects.iter().flat_map(|project| &project.keys);
            all.map(|key| (key.id, key.secret)).collect()
        };
        for (one, other) in keys(&one).iter().zip(&keys(&other)).skip(1) {
            assert_eq!(one.0, other.0);
            assert_ne!(one.1, other.1);
        }
    }
}
