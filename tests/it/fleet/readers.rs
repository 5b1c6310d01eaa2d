//! What an instance knows: lost, built anew, cut off, and a reader to whom nothing comes.

use std::time::Duration;

use offkey::{
    clock::{Clock as _, SystemClock},
    config::{Config, Overrides, kafka::KafkaConfig},
    domain::{Account, Email, Key, KeyInterval, Record, Topic},
    log::Position,
    projection::read::Reader,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::{Fleet, under_load, until_every_partition_moves, until_more_are_taken};
use crate::harness::{
    Service, Stage, is_long, is_over_kafka, one_of_the_crowd, rounds, seed, until, until_within,
};

/// How many keys a read model is built of, and of how many where it may take long.
const KEYS: usize = 20_000;
const VERY_MANY_KEYS: usize = 1_000_000;
/// How long very many keys may take.
const LONG: Duration = Duration::from_secs(900);
/// How many records that say nothing lie behind the keys.
const SILENT: usize = 200;

fn until_read_models_are_equal(fleet: &Fleet) {
    let dump = |stage: &Stage| stage.read(|reader| reader.dump().unwrap());
    until_within(LONG, "both read models to be equal", || {
        (dump(&fleet.stages[0]) == dump(&fleet.stages[1])).then_some(())
    });
}

#[test]
fn an_instance_that_lost_its_folder_comes_back_with_the_same_read_model() {
    if !is_over_kafka() {
        return;
    }
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 2, &[]);
    under_load(&mut fleet, "a lost folder", |fleet, _, oracle| {
        until_more_are_taken(oracle, 40);
        for number in [1, 0] {
            fleet.lose_folder(number);
            fleet.start(number);
            until_more_are_taken(oracle, 10);
        }
    });
    until_read_models_are_equal(&fleet);
}

/// A key at a provider that nobody polls.
fn key(number: usize) -> Record {
    let observed_at = SystemClock.now();
    let email = one_of_the_crowd(number);
    let key = Key {
        provider: "elsewhere".to_owned(),
        project: "rebuild".to_owned(),
        id: format!("key-{number}"),
        label: format!("key {number}"),
        class: "project-key".to_owned(),
        created_at: None,
        expires_at: None,
        tags: Vec::new(),
        history: vec![KeyInterval {
            valid_from: None,
            valid_to: None,
            last_seen: None,
            observed_at,
            creator: Account {
                id: email.clone(),
                email: Some(Email::parse(&email).unwrap()),
                name: None,
            },
            scopes: vec!["member".to_owned()],
        }],
        uses: Vec::new(),
    };
    key.to_record(observed_at)
}

fn fill(stage: &Stage, count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let log = stage.attach();
    for start in (0..count).step_by(2000) {
        let keys = (start..count.min(start + 2000)).map(key).collect();
        runtime.block_on(log.append(keys)).unwrap();
    }
}

fn kafka_of(stage: &Stage) -> KafkaConfig {
    let config = Config::load(Some(&stage.config()), &Overrides::default()).unwrap();
    config.log.kafka().unwrap().clone()
}

/// Puts behind everything in `inventory` what takes offsets and is no record: tombstones of keys that
/// never were, and a transaction that was aborted.
fn end_in_silence(stage: &Stage) {
    let kafka = kafka_of(stage);
    let topic = format!("{}{}", kafka.prefix, Topic::Inventory);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.brokers)
        .set("transactional.id", format!("{}silent", kafka.prefix))
        .create()
        .unwrap();
    let patience = Duration::from_secs(30);
    producer.init_transactions(patience).unwrap();
    for is_tombstone in [true, false] {
        producer.begin_transaction().unwrap();
        for number in 0..SILENT {
            let name = format!("nobody-{number}");
            let message = BaseRecord::<str, str>::to(&topic).key(&name);
            let message = if is_tombstone {
                message
            } else {
                message.payload("null")
            };
            producer.send(message).unwrap();
        }
        if is_tombstone {
            producer.commit_transaction(patience).unwrap();
        } else {
            producer.flush(patience).unwrap();
            producer.abort_transaction(patience).unwrap();
        }
    }
}

fn read_up_to(stage: &Stage) -> Position {
    let found = stage.read(|reader| reader.position().unwrap());
    found.unwrap_or_default()
}

fn distance(position: &Position) -> u64 {
    position.parts().map(|(_, next)| next).sum()
}

