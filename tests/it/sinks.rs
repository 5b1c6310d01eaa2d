//! Receivers that misbehave, and those beside them that do not.

use std::{collections::BTreeSet, net::TcpListener};

use offkey::domain::{
    Topic,
    delivery::{DeliveryRecord, DeliveryStatus},
};

use crate::harness::{Mood, Receiver, Stage, until};

const LOOPBACK: &str = "allow_networks = [\"127.0.0.0/8\"]\ntimeout = \"1s\"";

fn sink_at(name: &str, url: &str, stage: &Stage, more: &str) -> String {
    let secret = stage.path("secret");
    format!(
        "[[sink]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}\"\n\
         secrets = [{{ file = {secret:?} }}]\n{more}\n"
    )
}

fn ids(receiver: &Receiver) -> BTreeSet<String> {
    let stored = receiver.stored();
    stored.into_iter().map(|webhook| webhook.id).collect()
}

#[test]
fn one_sink_that_hangs_and_one_that_fails_delay_nobody_and_get_everything_later() {
    let hanging = Receiver::start(Mood::Hangs);
    let failing = Receiver::start(Mood::Answers(500));
    let stage = Stage::set_with("1h", |stage| {
        let secret = stage.path("secret");
        hanging.sink("hanging", &secret, LOOPBACK) + &failing.sink("failing", &secret, LOOPBACK)
    });
    let _service = stage.start();
    stage.leave("msg_1", "ada@example.com");
    let has_all = |receiver: &Receiver| (ids(receiver).len() == 3).then_some(());
    until("the healthy sink", || has_all(&stage.rotation));
    until("an attempt", || (failing.connections() > 0).then_some(()));
    assert_eq!((hanging.stored().len(), failing.stored().len()), (0, 0));
    hanging.set(Mood::Well);
    failing.set(Mood::Well);
    until("the sink that hung", || has_all(&hanging));
    until("the sink that failed", || has_all(&failing));
    assert_eq!(ids(&hanging), ids(&stage.rotation));
    assert_eq!(ids(&failing), ids(&stage.rotation));
}

#[test]
fn a_receiver_that_stores_and_does_not_answer_sees_the_same_id_again() {
    let stage = Stage::set();
    let _service = stage.start();
    stage.rotation.set(Mood::StoresAndCloses);
    stage.leave("msg_1", "ada@example.com");
    until("an attempt", || {
        (!stage.rotation.stored().is_empty()).then_some(())
    });
    let first = stage.rotation.stored().remove(0).id;
    stage.rotation.set(Mood::Well);
    until("the same id again", || {
        let stored = stage.rotation.stored();
        (stored.iter().filter(|webhook| webhook.id == first).count() > 1).then_some(())
    });
    until("all three", || {
        (ids(&stage.rotation).len() == 3).then_some(())
    });
}

#[test]
fn of_twenty_receivers_three_that_misbehave_cost_the_others_nothing() {
    let well: Vec<_> = (0..16).map(|_| Receiver::start(Mood::Well)).collect();
    let hanging = Receiver::start(Mood::Hangs);
    let failing = Receiver::start(Mood::Answers(500));
    let refusing = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let stage = Stage::set_with("1h", |stage| {
        let secret = stage.path("secret");
        let mut all = String::new();
        for (n, receiver) in well.iter().enumerate() {
            all += &receiver.sink(&format!("well-{n}"), &secret, LOOPBACK);
        }
        all += &hanging.sink("hanging", &secret, LOOPBACK);
        all += &failing.sink("failing", &secret, LOOPBACK);
        all + &sink_at("refusing", &format!("http://{refusing}/"), stage, LOOPBACK)
    });
    let service = stage.start();
    let leavers = 60;
    for n in 0..leavers {
        stage.leave(&format!("msg_{n}"), "ada@example.com");
    }
    let healthy = || well.iter().chain([&*stage.rotation]);
    until("everything at every healthy receiver", || {
        healthy()
            .all(|one| ids(one).len() == 3 * leavers)
            .then_some(())
    });
    let before = service.memory("VmRSS");
    assert_eq!((hanging.stored().len(), failing.stored().len()), (0, 0));
    // Where brokers stood still, what was under way comes again under the same id.
    let messages = service.messages();
    let mut disturbed = ["session timed out", "the sink waits for the log"].iter();
    let is_disturbed = disturbed.any(|it| messages.contains(it));
    for receiver in healthy() {
        let stored = receiver.stored();
        assert!(
            is_disturbed || stored.len() == 3 * leavers,
            "nothing is sent twice to who accepts"
        );
        assert_eq!(ids(receiver), ids(&stage.rotation));
    }
    hanging.set(Mood::Well);
    failing.set(Mood::Well);
    for receiver in [&hanging, &failing] {
        until("what waited", || {
            (ids(receiver).len() == 3 * leavers).then_some(())
        });
        assert_eq!(ids(receiver), ids(&stage.rotation));
    }
    let grown = service.memory("VmRSS").saturating_sub(before);
    assert!(grown < 16 << 20, "grown by {grown} bytes");
}

