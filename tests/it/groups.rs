//! Groups that give roles, in a running service.

use std::process::Output;

use jiff::{SignedDuration, Timestamp};
use offkey::{
    clock::{Clock as _, SystemClock},
    domain::{ChangeId, Fate, Impact, Report, Status},
};
use serde_json::json;

use crate::harness::{Stage, until};

const ADA: &str = "ada@example.com";

fn stage() -> Stage {
    let group = |name: &str, role: &str| {
        format!("[[group]]\nsource = \"hr\"\ngroup = \"{name}\"\nprovider = \"deepgram\"\n{role}\n")
    };
    let owner = "role = \"owner\"";
    let groups = [("leads", owner), ("heads", owner), ("guests", "")];
    Stage::set_with("1h", |_| {
        groups.map(|(name, role)| group(name, role)).concat()
    })
}

/// HR tells what happened to Ada in a group, and when.
fn tell(stage: &Stage, change: &str, group: &str, at: Timestamp) -> ChangeId {
    let id = format!("{change}-{group}");
    let message = json!({
        "type": "membership.changed",
        "timestamp": SystemClock.now(),
        "data": {
            "change": change,
            "person": {"email": ADA},
            "scope": {"kind": "group", "group": group},
            "effective_at": at,
        },
    });
    let answer = stage.deliver(&id, message.to_string().as_bytes());
    assert_eq!(answer.status, 202, "{answer:?}");
    ChangeId::derive("hr", &id)
}

fn of_fate(report: &Report, fate: Fate) -> Vec<&Impact> {
    let stands = report
        .impacts
        .iter()
        .filter(|impact| impact.status != Status::Withdrawn && impact.fate == fate);
    stands.collect()
}

fn asked(stage: &Stage, command: &str) -> Output {
    stage.offkey(&[command, "--person", ADA, "--scope", "group:leads"])
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_report_is_made_again_when_another_group_is_heard_of_late_and_previews_know_it_too() {
    let stage = stage();
    let _service = stage.start();
    assert_eq!(asked(&stage, "preview").status.code(), Some(3));
    assert_eq!(asked(&stage, "gate").status.code(), Some(3));
    let now = SystemClock.now();
    let left = tell(&stage, "removed", "leads", now);
    let first = stage.report(left);
    assert!(!of_fate(&first, Fate::Dies).is_empty(), "{first:?}");
    assert_eq!(of_fate(&first, Fate::Dies).len(), first.impacts.len());

    let hour = SignedDuration::from_hours(1);
    let revised = |revision: u32| {
        until("the revision", || {
            let report = stage.report(left);
            (report.outcome.revision == revision).then_some(report)
        })
    };
    tell(&stage, "joined", "guests", now - hour);
    let unknown = revised(2);
    let open = of_fate(&unknown, Fate::Unknown);
    assert_eq!(open.len(), first.impacts.len(), "{unknown:?}");
    let explained = text(&stage.offkey(&["explain", &open[0].impact_id.to_string()]));
    let why = "hr has the person in the group guests";
    assert!(explained.contains(why), "{explained}");

    let came = tell(&stage, "joined", "heads", now - hour);
    let nothing = revised(3);
    let mut impacts = nothing.impacts.iter();
    assert!(impacts.all(|impact| impact.status == Status::Withdrawn));
    let said = &nothing.outcome.reason;
    let why = "hr has the person in the group heads, which gives owner in the project";
    assert!(said.contains(why), "{said}");
    assert!(stage.report(came).impacts.is_empty());
    assert_eq!(asked(&stage, "gate").status.code(), Some(0));
    let previewed = asked(&stage, "preview");
    assert_eq!(previewed.status.code(), Some(0), "{previewed:?}");
    assert!(!text(&previewed).contains("dies"), "{previewed:?}");
    let replayed = stage.offkey(&["replay", "--from", "2020-01-01"]);
    assert!(text(&replayed).contains("0 would be"), "{replayed:?}");
}

#[test]
fn a_role_that_the_provider_does_not_have_is_refused_with_those_that_it_has() {
    let stage = Stage::set_with("1h", |_| {
        "[[group]]\nsource = \"hr\"\ngroup = \"leads\"\nprovider = \"deepgram\"\nrole = \"boss\"\n"
            .to_owned()
    });
    for command in ["check-config", "serve"] {
        let refused = stage.offkey(&[command]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("owner, admin, member"), "{said}");
    }
}
