//! Receivers that misbehave, and those beside them that do not.

use std::collections::BTreeSet;

use crate::harness::{Mood, Receiver, Stage, until};

const LOOPBACK: &str = "allow_networks = [\"127.0.0.0/8\"]\ntimeout = \"1s\"";

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
fn a_private_address_that_is_not_allowed_is_never_connected_to() {
    let forbidden = Receiver::start(Mood::Well);
    let stage = Stage::set_with("1h", |stage| {
        forbidden.sink("forbidden", &stage.path("secret"), "")
    });
    let output = stage.offkey(&["serve"]);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(forbidden.connections(), 0);
}
