//! Moving house: everything from one engine into the other.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use offkey::{
    domain::{Record, Topic},
    log::{
        Log,
        copy::{Carried, Copied, Follow, copy},
    },
};
use rstest::rstest;
use tokio::sync::Notify;

use crate::engine::{Engine, Place, all, holds, in_time, next, record};

const COUNT: usize = 5000;

/// Several keys in several topics, one of which keeps the newest record of a key only.
fn content() -> Vec<Record> {
    let topics = [Topic::Membership, Topic::Inventory, Topic::Impacts];
    (0..COUNT)
        .map(|n| record(topics[n % 3], &format!("k{}", n % 7), &n.to_string()))
        .collect()
}

async fn fill(log: &dyn Log) {
    for part in content().chunks(500) {
        log.append(part.to_vec()).await.unwrap();
    }
}

async fn copy_all(from: &dyn Log, to: &dyn Log, note: &Path) -> Vec<Copied> {
    let done = copy(from, to, note, &[], &|_| {}).await.unwrap();
    done.topics
}

/// Copies until a part of it is noted, and is cut off with the next part on its way.
async fn copy_a_part(from: &dyn Log, to: &dyn Log, note: &Path) {
    let (enough, done) = (Notify::new(), AtomicU64::new(0));
    let tell = |progress: offkey::log::copy::Progress| {
        done.store(progress.done, Ordering::Relaxed);
        enough.notify_one();
    };
    tokio::select! {
        biased;
        () = enough.notified() => {}
        whole = copy(from, to, note, &[], &tell) => panic!("nothing cut it off: {whole:?}"),
    }
    assert!(done.load(Ordering::Relaxed) > 0);
}

fn check(copied: &[Copied]) {
    for one in copied {
        assert!(one.is_whole(), "{one:?}");
    }
}

/// Every topic holds what was sent, in the order of its keys.
async fn holds_all(log: &dyn Log) {
    let sent = content();
    for topic in [Topic::Membership, Topic::Inventory, Topic::Impacts] {
        let found = all(log, &[topic], 900).await;
        for key in (0..7).map(|n| format!("k{n}")) {
            let of_key = |records: &[Record]| -> Vec<Record> {
                let matching = records
                    .iter()
                    .filter(|it| it.topic == topic && it.key == key);
                matching.cloned().collect()
            };
            assert_eq!(of_key(&found), of_key(&sent), "{topic} {key}");
        }
    }
}

#[rstest]
#[case(Engine::Embedded, Engine::Kafka)]
#[case(Engine::Kafka, Engine::Embedded)]
#[tokio::test]
async fn a_copy_holds_everything_in_order_also_after_it_was_cut_off(
    #[case] from: Engine,
    #[case] to: Engine,
) {
    let (from, to) = (Place::of(from), Place::of(to));
    let (source, target) = (from.serve(), to.serve());
    fill(&*source).await;
    let note = from.folder.path().join("copy.json");
    copy_a_part(&*source, &*target, &note).await;
    assert!(note.exists());
    // Another process goes on, when the one that was cut off is gone with what it had on its way: it
    // is written or never will be. (In this process its thread lives on, and what comes last tells.)
    target.append(Vec::new()).await.unwrap();
    drop(target);
    let target = to.serve();
    let copied = copy_all(&*source, &*target, &note).await;
    check(&copied);
    assert!(!note.exists());
    holds_all(&*target).await;
}

#[tokio::test]
async fn what_somebody_else_puts_into_the_target_is_seen() {
    let (from, to) = (Place::of(Engine::Embedded), Place::of(Engine::Embedded));
    let (source, target) = (from.serve(), to.serve());
    fill(&*source).await;
    let note = from.folder.path().join("copy.json");
    copy_a_part(&*source, &*target, &note).await;
    let strange = record(Topic::Membership, "k", "strange");
    target.append(vec![strange]).await.unwrap();
    let copied = copy_all(&*source, &*target, &note).await;
    let wrong: Vec<Topic> = copied
        .iter()
        .filter(|one| !one.is_whole())
        .map(|one| one.topic)
        .collect();
    assert_eq!(wrong, [Topic::Membership]);
}

