use std::sync::Arc;

use rstest::rstest;

use super::{EmbeddedLog, maintenance::Maintenance};
use crate::{
    clock::{ManualClock, SystemClock},
    domain::{Record, Topic},
    log::{Log, LogError, Position, Retention},
};

fn record(topic: Topic, key: &str, data: &str) -> Record {
    Record::json(topic, key.to_owned(), &data)
        .id(format!("{key}-{data}"))
        .kind("test")
}

fn serve(folder: &tempfile::TempDir) -> EmbeddedLog {
    EmbeddedLog::serve(folder.path(), Arc::new(SystemClock), Retention::default()).unwrap()
}

/// Everything in `topic`, until the end of the log.
async fn all(log: &EmbeddedLog, topic: Topic, most: usize) -> Vec<Record> {
    let end = log.end().unwrap();
    let mut follower = log.follow(&[topic], &Position::default()).unwrap();
    let mut found = Vec::new();
    let mut position = Position::default();
    while !position.has_reached(&end) {
        let batch = follower.next(most).await.unwrap();
        position = batch.through;
        found.extend(batch.entries.into_iter().map(|entry| entry.record));
    }
    found
}

#[tokio::test]
async fn a_damaged_row_is_refused_and_never_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(&folder);
    for n in 0..3 {
        log.append(vec![record(Topic::Impacts, "k", &n.to_string())])
            .await
            .unwrap();
    }
    let db = rusqlite::Connection::open(folder.path().join("log.db")).unwrap();
    db.execute(
        "UPDATE batches SET body = zeroblob(length(body)) WHERE base = 1",
        [],
    )
    .unwrap();
    // Another process has none of it in memory.
    let beside = EmbeddedLog::attach(folder.path(), Arc::new(SystemClock)).unwrap();
    let mut follower = beside
        .follow(&[Topic::Impacts], &Position::default())
        .unwrap();
    assert!(matches!(follower.next(9).await, Err(LogError::Corrupt(_))));
    db.execute("DELETE FROM batches WHERE base = 1", [])
        .unwrap();
    let opened = EmbeddedLog::attach(folder.path(), Arc::new(SystemClock));
    assert!(matches!(opened, Err(LogError::Corrupt(_))));
}

#[tokio::test]
async fn a_follower_misses_nothing_whoever_wrote_it_and_however_late_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(&folder);
    let beside = EmbeddedLog::attach(folder.path(), Arc::new(SystemClock)).unwrap();
    let topics = [Topic::Membership, Topic::Impacts];
    let mut prompt = serving.follow(&topics, &Position::default()).unwrap();
    let mut late = serving.follow(&topics, &Position::default()).unwrap();
    let (mut sent, mut seen) = (Vec::new(), Vec::new());
    for n in 0..60 {
        let records: Vec<_> = topics
            .iter()
            .map(|topic| record(*topic, "k", &n.to_string()))
            .chain([record(Topic::Lookups, "k", "not asked for")])
            .collect();
        // By turns of several, so that there are gaps between commits of this process.
        let log = if n % 7 < 3 { &beside } else { &serving };
        log.append(records.clone()).await.unwrap();
        sent.extend_from_slice(&records[..2]);
        if n % 5 == 0 {
            seen.extend(prompt.next(3).await.unwrap().entries);
        }
    }
    for (follower, seen) in [(&mut prompt, &mut seen), (&mut late, &mut Vec::new())] {
        while seen.len() < sent.len() {
            seen.extend(follower.next(7).await.unwrap().entries);
        }
        assert!(seen.is_sorted_by_key(|entry| entry.offset));
        let records: Vec<_> = seen.iter().map(|entry| entry.record.clone()).collect();
        assert_eq!(records, sent);
    }
}

