//! Secrets that change while everybody sends.

use std::{
    fs,
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::harness::{Raise, Stage, rounds, until};

const SENDERS: usize = 4;

fn secret(round: usize) -> String {
    let bytes = format!("the secret of round number {round}");
    format!("whsec_{}", BASE64_STANDARD.encode(bytes))
}

#[test]
fn a_secret_is_exchanged_under_load_without_a_false_refusal_and_the_old_one_is_refused() {
    let stage = Stage::set_with("1h", |stage| {
        let file = stage.path("rotated");
        fs::write(&file, secret(0)).unwrap();
        format!(
            "[[source]]\nname = \"rotated\"\nkind = \"standard-webhooks\"\n\
             secrets = [{{ file = {file:?} }}]\n"
        )
    });
    let _service = stage.start();
    let write = |secrets: &[String]| {
        let next = stage.path("rotated.next");
        fs::write(&next, secrets.join("\n")).unwrap();
        fs::rename(next, stage.path("rotated")).unwrap();
    };
    let body = Stage::body("nobody@example.com", "removed");
    let send = |id: &str, secret: &str| {
        let headers = crate::harness::signed(id, &body, secret);
        let answer = crate::harness::request(stage.address, "POST /in/rotated", &headers, &body);
        answer.unwrap().status
    };
    let current = RwLock::new(secret(0));
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = || {
        while !stop.load(Ordering::Relaxed) {
            // Held while sending, so that nobody still sends with what was exchanged.
            let secret = current.read().unwrap();
            let number = sent.fetch_add(1, Ordering::Relaxed);
            assert_eq!(
                send(&format!("msg_{number}"), &secret),
                202,
                "a false refusal"
            );
        }
    };
    let rotations = rounds(3).min(50);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(load)).collect();
        let raised = Raise(&stop);
        for round in 0..rotations {
            let (old, new) = (secret(round), secret(round + 1));
            write(&[old.clone(), new.clone()]);
            until("the new secret", || {
                (send("new", &new) == 202).then_some(())
            });
            current.write().unwrap().clone_from(&new);
            write(&[new]);
            until("the old secret to be refused", || {
                (send("old", &old) == 401).then_some(())
            });
        }
        drop(raised);
        for sender in senders {
            if let Err(why) = sender.join() {
                std::panic::resume_unwind(why);
            }
        }
    });
    eprintln!("{rotations} rotations, {} requests", sent.into_inner());
}