#[tokio::test]
async fn the_note_of_another_copy_is_not_followed() {
    let (from, to) = (Place::of(Engine::Embedded), Place::of(Engine::Embedded));
    let (source, target) = (from.serve(), to.serve());
    fill(&*source).await;
    let note = from.folder.path().join("copy.json");
    copy_a_part(&*source, &*target, &note).await;
    let other = Place::of(Engine::Embedded);
    let refused = copy(&*source, &*other.serve(), &note, &[], &|_| {}).await;
    assert!(refused.unwrap_err().to_string().contains("other logs"));
}

/// How many impacts a sink has to bring away.
const IMPACTS: usize = 40;

fn sink() -> Follow {
    Follow {
        group: "sink.one".to_owned(),
        topics: vec![Topic::Impacts, Topic::DeadLetters],
    }
}

/// Takes records as the sink does and commits after each, until `enough` have come.
async fn deliver(log: &dyn Log, enough: impl Fn(usize) -> bool) -> BTreeSet<String> {
    let sink = sink();
    let mut member = log.join(&sink.group, &sink.topics).unwrap();
    holds(member.as_mut()).await;
    let mut delivered = BTreeSet::new();
    while !enough(delivered.len()) {
        let batch = next(member.as_mut(), 1).await;
        // Who joins or leaves moves the share; then they come again.
        if member.commit(&batch.through, Vec::new()).await.is_ok() {
            delivered.extend(batch.entries.into_iter().map(|entry| entry.record.id));
        }
    }
    delivered
}

#[rstest]
#[case(Engine::Embedded, Engine::Kafka)]
#[case(Engine::Kafka, Engine::Embedded)]
#[tokio::test]
async fn a_sink_goes_on_behind_what_it_had_delivered(#[case] from: Engine, #[case] to: Engine) {
    let (from, to) = (Place::of(from), Place::of(to));
    let (source, target) = (from.serve(), to.serve());
    // One key is one partition: what was done of it is a beginning of it, in either engine.
    let impact = |n: usize| record(Topic::Impacts, "k", &n.to_string());
    let impacts: Vec<_> = (0..IMPACTS).map(impact).collect();
    let ids: BTreeSet<String> = impacts.iter().map(|one| one.id.clone()).collect();
    source.append(impacts).await.unwrap();
    source
        .append(vec![record(Topic::Inventory, "k", "x")])
        .await
        .unwrap();
    let before = deliver(&*source, |count| count == IMPACTS / 2).await;
    let note = from.folder.path().join("copy.json");
    let sinks = [sink()];
    let done = copy(&*source, &*target, &note, &sinks, &|_| {});
    let done = in_time("the copy", done).await.unwrap();
    check(&done.topics);
    assert_eq!(done.groups, [("sink.one".to_owned(), Carried::Over)]);
    let after = deliver(&*target, |count| count == IMPACTS - IMPACTS / 2).await;
    assert!(before.is_disjoint(&after), "{before:?} {after:?}");
    assert_eq!(&before | &after, ids);
}

/// Appends one impact.
async fn impact(log: &dyn Log, id: &str) {
    let impact = record(Topic::Impacts, "k", id);
    log.append(vec![impact]).await.unwrap();
}

#[tokio::test]
async fn what_was_in_the_target_before_is_not_passed_over() {
    let (from, to) = (Place::of(Engine::Embedded), Place::of(Engine::Embedded));
    let (source, target) = (from.serve(), to.serve());
    impact(&*source, "1").await;
    deliver(&*source, |count| count == 1).await;
    impact(&*target, "native").await;
    let note = from.folder.path().join("copy.json");
    let sinks = [sink()];
    let done = copy(&*source, &*target, &note, &sinks, &|_| {});
    assert_eq!(
        done.await.unwrap().groups,
        [("sink.one".to_owned(), Carried::Kept)]
    );
    let delivered = deliver(&*target, |count| count == 2).await;
    assert!(delivered.contains("k-native"), "{delivered:?}");
}

#[tokio::test]
async fn a_sink_that_had_not_begun_begins_at_the_beginning() {
    let (from, to) = (Place::of(Engine::Embedded), Place::of(Engine::Embedded));
    let (source, target) = (from.serve(), to.serve());
    impact(&*source, "1").await;
    let note = from.folder.path().join("copy.json");
    let sinks = [sink()];
    let done = copy(&*source, &*target, &note, &sinks, &|_| {});
    assert_eq!(
        done.await.unwrap().groups,
        [("sink.one".to_owned(), Carried::Nowhere)]
    );
    deliver(&*target, |count| count == 1).await;
}