#[tokio::test]
async fn compaction_keeps_the_newest_record_of_every_key_at_its_offset() {
    let folder = tempfile::tempdir().unwrap();
    let log = serve(&folder);
    for round in 0..3 {
        for part in 0..4 {
            let records = (0..1500)
                .map(|n| record(Topic::Inventory, &format!("{part}-{n}"), &round.to_string()))
                .collect();
            log.append(records).await.unwrap();
        }
    }
    let before = log.end().unwrap();
    let reader = super::open_reader(&log.file).unwrap();
    let jobs = log.jobs.clone();
    tokio::task::spawn_blocking(move || {
        super::compaction::compact(&reader, &jobs, Topic::Inventory)
    })
    .await
    .unwrap()
    .unwrap();
    let left = all(&log, Topic::Inventory, 1000).await;
    assert_eq!(left.len(), 6000);
    assert!(left.iter().all(|record| record.data.as_ref() == b"\"2\""));
    assert_eq!(log.end().unwrap(), before);
    EmbeddedLog::attach(folder.path(), Arc::new(SystemClock)).unwrap();
}

#[tokio::test]
async fn what_is_older_than_its_topic_keeps_goes_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at("2030-01-01T00:00:00Z".parse().unwrap());
    let log =
        EmbeddedLog::serve(folder.path(), Arc::new(clock.clone()), Retention::default()).unwrap();
    for topic in [Topic::Lookups, Topic::Lookups, Topic::Membership] {
        log.append(vec![record(topic, "k", "old")]).await.unwrap();
    }
    clock.set("2030-01-09T00:00:00Z".parse().unwrap());
    log.append(vec![record(Topic::Lookups, "k", "new")])
        .await
        .unwrap();
    drop(log);
    let log = loop {
        let retention = Retention::default();
        match EmbeddedLog::serve(folder.path(), Arc::new(clock.clone()), retention) {
            Ok(log) => break log,
            Err(_) => std::thread::yield_now(),
        }
    };
    // Cleaning starts with the service; wait for its effect.
    while all(&log, Topic::Lookups, 9).await.len() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        all(&log, Topic::Lookups, 9).await[0].data.as_ref(),
        b"\"new\""
    );
    assert_eq!(all(&log, Topic::Membership, 9).await.len(), 1);
}

#[rstest]
#[case::ahead_and_back(&["2030-03-01", "2030-01-01", "2030-01-09"], &["2030-01-09"])]
#[case::back_and_again(&["2030-01-05", "2029-12-01", "2030-01-09"], &["2030-01-05", "2029-12-01", "2030-01-09"])]
#[case::ahead_of_what_stays(&["2030-01-01", "2030-03-01", "2030-01-08", "2030-01-09"], &["2030-03-01", "2030-01-08", "2030-01-09"])]
#[tokio::test]
async fn however_the_clock_jumped_only_a_beginning_goes(
    #[case] written: &[&str],
    #[case] left: &[&str],
) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
    let log = EmbeddedLog::serve(folder.path(), clock.clone(), Retention::default()).unwrap();
    for day in written {
        clock.set(format!("{day}T00:00:00Z").parse().unwrap());
        let record = record(Topic::Lookups, "k", day);
        log.append(vec![record]).await.unwrap();
    }
    let jobs = log.jobs.clone();
    let retention = Retention::default();
    let maintenance = Maintenance::new(&log.file, jobs.downgrade(), clock, retention).unwrap();
    let week = std::time::Duration::from_secs(7 * 86_400);
    tokio::task::spawn_blocking(move || maintenance.expire(&jobs, Topic::Lookups, week))
        .await
        .unwrap()
        .unwrap();
    let found = all(&log, Topic::Lookups, 9).await;
    let found: Vec<String> = found.iter().map(|one| one.read().unwrap()).collect();
    assert_eq!(found, left);
    EmbeddedLog::attach(folder.path(), Arc::new(SystemClock)).unwrap();
}