#[test]
fn a_parked_sink_tries_as_often_as_it_is_told_and_goes_on_when_it_is_mended() {
    let locked = Receiver::start(Mood::Answers(401));
    let stage = Stage::set_with("1h", |stage| {
        let more = format!("{LOOPBACK}\nprobe_every = \"1s\"");
        locked.sink("locked", &stage.path("secret"), &more)
    });
    let _service = stage.start();
    stage.leave("msg_1", "ada@example.com");
    let said = |status| {
        let records = stage.records(&[Topic::Deliveries]);
        let mut all = records
            .iter()
            .filter_map(|it| it.read::<DeliveryRecord>().ok());
        all.any(|one| one.sink == "locked" && one.status == status)
            .then_some(())
    };
    until("the sink to be parked", || said(DeliveryStatus::Parked));
    until("a second try", || (locked.connections() > 1).then_some(()));
    locked.set(Mood::Well);
    until("everything", || (ids(&locked).len() == 3).then_some(()));
    until("the sink to be resumed", || said(DeliveryStatus::Resumed));
}

#[test]
fn a_receiver_that_sends_elsewhere_is_not_followed() {
    let elsewhere = Receiver::start(Mood::Well);
    let stage = Stage::set();
    let _service = stage.start();
    stage.rotation.set(Mood::Redirects(elsewhere.address()));
    stage.leave("msg_1", "ada@example.com");
    until("an attempt", || {
        (stage.rotation.connections() > 0).then_some(())
    });
    until("the sink to be parked, or the letter dead", || {
        let records = stage.records(&[Topic::Deliveries]);
        let mut said = records
            .iter()
            .filter(|record| record.source.ends_with("/rotation"));
        said.next().map(drop)
    });
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_name_of_a_private_address_is_never_connected_to() {
    let forbidden = Receiver::start(Mood::Well);
    let port = forbidden.address().port();
    let stage = Stage::set_with("1h", |stage| {
        // The name is looked up when it is connected to, so the configuration looks innocent.
        let allowed = "allow_networks = [\"203.0.113.0/24\"]";
        sink_at("by-name", &format!("https://localhost:{port}/"), stage, "")
            + &sink_at(
                "by-plain-name",
                &format!("http://localhost:{port}/"),
                stage,
                allowed,
            )
    });
    let _service = stage.start();
    stage.leave("msg_1", "ada@example.com");
    until("both sinks to be parked", || {
        let records = stage.records(&[Topic::Deliveries]);
        let parked = records
            .iter()
            .filter_map(|record| record.read::<DeliveryRecord>().ok());
        let parked: BTreeSet<_> = parked
            .filter(|one| one.status == DeliveryStatus::Parked)
            .map(|one| one.sink)
            .collect();
        (parked.len() == 2).then_some(())
    });
    assert_eq!(forbidden.connections(), 0);
}

#[test]
fn no_spelling_of_a_private_address_is_served() {
    let forbidden = Receiver::start(Mood::Well);
    let port = forbidden.address().port();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
        "[::ffff:10.0.0.1]",
    ];
    let stage = Stage::set();
    let whole = std::fs::read_to_string(stage.config()).unwrap();
    for host in hosts {
        let sink = sink_at("forbidden", &format!("https://{host}:{port}/"), &stage, "");
        std::fs::write(stage.config(), format!("{whole}{sink}")).unwrap();
        let output = stage.offkey(&["serve"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{host}");
        assert!(text.contains("forbidden"), "{host}: {text}");
    }
    assert_eq!(forbidden.connections(), 0);
}

#[test]
fn a_private_address_that_is_not_allowed_is_never_connected_to() {
    let forbidden = Receiver::start(Mood::Well);
    let stage = Stage::set_with("1h", |stage| {
        forbidden.sink("forbidden", &stage.path("secret"), "")
    });
    let output = stage.offkey(&["serve"]);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(forbidden.connections(), 0);
}
