//! Clocks that stand, jump and lie: the service runs under libfaketime.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    sync::LazyLock,
};

use jiff::{SignedDuration, Timestamp};
use offkey::domain::ChangeId;

use crate::harness::{Mood, SECRET, Service, Stage, request, require, signed_at, until};

/// Where libfaketime lies. Asked once: each time its wrapper leaves shared memory behind, under a name
/// that a later process of the same number cannot have.
static LIBRARY: LazyLock<String> = LazyLock::new(|| {
    let said = Command::new("faketime")
        .args(["-f", "+0", "printenv", "LD_PRELOAD"])
        .output();
    text_of(&said.unwrap())
});

/// The file that says what time it is for the service.
pub(crate) struct FakeClock(PathBuf);

impl FakeClock {
    pub(crate) fn of(stage: &Stage) -> Self {
        require("faketime");
        Self(stage.path("clock"))
    }

    /// The clock stands at `time`.
    pub(crate) fn stand_at(&self, time: Timestamp) {
        self.write(&time.strftime("%Y-%m-%d %H:%M:%S").to_string());
    }

    /// The clock runs, so many seconds before (or after) the real one.
    fn run_at(&self, offset: i64) {
        self.write(&format!("{offset:+}"));
    }

    fn write(&self, text: &str) {
        // In one step: the service reads it at every look at the clock.
        let next = self.0.with_extension("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, &self.0).unwrap();
    }

    /// Starts the service on this clock. What measures how long something takes stays real.
    pub(crate) fn start(&self, stage: &Stage) -> Service {
        let mut wrapper = Command::new("env");
        wrapper
            .arg(format!("LD_PRELOAD={}", *LIBRARY))
            .arg(format!("FAKETIME_TIMESTAMP_FILE={}", self.0.display()))
            .args([
                "FAKETIME_NO_CACHE=1",
                "FAKETIME_DONT_FAKE_MONOTONIC=1",
                "DONT_FAKE_MONOTONIC=1",
                "NO_FAKE_STAT=1",
            ])
            .arg("TZ=UTC");
        let service = Service::spawn_within(stage, wrapper);
        stage.wait_until_ready();
        service
    }
}

fn text_of(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .trim()
        .to_owned()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Reports that Ada left, in a message published and signed at `time`; the status of the answer.
fn leave_at(stage: &Stage, id: &str, time: Timestamp) -> u16 {
    let data = serde_json::json!({"change": "removed", "person": {"email": "ada@example.com"}});
    let message =
        serde_json::json!({"type": "membership.changed", "timestamp": time, "data": data});
    let body = message.to_string().into_bytes();
    let headers = signed_at(time.as_second(), id, &body, SECRET);
    request(stage.address, "POST /in/hr", &headers, &body)
        .unwrap()
        .status
}

#[test]
fn a_signature_is_taken_up_to_the_edge_of_its_tolerance_and_no_second_longer() {
    let stage = Stage::set();
    let clock = FakeClock::of(&stage);
    let noon = at("2030-01-31T12:00:00Z");
    clock.stand_at(noon);
    let _service = clock.start(&stage);
    for (seconds, expected) in [
        (300, 202),
        (-300, 202),
        (301, 401),
        (-301, 401),
        (600, 401),
        (-600, 401),
    ] {
        let signed = noon + SignedDuration::from_secs(seconds);
        let id = format!("msg_{seconds}");
        assert_eq!(leave_at(&stage, &id, signed), expected, "{seconds} s");
    }
    for id in ["msg_300", "msg_-300"] {
        assert_eq!(stage.report(ChangeId::derive("hr", id)).impacts.len(), 3);
    }
}

#[test]
fn a_clock_that_jumps_back_an_hour_stops_no_delivery_and_changes_no_order() {
    let stage = Stage::set();
    let clock = FakeClock::of(&stage);
    clock.run_at(0);
    let _service = clock.start(&stage);
    let now = || Timestamp::now();
    stage.rotation.set(Mood::Answers(500));
    assert_eq!(leave_at(&stage, "before", now()), 202);
    until("an attempt", || {
        (stage.rotation.connections() > 0).then_some(())
    });

    clock.run_at(-3600);
    let behind = now() - SignedDuration::from_hours(1);
    until("the clock to have jumped", || {
        (leave_at(&stage, "behind", behind) == 202).then_some(())
    });
    assert_eq!(
        leave_at(&stage, "ahead", now()),
        401,
        "by its clock that is an hour from now"
    );
    stage.rotation.set(Mood::Well);
    let (before, behind) = (
        ChangeId::derive("hr", "before"),
        ChangeId::derive("hr", "behind"),
    );
    assert_eq!(stage.report(before).impacts.len(), 3);
    assert_eq!(stage.report(behind).impacts.len(), 3);
    // What waited for its next attempt when the clock jumped does not wait an hour longer.
    until("all deliveries", || {
        (stage.rotation.stored().len() == 6).then_some(())
    });
    assert!(stage.is_ready());
}

#[test]
fn the_service_works_beyond_what_32_bits_count_and_until_the_last_year() {
    for year in [
        "2038-01-19T03:14:06Z",
        "2106-02-07T06:28:17Z",
        "9999-12-01T00:00:00Z",
    ] {
        let stage = Stage::set();
        let clock = FakeClock::of(&stage);
        clock.stand_at(at(year));
        let service = clock.start(&stage);
        assert_eq!(leave_at(&stage, "then", at(year)), 202, "{year}");
        let change = ChangeId::derive("hr", "then");
        let report = stage.report(change);
        assert_eq!(report.impacts.len(), 3, "{year}");
        assert!(
            report
                .impacts
                .iter()
                .all(|impact| impact.act_by >= at(year))
        );
        until("the deliveries", || {
            (stage.rotation.stored().len() == 3).then_some(())
        });
        drop(service);
        // The same is said of it after a restart a second later, over the edge of 2038.
        clock.stand_at(at(year) + SignedDuration::from_secs(2));
        let _service = clock.start(&stage);
        assert_eq!(leave_at(&stage, "then", at(year)), 202, "{year}");
        assert_eq!(stage.report(change), report, "{year}");
    }
}

#[test]
fn a_change_that_is_sent_again_three_days_later_counts_once() {
    let stage = Stage::set();
    let clock = FakeClock::of(&stage);
    clock.run_at(0);
    let service = clock.start(&stage);
    let body = Stage::body("ada@example.com", "removed");
    let send = |late: i64| {
        let seconds = Timestamp::now().as_second() + late;
        let headers = signed_at(seconds, "msg_1", &body, SECRET);
        request(stage.address, "POST /in/hr", &headers, &body)
            .unwrap()
            .status
    };
    assert_eq!(send(0), 202);
    let change = ChangeId::derive("hr", "msg_1");
    let report = stage.report(change);
    drop(service);
    let three_days = 3 * 86_400;
    clock.run_at(three_days);
    let _service = clock.start(&stage);
    assert_eq!(send(three_days), 202);
    // Whatever came of the repeat is in the log before the report of what is sent behind it.
    let later = Timestamp::now() + SignedDuration::from_secs(three_days);
    assert_eq!(leave_at(&stage, "msg_2", later), 202);
    stage.report(ChangeId::derive("hr", "msg_2"));
    assert_eq!(
        stage.report(change).outcome.revision,
        report.outcome.revision
    );
    assert!(
        stage
            .records(&[offkey::domain::Topic::Quarantine])
            .is_empty()
    );
}
