//! One change is one trace, from the request to every delivery.

use std::collections::BTreeMap;

use offkey::domain::Topic;
use serde_json::Value;

use crate::harness::{Service, Stage, until};

#[test]
fn one_id_finds_what_was_done_for_a_change_from_its_request_to_every_delivery() {
    let stage = Stage::set();
    let telling = [("RUST_LOG", "info"), ("OFFKEY_TELEMETRY__FORMAT", "json")];
    let service = Service::spawn(&stage, &telling);
    stage.wait_until_ready();
    stage.leave("other", "bo@example.com");
    let change = stage.leave("msg_1", "ada@example.com");
    let id = change.to_string();
    let lines = || -> Vec<Value> {
        let messages = service.messages();
        let found = messages.lines().filter(|line| line.contains(&id));
        found
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let expected = BTreeMap::from([
        ("a membership change is accepted at hr".to_owned(), 1),
        ("correlated".to_owned(), 1),
        ("delivered to archive".to_owned(), 3),
        ("delivered to rotation".to_owned(), 3),
    ]);
    let told = until("all that is told of the change", || {
        let lines = lines();
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        for line in &lines {
            assert_eq!(line["change.id"], id, "{line}");
            let mut what = line["message"].as_str().unwrap().to_owned();
            for (field, word) in [(&line["span"]["source"], "at"), (&line["sink.name"], "to")] {
                if let Some(name) = field.as_str() {
                    what = format!("{what} {word} {name}");
                }
            }
            *told.entry(what).or_default() += 1;
        }
        let all: usize = expected.values().sum();
        (lines.len() >= all).then_some(told)
    });
    assert_eq!(told, expected);

    let trace = |text: &str| text.split('-').nth(1).map(str::to_owned);
    let topics = [
        Topic::Membership,
        Topic::Outcomes,
        Topic::Impacts,
        Topic::Deliveries,
    ];
    let ours = || {
        let records = stage.records(&topics);
        let ours = records
            .into_iter()
            .filter(|record| record.correlation == Some(change));
        ours.collect::<Vec<_>>()
    };
    let records = until("the deliveries", || {
        let ours = ours();
        (ours.len() == 1 + 1 + 3 + 6).then_some(ours)
    });
    let whole = Some(id.replace('-', ""));
    for record in &records {
        let event = record.to_cloudevent();
        assert_eq!(
            trace(event["traceparent"].as_str().unwrap()),
            whole,
            "{event}"
        );
    }
    let webhooks = stage.rotation.stored();
    let ours = webhooks
        .iter()
        .filter(|webhook| webhook.body["data"]["change_id"] == id);
    let traces: Vec<_> = ours.map(|webhook| trace(&webhook.trace)).collect();
    assert_eq!(traces, [whole.clone(), whole.clone(), whole]);
}