/// What a copy of the log holds, or why it cannot be read.
async fn contents(folder: &std::path::Path) -> Result<Vec<Record>, LogError> {
    let log = EmbeddedLog::attach(folder, Arc::new(SystemClock))?;
    let end = log.end()?;
    let mut follower = log.follow(&[Topic::Impacts], &Position::default())?;
    let (mut found, mut position) = (Vec::new(), Position::default());
    while !position.has_reached(&end) {
        let batch = follower.next(100).await?;
        position = batch.through;
        found.extend(batch.entries.into_iter().map(|entry| entry.record));
    }
    Ok(found)
}

/// A log with eight commits that no checkpoint has touched, and what was written.
async fn unchecked(folder: &tempfile::TempDir) -> (Vec<Record>, Vec<u8>, Vec<u8>) {
    drop(serve(folder));
    let log = EmbeddedLog::attach(folder.path(), Arc::new(SystemClock)).unwrap();
    let sent: Vec<_> = (0..8)
        .map(|n| record(Topic::Impacts, "k", &n.to_string()))
        .collect();
    for one in &sent {
        log.append(vec![one.clone()]).await.unwrap();
    }
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    (sent, read("log.db"), read("log.db-wal"))
}

/// Now and then one.
const STRIDE: usize = 211;

/// Every byte when the long fault tests run, else some of them.
fn stride() -> usize {
    if std::env::var_os("OFFKEY_FAULT_ROUNDS").is_some() {
        1
    } else {
        STRIDE
    }
}

/// A frame of the write-ahead log: a head and a page.
const FRAME: usize = 24 + 4096;

/// Where a write-ahead log of `length` bytes is cut off or changed: everywhere in its last commits
/// when the long fault tests run, else around the edges of their frames; now and then before.
fn places(length: usize) -> std::collections::BTreeSet<usize> {
    let last = length.saturating_sub(15 * FRAME)..length;
    let is_at_an_edge = |at: &usize| {
        let within = at.saturating_sub(32) % FRAME;
        !(32..=FRAME - 8).contains(&within)
    };
    let dense = last.filter(|at| stride() == 1 || is_at_an_edge(at));
    dense.chain((0..length).step_by(STRIDE)).collect()
}

#[tokio::test]
async fn a_log_cut_off_at_any_byte_holds_a_beginning_of_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (sent, db, wal) = unchecked(&folder).await;
    let mut lengths = std::collections::BTreeSet::new();
    for cut in places(wal.len()) {
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join("log.db"), &db).unwrap();
        std::fs::write(copy.path().join("log.db-wal"), &wal[..cut]).unwrap();
        if let Ok(found) = contents(copy.path()).await {
            assert_eq!(found, sent[..found.len()], "cut at {cut}");
            lengths.insert(found.len());
        }
    }
    assert!(lengths.len() > 3, "{lengths:?}");
}

#[tokio::test]
async fn a_write_ahead_log_with_a_flipped_byte_holds_a_beginning_of_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (sent, db, wal) = unchecked(&folder).await;
    for at in places(wal.len()) {
        let copy = tempfile::tempdir().unwrap();
        let mut flipped = wal.clone();
        flipped[at] ^= 0x55;
        std::fs::write(copy.path().join("log.db"), &db).unwrap();
        std::fs::write(copy.path().join("log.db-wal"), &flipped).unwrap();
        if let Ok(found) = contents(copy.path()).await {
            assert_eq!(found, sent[..found.len()], "flipped at {at}");
        }
    }
}

#[tokio::test]
async fn a_log_with_a_flipped_byte_never_holds_a_record_that_was_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (sent, ..) = unchecked(&folder).await;
    let db = rusqlite::Connection::open(folder.path().join("log.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let bytes = std::fs::read(folder.path().join("log.db")).unwrap();
    let mut refused = 0;
    for at in (0..bytes.len()).step_by(stride()) {
        let copy = tempfile::tempdir().unwrap();
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x55;
        std::fs::write(copy.path().join("log.db"), &flipped).unwrap();
        match contents(copy.path()).await {
            Ok(found) => assert_eq!(found, sent, "flipped at {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0);
}
