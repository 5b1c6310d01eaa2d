mod memory_log;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use rstest::rstest;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::memory_log::MemoryLog;
use super::{SinkWorker, WorkerOptions};
use crate::{
    clock::ManualClock,
    domain::{
        Record, Topic,
        delivery::{DeadLetter, DeliveryRecord, DeliveryStatus, Original, Redrive},
    },
    log::{Log as _, LogError},
    sinks::{Delivery, Sink, retry::Schedule},
};

/// Answers as told, per event, and remembers who asked when. Unknown events are taken at once.
struct FakeSink {
    name: &'static str,
    answers: Mutex<HashMap<String, Vec<Delivery>>>,
    asked: Mutex<Vec<(String, Duration)>>,
    start: Instant,
    takes: Duration,
    batch: usize,
}

#[async_trait]
impl Sink for FakeSink {
    fn name(&self) -> &str {
        self.name
    }

    async fn deliver(&self, impact: &Record) -> Delivery {
        let answer = self.ask(&impact.id);
        tokio::time::sleep(self.takes).await;
        answer
    }

    fn batch(&self) -> usize {
        self.batch
    }
}

impl FakeSink {
    fn new(name: &'static str, takes: Duration) -> Arc<Self> {
        Self::of_batches(name, takes, 1)
    }

    fn of_batches(name: &'static str, takes: Duration, batch: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            answers: Mutex::default(),
            asked: Mutex::default(),
            start: Instant::now(),
            takes,
            batch,
        })
    }

    fn ask(&self, id: &str) -> Delivery {
        let at = self.start.elapsed();
        self.asked.lock().unwrap().push((id.to_owned(), at));
        let mut answers = self.answers.lock().unwrap();
        match answers.get_mut(id) {
            Some(left) if left.len() > 1 => left.remove(0),
            Some(left) => left[0].clone(),
            None => Delivery::Done,
        }
    }

    /// The last answer is given again and again.
    fn answer(&self, id: &str, answers: &[Delivery]) {
        self.answers
            .lock()
            .unwrap()
            .insert(id.to_owned(), answers.to_vec());
    }

    fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn asked_at(&self, id: &str) -> Vec<Duration> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|one| one.0 == id)
            .map(|one| one.1)
            .collect()
    }
}

fn retry() -> Delivery {
    Delivery::Retry {
        why: "busy".to_owned(),
        after: None,
    }
}

fn park() -> Delivery {
    Delivery::Park {
        why: "401".to_owned(),
    }
}

fn impact(id: &str, subject: &str) -> Record {
    let mut record = Record::json(Topic::Impacts, "part".to_owned(), &())
        .id(id.to_owned())
        .kind("offkey.impact.v1")
        .source("/correlation".to_owned())
        .subject(subject.to_owned())
        .time(Timestamp::from_second(5).unwrap());
    record.data = br#"{"revision":3, "x":1.0}"#.to_vec().into();
    record
}

struct Run {
    stop: CancellationToken,
    task: JoinHandle<Result<(), LogError>>,
}

