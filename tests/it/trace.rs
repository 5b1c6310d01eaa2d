//! One change is one trace, from the request to every delivery.

use std::collections::BTreeMap;

use offkey::domain::Topic;
use serde_json::Value;

use crate::harness::{Service, Stage, until};

/// What each line about the change says, and how often: `message at source` or `message to sink`.
fn tell(lines: &[Value], id: &str) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for line in lines {
        assert_eq!(line["change.id"], id, "{line}");
        let mut what = line["message"].as_str().unwrap().to_owned();
        for (field, word) in [(&line["span"]["source"], "at"), (&line["sink.name"], "to")] {
            if let Some(name) = field.as_str() {
                what = format!("{what} {word} {name}");
            }
        }
        *told.entry(what).or_default() += 1;
    }
    told
}

#[test]
fn one_id_finds_what_was_done_for_a_change_from_its_request_to_every_delivery() {
    let stage = Stage::set();
    let telling = [("RUST_LOG", "info"), ("OFFKEY_TELEMETRY__FORMAT", "json")];
    let service = Service::spawn(&stage, &telling);
    stage.wait_until_ready();
    stage.leave("other", "bo@example.com");
    let id = stage.leave("msg_1", "ada@example.com").to_string();
    let expected = BTreeMap::from([
        ("a membership change is accepted at hr".to_owned(), 1),
        ("correlated".to_owned(), 1),
        ("delivered to archive".to_owned(), 3),
        ("delivered to rotation".to_owned(), 3),
    ]);
    let lines = until("all that is told of the change", || {
        let messages = service.messages();
        let found = messages.lines().filter(|line| line.contains(&id));
        let lines: Vec<Value> = found
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (lines.len() >= expected.values().sum::<usize>()).then_some(lines)
    });
    assert_eq!(tell(&lines, &id), expected);
}

#[test]
fn all_records_and_webhooks_of_a_change_are_spans_of_one_trace() {
    let stage = Stage::set();
    let _service = stage.start();
    stage.leave("other", "bo@example.com");
    let change = stage.leave("msg_1", "ada@example.com");
    let trace = |text: &str| text.split('-').nth(1).map(str::to_owned);
    let topics = [
        Topic::Membership,
        Topic::Outcomes,
        Topic::Impacts,
        Topic::Deliveries,
    ];
    let records = until("the deliveries", || {
        let records = stage.records(&topics).into_iter();
        let ours: Vec<_> = records
            .filter(|it| it.correlation == Some(change))
            .collect();
        (ours.len() == 1 + 1 + 3 + 6).then_some(ours)
    });
    let whole = Some(change.0.simple().to_string());
    for record in &records {
        let event = record.to_cloudevent();
        assert_eq!(
            trace(event["traceparent"].as_str().unwrap()),
            whole,
            "{event}"
        );
    }
    let webhooks = stage.rotation.stored();
    let id = change.to_string();
    let ours = webhooks
        .iter()
        .filter(|webhook| webhook.body["data"]["change_id"] == id);
    let traces: Vec<_> = ours.map(|webhook| trace(&webhook.trace)).collect();
    assert_eq!(traces, [whole.clone(), whole.clone(), whole]);
}
