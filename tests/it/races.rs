//! Keys that come and go around the moment at which their owner leaves.

use std::{collections::BTreeSet, thread};

use jiff::{SignedDuration, Timestamp};
use offkey::{
    clock::{Clock as _, SystemClock},
    domain::{Account, ChangeId, Email, Key, KeyInterval, Record, impact::Status},
};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::harness::{Stage, seed, until};

const PEOPLE: usize = 25;

fn address(person: usize) -> String {
    format!("racer-{person}@example.com")
}

/// A key of `person`, held from and until so many seconds after they left.
fn key(
    (person, left): (usize, Timestamp),
    label: &str,
    from: Option<i64>,
    to: Option<i64>,
) -> Record {
    let at = |seconds: Option<i64>| seconds.map(|s| left + SignedDuration::from_secs(s));
    let key = Key {
        provider: "deepgram".to_owned(),
        project: "races".to_owned(),
        id: format!("{label}-{person}"),
        label: label.to_owned(),
        class: "project-key".to_owned(),
        created_at: None,
        expires_at: None,
        tags: Vec::new(),
        history: vec![KeyInterval {
            valid_from: at(from),
            valid_to: at(to),
            last_seen: at(to),
            observed_at: left,
            creator: Account {
                id: format!("racer-{person}"),
                email: Some(Email::parse(&address(person)).unwrap()),
                name: None,
            },
            scopes: vec!["member".to_owned()],
        }],
        uses: Vec::new(),
    };
    key.to_record(SystemClock.now())
}

/// What becomes known of a person's keys, in its order.
fn story(person: usize, left: Timestamp) -> Vec<Record> {
    let one = (person, left);
    vec![
        key(one, "gone a second before", None, Some(-1)),
        key(one, "gone a second after", None, Some(1)),
        key(one, "there all the time", None, None),
        key(one, "made a second after", Some(1), None),
        // First it seems to be there; then it turns out that it was not.
        key(one, "gone, heard late", None, None),
        key(one, "gone, heard late", None, Some(-60)),
    ]
}

fn body(person: usize, left: Timestamp) -> Vec<u8> {
    let change = serde_json::json!({
        "change": "removed", "person": {"email": address(person)}, "effective_at": left,
    });
    let message = serde_json::json!({
        "type": "membership.changed", "timestamp": left, "data": change,
    });
    message.to_string().into_bytes()
}

#[test]
fn a_key_counts_if_it_was_held_at_that_moment_whichever_is_heard_first() {
    let stage = Stage::set();
    let _service = stage.start();
    let mut random = StdRng::seed_from_u64(seed("races"));
    let left = SystemClock.now();
    let mut people: Vec<_> = (0..PEOPLE).collect();
    people.shuffle(&mut random);
    let mut heard: Vec<_> = people.iter().map(|&person| story(person, left)).collect();
    heard.shuffle(&mut random);
    thread::scope(|scope| {
        let stage = &stage;
        scope.spawn(move || {
            let log = stage.attach();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            for record in heard.into_iter().flatten() {
                runtime.block_on(log.append(vec![record])).unwrap();
            }
        });
        for &person in &people {
            let answer = stage.send(&format!("race_{person}"), &body(person, left));
            assert_eq!(answer.map(|answer| answer.status), Some(202));
        }
    });
    let expected = BTreeSet::from(["gone a second after", "there all the time"]);
    for person in 0..PEOPLE {
        let change = ChangeId::derive("hr", &format!("race_{person}"));
        until("the report of exactly what was held", || {
            let report = stage.read(|reader| reader.report(&change.to_string()).unwrap())??;
            let open = report.impacts.iter().filter(|it| it.status == Status::Open);
            let labels: BTreeSet<_> = open.map(|it| it.key.label.as_str()).collect();
            (labels == expected).then_some(())
        });
    }
}