impl Run {
    fn start(sink: &Arc<FakeSink>, log: &Arc<MemoryLog>) -> Self {
        let options = WorkerOptions {
            window: 4,
            concurrency: 2,
            schedule: Schedule {
                retry_for: Duration::from_mins(10),
                ..Schedule::default()
            },
            probe_every: Duration::from_mins(5),
        };
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(100).unwrap()));
        let worker = SinkWorker::new(Arc::clone(sink) as _, Arc::clone(log) as _, clock, options);
        let stop = CancellationToken::new();
        let task = TaskTracker::new().spawn(worker.run(stop.clone()));
        Self { stop, task }
    }

    async fn stop(self) -> Result<(), LogError> {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

/// Lets paused time pass.
async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn append(log: &MemoryLog, ids: &[&str]) {
    let records = ids.iter().map(|id| impact(id, &format!("impact-{id}")));
    log.append(records.collect()).await.unwrap();
}

fn statuses(log: &MemoryLog) -> Vec<(String, DeliveryStatus)> {
    let records = log.in_topic(Topic::Deliveries);
    let read = records
        .iter()
        .map(|record| record.read::<DeliveryRecord>().unwrap());
    read.map(|one| (one.event_id, one.status)).collect()
}

fn status(id: &str, status: DeliveryStatus) -> (String, DeliveryStatus) {
    (id.to_owned(), status)
}

#[tokio::test(start_paused = true)]
async fn every_impact_is_delivered_once_and_a_restart_delivers_none_again() {
    let log = MemoryLog::new();
    let sink = FakeSink::new("siem", Duration::from_secs(1));
    append(&log, &["a", "b", "c", "d", "e", "f"]).await;
    let run = Run::start(&sink, &log);
    pass(60).await;
    run.stop().await.unwrap();
    let run = Run::start(&sink, &log);
    pass(60).await;
    run.stop().await.unwrap();
    assert_eq!(sink.asked(), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(statuses(&log).len(), 6);
    let first: DeliveryRecord = log.in_topic(Topic::Deliveries)[0].read().unwrap();
    assert_eq!(first.impact_id.as_deref(), Some("impact-a"));
    assert_eq!((first.revision, first.attempts), (Some(3), 1));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_retried_lets_the_others_of_the_window_pass() {
    let log = MemoryLog::new();
    let sink = FakeSink::new("siem", Duration::ZERO);
    sink.answer("a", &[retry(), retry(), Delivery::Done]);
    append(&log, &["a", "b", "c", "d", "e"]).await;
    let run = Run::start(&sink, &log);
    pass(1).await;
    // The window holds four, and the first of them is not finished.
    assert_eq!(sink.asked(), ["a", "b", "c", "d"]);
    assert_eq!(statuses(&log), []);
    pass(60).await;
    run.stop().await.unwrap();
    assert_eq!(sink.asked_at("a").len(), 3);
    let order: Vec<_> = statuses(&log).into_iter().map(|(id, _)| id).collect();
    assert_eq!(order, ["a", "b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_brought_in_one_attempt_is_done_or_tried_again_together() {
    let log = MemoryLog::new();
    let sink = FakeSink::of_batches("archive", Duration::from_secs(1), 2);
    sink.answer("b", &[retry(), Delivery::Done]);
    append(&log, &["a", "b", "c", "d", "e"]).await;
    let run = Run::start(&sink, &log);
    pass(200).await;
    run.stop().await.unwrap();
    let times: Vec<usize> = ["a", "b", "c", "d", "e"]
        .iter()
        .map(|id| sink.asked_at(id).len())
        .collect();
    assert_eq!(times, [2, 2, 1, 1, 1]);
    // b, which takes a second, comes right behind a again.
    assert_eq!(
        sink.asked_at("b")[1],
        sink.asked_at("a")[1] + Duration::from_secs(1)
    );
    let delivered = |id| status(id, DeliveryStatus::Delivered);
    assert_eq!(statuses(&log), ["a", "b", "c", "d", "e"].map(delivered));
}

#[tokio::test(start_paused = true)]
async fn the_receivers_wish_to_wait_is_obeyed() {
    let log = MemoryLog::new();
    let sink = FakeSink::new("siem", Duration::ZERO);
    let wish = Delivery::Retry {
        why: "429".to_owned(),
        after: Some(Duration::from_secs(300)),
    };
    sink.answer("a", &[wish, Delivery::Done]);
    append(&log, &["a"]).await;
    let run = Run::start(&sink, &log);
    pass(299).await;
    assert_eq!(sink.asked_at("a").len(), 1);
    pass(2).await;
    assert_eq!(sink.asked_at("a").len(), 2);
    run.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_later_revision_waits_for_the_earlier() {
    let log = MemoryLog::new();
    let sink = FakeSink::new("siem", Duration::ZERO);
    sink.answer("first", &[retry(), Delivery::Done]);
    let revisions = vec![impact("first", "one"), impact("second", "one")];
    log.append(revisions).await.unwrap();
    let run = Run::start(&sink, &log);
    pass(60).await;
    run.stop().await.unwrap();
    assert_eq!(sink.asked(), ["first", "first", "second"]);
}

#[rstest]
#[case::refused(Delivery::Refused { why: "422".to_owned() }, false)]
#[case::given_up(retry(), true)]
#[tokio::test(start_paused = true)]
async fn what_is_refused_or_given_up_is_a_dead_letter_with_the_bytes_intact(
    #[case] answer: Delivery,
    #[case] is_repeated: bool,
) {
    let log = MemoryLog::new();
    let sink = FakeSink::new("siem", Duration::ZERO);
    sink.answer("a", &[answer]);
    append(&log, &["a", "b"]).await;
    let run = Run::start(&sink, &log);
    pass(3_600).await;
    run.stop().await.unwrap();
    let letter: DeadLetter = log.in_topic(Topic::DeadLetters)[0].read().unwrap();
    assert_eq!(letter.attempts > 1, is_repeated);
    assert_eq!(
        letter.original.into_record().unwrap(),
        impact("a", "impact-a")
    );
    let expected = [
        status("a", DeliveryStatus::DeadLettered),
        status("b", DeliveryStatus::Delivered),
    ];
    assert_eq!(statuses(&log), expected);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_delivers_the_original_again_to_its_sink_only() {
    let log = MemoryLog::new();
    let (siem, chat) = (
        FakeSink::new("siem", Duration::ZERO),
        FakeSink::new("chat", Duration::ZERO),
    );
    let wish = Redrive {
        sink: "siem".to_owned(),
        requested_by: "ann@example.com".to_owned(),
        requested_at: Timestamp::from_second(50).unwrap(),
        original: Original::of(&impact("a", "impact-a")),
    };
    log.append(vec![wish.to_record()]).await.unwrap();
    let runs = [Run::start(&siem, &log), Run::start(&chat, &log)];
    pass(60).await;
    for run in runs {
        run.stop().await.unwrap();
    }
    assert_eq!(siem.asked(), ["a"]);
    assert!(chat.asked().is_empty());
    let delivery: DeliveryRecord = log.in_topic(Topic::Deliveries)[0].read().unwrap();
    assert_eq!(delivery.redrive_id, Some(wish.to_record().id));
}

#[tokio::test(start_paused = true)]
async fn a_parked_sink_says_so_once_probes_and_goes_on_where_it_stood() {
    let log = MemoryLog::new();
    let sink = FakeSink::new("siem", Duration::ZERO);
    sink.answer("a", &[park(), park(), park(), Delivery::Done]);
    sink.answer("b", &[park(), Delivery::Done]);
    append(&log, &["a", "b", "c", "d", "e", "f"]).await;
    let run = Run::start(&sink, &log);
    pass(299).await;
    assert_eq!(sink.asked(), ["a", "b"]);
    assert_eq!(statuses(&log), [status("a", DeliveryStatus::Parked)]);
    pass(302).await;
    assert_eq!(sink.asked_at("a").len(), 3);
    pass(300).await;
    run.stop().await.unwrap();
    let all = statuses(&log);
    let of = |wanted| all.iter().filter(|one| one.1 == wanted).count();
    assert_eq!(of(DeliveryStatus::Parked), 1);
    assert_eq!(of(DeliveryStatus::Resumed), 1);
    assert_eq!(of(DeliveryStatus::Delivered), 6);
    assert!(log.in_topic(Topic::DeadLetters).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_older_success_does_not_resume_a_parked_sink() {
    let log = MemoryLog::new();
    let sink = FakeSink::new("siem", Duration::from_secs(1));
    sink.answer("a", &[park()]);
    append(&log, &["a", "b", "c"]).await;
    let run = Run::start(&sink, &log);
    pass(200).await;
    run.stop().await.unwrap();
    assert_eq!(sink.asked(), ["a", "b"]);
    assert_eq!(statuses(&log), [status("a", DeliveryStatus::Parked)]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_holds_up_no_other() {
    let log = MemoryLog::new();
    let hanging = FakeSink::new("slow", Duration::from_hours(100));
    let prompt = FakeSink::new("siem", Duration::ZERO);
    append(&log, &["a", "b", "c", "d", "e", "f"]).await;
    let runs = [Run::start(&hanging, &log), Run::start(&prompt, &log)];
    pass(1).await;
    assert_eq!(prompt.asked().len(), 6);
    assert_eq!(hanging.asked().len(), 2);
    let stopped = Instant::now();
    for run in runs {
        run.stop().await.unwrap();
    }
    assert_eq!(stopped.elapsed().as_secs(), 3, "attempts are given 3 s");
    assert_eq!(statuses(&log).len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_commits_what_finishes_in_time() {
    let log = MemoryLog::new();
    let sink = FakeSink::new("siem", Duration::from_secs(3));
    append(&log, &["a"]).await;
    let run = Run::start(&sink, &log);
    pass(1).await;
    run.stop().await.unwrap();
    assert_eq!(statuses(&log), [status("a", DeliveryStatus::Delivered)]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_away_for_a_while_costs_no_second_delivery() {
    let log = MemoryLog::new();
    let sink = FakeSink::new("siem", Duration::ZERO);
    append(&log, &["a", "b"]).await;
    log.fail_commits(&[
        LogError::Unavailable("full".to_owned()),
        LogError::Unavailable("full".to_owned()),
    ]);
    let run = Run::start(&sink, &log);
    pass(60).await;
    run.stop().await.unwrap();
    assert_eq!(sink.asked(), ["a", "b"]);
    assert_eq!(statuses(&log).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_failed_ends_the_worker() {
    let log = MemoryLog::new();
    let sink = FakeSink::new("siem", Duration::ZERO);
    append(&log, &["a"]).await;
    log.fail_commits(&[LogError::Failed("sync".to_owned())]);
    let run = Run::start(&sink, &log);
    let end = run.task.await.unwrap();
    assert!(matches!(end, Err(LogError::Failed(_))), "{end:?}");
}
