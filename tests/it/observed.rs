//! What was predicted is held against what the provider shows afterwards.

use std::collections::BTreeSet;

use offkey::{
    domain::{ChangeId, Impact, ImpactId, Status, Topic},
    simulator::Faults,
};

use crate::{
    harness::{Receiver, Service, Stage, until},
    inventory::{ask, find},
};

const ADA: &str = "ada@example.com";

/// The newest revisions of a change's impacts in one project, once `fits` holds of all of them.
fn impacts_when(
    stage: &Stage,
    (change, project): (ChangeId, &str),
    what: &str,
    fits: impl Fn(&Impact) -> bool,
) -> Vec<Impact> {
    until(what, || {
        let report = stage.read(|reader| reader.report(&change.to_string()).unwrap())??;
        let here = report.impacts.into_iter();
        let here: Vec<Impact> = here.filter(|one| one.key.project == project).collect();
        (!here.is_empty() && here.iter().all(&fits)).then_some(here)
    })
}

fn has(status: Status) -> impl Fn(&Impact) -> bool {
    move |impact| impact.status == status
}

/// What the webhook was told of an impact, in the order of revisions.
fn told(receiver: &Receiver, impact: ImpactId) -> Vec<(u64, String)> {
    let stored = receiver.stored();
    let data = stored.iter().map(|webhook| webhook.body["data"].clone());
    let of_it = data.filter(|data| data["impact_id"] == impact.to_string());
    let mut all: Vec<_> = of_it
        .map(|data| {
            let status = data["status"].as_str().unwrap().to_owned();
            (data["revision"].as_u64().unwrap(), status)
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Waits until a complete look at the provider has begun after now.
fn wait_for_look(stage: &Stage) {
    let now = jiff::Timestamp::now();
    until("a complete look", || {
        let last = stage.read(|reader| reader.snapshot("deepgram").unwrap())??;
        (last.last_complete > Some(now)).then_some(())
    });
}

/// When the newest look ended, if it had gaps.
fn look_with_gaps(stage: &Stage) -> Option<jiff::Timestamp> {
    let last = stage.read(|reader| reader.snapshot("deepgram").unwrap())??;
    (!last.gaps.is_empty()).then_some(last.finished_at)
}

/// From now on the provider refuses the lists at `path`; when a look first ended with gaps.
fn make_partial(stage: &Stage, path: &str) -> jiff::Timestamp {
    let gaps = Faults {
        status: Some(403),
        only: Some(path.to_owned()),
        ..Faults::default()
    };
    stage.simulator.faults().set(gaps).unwrap();
    until("a look with gaps", || look_with_gaps(stage))
}

fn remove_member(stage: &Stage, project: &str, member: &str) {
    let line = format!("DELETE /v1/projects/{project}/members/{member}");
    ask(stage, &line, "");
}

/// A service that looks often.
fn watching() -> (Stage, Service) {
    let stage = Stage::set_with("100ms", |_| String::new());
    let service = stage.start();
    (stage, service)
}

#[test]
fn a_key_that_dies_with_its_member_is_confirmed_and_closed() {
    let (stage, _service) = watching();
    let (project, member) = find(&stage, "production", ADA);
    let change = stage.leave("msg_1", ADA);
    let here = (change, project.as_str());
    let before = impacts_when(&stage, here, "the report", has(Status::Open));
    wait_for_look(&stage);
    wait_for_look(&stage);
    impacts_when(&stage, here, "nothing to be concluded", has(Status::Open));

    remove_member(&stage, &project, &member);
    let after = impacts_when(&stage, here, "the confirmation", has(Status::Confirmed));
    let ids = |impacts: &[Impact]| -> BTreeSet<ImpactId> {
        impacts.iter().map(|impact| impact.impact_id).collect()
    };
    assert_eq!(ids(&before), ids(&after));
    for impact in &after {
        let observed = impact.observed.as_ref().unwrap();
        assert!(observed.gone_at >= observed.expected_by, "{observed:?}");
        assert!(observed.tests_rule);
        // Every revision is an event of its own.
        until("the webhook to be told", || {
            let told = told(&stage.rotation, impact.impact_id);
            let first = (1, "open".to_owned());
            let last = (u64::from(impact.revision), "confirmed".to_owned());
            (told.first() == Some(&first) && told.last() == Some(&last)).then_some(())
        });
    }
    let shown = stage.offkey(&["catalogue", "show", "deepgram.member-removed"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("2 times as predicted"), "{text}");
}

#[test]
fn a_key_that_outlives_its_member_is_told_as_alive_until_it_is_gone() {
    let (stage, _service) = watching();
    let (project, member) = find(&stage, "production", ADA);
    stage
        .simulator
        .faults()
        .set(Faults {
            keep_keys: true,
            ..Faults::default()
        })
        .unwrap();
    let change = stage.leave("msg_1", ADA);
    let here = (change, project.as_str());
    impacts_when(&stage, here, "the report", has(Status::Open));
    remove_member(&stage, &project, &member);

    let alive = impacts_when(&stage, here, "the exposure", has(Status::StillAlive));
    for impact in &alive {
        assert!(impact.severity.reasons[0].contains("still lists it"));
        until("the webhook to be told", || {
            let told = told(&stage.rotation, impact.impact_id);
            let alive = (u64::from(impact.revision), "still_alive".to_owned());
            told.contains(&alive).then_some(())
        });
    }
    wait_for_look(&stage);
    wait_for_look(&stage);
    let same = impacts_when(&stage, here, "the same", has(Status::StillAlive));
    let revisions =
        |impacts: &[Impact]| -> Vec<u32> { impacts.iter().map(|impact| impact.revision).collect() };
    assert_eq!(revisions(&same), revisions(&alive), "nothing is said twice");

    for impact in &alive {
        let line = format!("DELETE /v1/projects/{project}/keys/{}", impact.key.id);
        ask(&stage, &line, "");
    }
    impacts_when(&stage, here, "the end of it", has(Status::Confirmed));
}

#[test]
fn a_key_that_was_to_live_and_is_gone_is_an_outage() {
    let (stage, _service) = watching();
    let (project, _) = find(&stage, "production", ADA);
    // No complete look may come between the suspension and the end of the key.
    let faults = stage.simulator.faults();
    make_partial(&stage, "/members");
    let body = Stage::body(ADA, "suspended");
    assert_eq!(stage.deliver("msg_1", &body).status, 202);
    let change = ChangeId::derive("hr", "msg_1");
    let here = (change, project.as_str());
    let open = impacts_when(&stage, here, "the report", has(Status::Open));
    assert!(open.len() > 1);
    let gone = open.first().unwrap();
    let line = format!("DELETE /v1/projects/{project}/keys/{}", gone.key.id);
    ask(&stage, &line, "");
    faults.set(Faults::default()).unwrap();

    let seen = impacts_when(&stage, here, "both to be seen", |impact| {
        impact.status != Status::Open
    });
    for impact in seen {
        let expected = if impact.impact_id == gone.impact_id {
            Status::DiedUnexpectedly
        } else {
            Status::Confirmed
        };
        assert_eq!(impact.status, expected, "{}", impact.key.label);
    }
}

#[test]
fn a_part_of_the_list_concludes_nothing() {
    let (stage, _service) = watching();
    let (project, member) = find(&stage, "production", ADA);
    let faults = stage.simulator.faults();
    let change = stage.leave("msg_1", ADA);
    let here = (change, project.as_str());
    impacts_when(&stage, here, "the report", has(Status::Open));
    let first = make_partial(&stage, "/keys");
    remove_member(&stage, &project, &member);
    until("another look with gaps", || {
        look_with_gaps(&stage).filter(|at| *at > first)
    });
    impacts_when(&stage, here, "nothing to be concluded", has(Status::Open));

    faults.set(Faults::default()).unwrap();
    impacts_when(&stage, here, "the confirmation", has(Status::Confirmed));
    let impacts = stage.records(&[Topic::Impacts]);
    let of_it = impacts.iter().filter(|one| one.correlation == Some(change));
    let alive = of_it.filter(|one| one.read::<Impact>().unwrap().status == Status::StillAlive);
    assert_eq!(alive.count(), 0);
}
