//! A configuration of arbitrary text: usable, or refused with a reason.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use offkey::{
    clock::ManualClock,
    config::{Config, secret::Secrets, sink::SinkConfig},
    sinks::{webhook::WebhookSink, worker_options},
    sources,
};
use offkey_fuzz::{NOON, SECRET};

fuzz_target!(|text: &str| {
    let config = match Config::parse(text) {
        Ok(config) => config,
        Err(why) => {
            assert!(!why.to_string().is_empty());
            return;
        }
    };
    let secrets = || Arc::new(Secrets::fixed(vec![SECRET.to_owned().into()]));
    for source in &config.sources {
        let _ = sources::build(source, secrets());
    }
    for sink in &config.sinks {
        let _ = worker_options(sink);
        if let SinkConfig::Webhook(webhook) = sink {
            let _ = WebhookSink::new(webhook, secrets(), Arc::new(ManualClock::at(NOON)));
        }
    }
});