/// Waits until `stage` has read `goal` offsets. It may never know less than `known`, nor say that it is
/// ready before `end`.
fn until_read(stage: &Stage, goal: u64, known: &Position, end: &Position) {
    until_within(LONG, "the read model to grow", || {
        let is_ready = stage.is_ready();
        let at = stage.read(|reader| reader.position().unwrap())?;
        assert!(at.has_reached(known), "{at:?} after {known:?}");
        assert!(!is_ready || at.has_reached(end), "ready at {at:?}");
        (distance(&at) >= goal).then_some(())
    });
}

#[test]
fn an_instance_that_is_killed_while_it_reads_everything_anew_goes_on_where_it_was() {
    if !is_over_kafka() {
        return;
    }
    let count = if is_long() { VERY_MANY_KEYS } else { KEYS };
    let mut random = StdRng::seed_from_u64(seed("killed while it reads"));
    let mut fleet = Fleet::set(Stage::set_with_crowd(), 2, &[]);
    fill(&fleet.stages[0], count);
    end_in_silence(&fleet.stages[0]);
    let end = fleet.stages[0].attach().end().unwrap();
    until_within(LONG, "the witness to know everything", || {
        read_up_to(&fleet.stages[0]).has_reached(&end).then_some(())
    });
    fleet.lose_folder(1);
    let stages = fleet.stages.clone();
    let (newcomer, all) = (&stages[1], distance(&end));
    let mut goals: Vec<u64> = (0..rounds(4).min(20))
        .map(|_| random.random_range(1..all))
        .collect();
    goals.sort_unstable();
    let mut known = Position::default();
    for goal in goals {
        let service = Service::spawn(newcomer, &[]);
        until_read(newcomer, goal, &known, &end);
        service.kill();
        // What was taken in is not read again by the next start.
        known = read_up_to(newcomer);
    }
    fleet.services[1] = Some(Service::spawn(newcomer, &[]));
    until_read(newcomer, all, &known, &end);
    newcomer.wait_until_ready();
    until_read_models_are_equal(&fleet);
}

/// What `log check` says.
fn checked(stage: &Stage) -> serde_json::Value {
    let said = stage.offkey(&["log", "check", "--json"]);
    serde_json::from_slice(&said.stdout).unwrap()
}

/// How far the group `name` is behind, as `log check` says it.
fn lag(stage: &Stage, name: &str) -> u64 {
    let found = checked(stage);
    let groups = found["groups"].as_array().unwrap();
    let group = groups.iter().find(|one| one["name"] == name).unwrap();
    group["lag"].as_u64().unwrap()
}

#[test]
fn the_check_of_any_instance_knows_of_the_reports_that_others_made() {
    if !is_over_kafka() {
        return;
    }
    let fleet = Fleet::set(Stage::set_with_crowd(), 2, &[]);
    let leave = |number| {
        let email = one_of_the_crowd(number);
        fleet.stages[0].leave(&format!("msg_{number}"), &email)
    };
    let changes: Vec<String> = (0..24).map(|number| leave(number).to_string()).collect();
    for stage in fleet.stages.iter() {
        until("an instance to hear of every report", || {
            let is_told = |reader: &Reader<'_>| {
                let reports = changes.iter().map(|id| reader.report(id).unwrap());
                reports.flatten().count() == changes.len()
            };
            stage.read(is_told).filter(|is_told| *is_told)
        });
        until("no change to wait", || {
            (checked(stage)["waiting"]["changes"] == 0).then_some(())
        });
    }
}

#[test]
fn a_reader_to_whom_nothing_comes_is_made_anew_and_nothing_stays_behind() {
    if !is_over_kafka() {
        return;
    }
    // Every reader's first client: the read model's and those of the sinks.
    let deaf = [("FAILPOINTS", "kafka.reader-stands-still=3*return->off")];
    let stage = Stage::set_with_crowd();
    let services = vec![Some(Service::spawn(&stage, &deaf))];
    let mut fleet = Fleet {
        services,
        stages: vec![stage].into(),
    };
    under_load(&mut fleet, "a deaf reader", |fleet, _, oracle| {
        let stage = &fleet.stages[0];
        until_more_are_taken(oracle, 20);
        until("a reader to be made anew", || {
            stage.metric("offkey_kafka_rebuilds_total{what=\"reader\"}")
        });
        stage.wait_until_ready();
        until_every_partition_moves(stage, oracle, "deaf");
    });
    let stage = &fleet.stages[0];
    until("no lag", || (lag(stage, "correlation") == 0).then_some(()));
    assert!(fleet.is_running(0));
}
