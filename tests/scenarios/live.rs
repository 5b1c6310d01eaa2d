//! Tells worlds to a running service, and reads from its log what it says of them.
//!
//! Many worlds share a service, its log and its clock. Each is told when the clock has come to the
//! moment at which the last of it was said, and its report is read then.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use offkey::{
    app::{self, Service},
    clock::ManualClock,
    config::Config,
    domain::{ChangeId, Impact, ImpactId, Outcome, Record, Report, Status, Topic},
    log::{Follower, Log, Position},
    projection::{self, read::Reader},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{told::Told, world::World};

/// How often a condition is looked at, and for how long at most.
const GLANCE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The reports of the worlds' changes, in their order; `log` gives the settings of a fresh log.
///
/// Worlds share a service unless the operator decided otherwise in them.
pub(crate) fn reports(worlds: &[World<'_>], log: impl Fn() -> String) -> Vec<Report> {
    let mut services: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, world) in worlds.iter().enumerate() {
        let policy = world.one(|given| given.policy.as_ref());
        let policy = policy.map_or_else(String::new, ToString::to_string);
        services.entry(policy).or_default().push(number);
    }
    let mut found: BTreeMap<usize, Report> = BTreeMap::new();
    for numbers in services.values() {
        let sharing: Vec<&World<'_>> = numbers.iter().map(|&number| &worlds[number]).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let reports = runtime.block_on(tell(&sharing, &log()));
        found.extend(numbers.iter().copied().zip(reports));
    }
    found.into_values().collect()
}

async fn tell(worlds: &[&World<'_>], log: &str) -> Vec<Report> {
    let mut rounds: BTreeMap<Timestamp, Vec<(usize, Told)>> = BTreeMap::new();
    for (number, world) in worlds.iter().enumerate() {
        let told = Told::of(world);
        rounds
            .entry(told.moment())
            .or_default()
            .push((number, told));
    }
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let data = folder.path().join("data");
    let log =
        format!("[http]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[log]\npath = {data:?}\n{log}\n");
    let config = Config::parse(&(settings(worlds, &secret) + &log)).unwrap();
    let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
    let stop = CancellationToken::new();
    let service = Service::start(&config, Arc::new(clock.clone()), stop.clone()).unwrap();
    let mut heard = Heard::of(app::attach_log(&config, Arc::new(clock.clone())).unwrap());
    let mut found = BTreeMap::new();
    for (moment, round) in rounds {
        clock.set(moment);
        let records = round.iter().flat_map(|(_, told)| told.records());
        heard.log.append(records.collect()).await.unwrap();
        settle(&*heard.log, &config).await;
        heard.read().await;
        for (number, _) in round {
            found.insert(number, heard.report(worlds[number], worlds));
        }
    }
    stop.cancel();
    service.wait().await.unwrap();
    found.into_values().collect()
}

/// What the worlds need of a configuration.
fn settings(worlds: &[&World<'_>], secret: &Path) -> String {
    let (mut providers, mut groups, mut sources) = (Vec::new(), Vec::new(), BTreeSet::new());
    for world in worlds {
        providers.extend(world.providers().map(|(name, facts)| {
            json!({
                "name": name,
                "kind": "import",
                "catalogue": facts.kind,
                "propagation": facts.propagation,
            })
        }));
        for group in world.groups() {
            sources.insert(group.source.clone());
            let mut told = json!({
                "source": group.source,
                "group": group.group,
                "provider": group.provider,
            });
            if let Some(project) = group.project {
                told["project"] = project.into();
            }
            if let Some(role) = group.role {
                told["role"] = role.into();
            }
            groups.push(told);
        }
    }
    let source = |name| {
        let secrets = [json!({ "file": secret })];
        json!({ "name": name, "kind": "standard-webhooks", "secrets": secrets })
    };
    let sources: Vec<_> = sources.into_iter().map(source).collect();
    let policy = worlds[0].one(|given| given.policy.clone());
    toml::to_string(&json!({
        "policy": policy.unwrap_or_default(),
        "provider": providers,
        "group": groups,
        "source": sources,
    }))
    .unwrap()
}

/// Waits until the service has read all that the log holds, and said all that there is to say.
async fn settle(log: &dyn Log, config: &Config) {
    let end = log.end().unwrap();
    let is_settled = || {
        let db = projection::open_reader(&config.log.path).unwrap();
        let reader = Reader::new(&db).as_of_now().unwrap();
        reader.position().unwrap().has_reached(&end) && reader.waiting().unwrap() == 0
    };
    let settled = async {
        while !is_settled() {
            tokio::time::sleep(GLANCE).await;
        }
    };
    in_time("the reports", settled).await;
}

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// What the service has said in its log.
struct Heard {
    log: Arc<dyn Log>,
    follower: Box<dyn Follower>,
    position: Position,
    /// The newest revisions.
    outcomes: BTreeMap<ChangeId, Outcome>,
    impacts: BTreeMap<ImpactId, Impact>,
}

const SAID: [Topic; 2] = [Topic::Outcomes, Topic::Impacts];

impl Heard {
    fn of(log: Arc<dyn Log>) -> Self {
        let position = Position::default();
        Self {
            follower: log.follow(&SAID, &position).unwrap(),
            log,
            position,
            outcomes: BTreeMap::new(),
            impacts: BTreeMap::new(),
        }
    }

    /// Reads up to the end.
    async fn read(&mut self) {
        let end = self.log.end().unwrap().within(&SAID);
        while !self.position.has_reached(&end) {
            let batch = in_time("the end of the log", self.follower.next(1000))
                .await
                .unwrap();
            self.position = batch.through;
            let records = batch.entries.into_iter().map(|entry| entry.record);
            records.for_each(|record| self.take(&record));
        }
    }

    fn take(&mut self, record: &Record) {
        match record.kind.as_str() {
            Outcome::TYPE => {
                let outcome: Outcome = record.read().unwrap();
                self.outcomes.insert(outcome.change_id, outcome);
            }
            Impact::TYPE => {
                let impact: Impact = record.read().unwrap();
                self.impacts.insert(impact.impact_id, impact);
            }
            // Reminders, and moments that have passed.
            _ => {}
        }
    }

    /// The report of the world's change, its names as the scenario has them.
    fn report(&self, world: &World<'_>, worlds: &[&World<'_>]) -> Report {
        let change = world.change().id;
        let holds =
            |impact: &&Impact| impact.change_id == change && impact.status != Status::Withdrawn;
        let mut impacts: Vec<Impact> = self.impacts.values().filter(holds).cloned().collect();
        impacts.sort_by_key(|impact| {
            let key = &impact.key;
            let place = (key.provider.clone(), key.project.clone(), key.id.clone());
            (Reverse((impact.severity.level, key.ours)), place)
        });
        let outcome = self.outcomes[&change].clone();
        let report = serde_json::to_string(&Report { outcome, impacts }).unwrap();
        let report = report.replace(&world.prefix, "");
        for other in worlds {
            assert!(
                !report.contains(&other.prefix),
                "of another scenario: {report}"
            );
        }
        serde_json::from_str(&report).unwrap()
    }
}
