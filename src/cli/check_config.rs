//! `offkey check-config`: whether the configuration can be used.

use std::sync::Arc;

use anyhow::Context as _;

use super::{Context, End};
use crate::{app, config::secret::Secrets, sinks};

pub(super) fn run(context: &Context) -> anyhow::Result<End> {
    let config = &context.config;
    app::catalogue(config)?;
    for source in &config.sources {
        app::source(source)?;
    }
    for sink in &config.sinks {
        let owner = || format!("sink {}", sink.name().as_str());
        let secrets = Arc::new(Secrets::load(sink.secret_refs().to_vec()).with_context(owner)?);
        sinks::build(sink, secrets, context.clock.clone()).with_context(owner)?;
    }
    for provider in &config.providers {
        let Some(api_key) = provider.api_key() else {
            continue;
        };
        api_key
            .read()
            .with_context(|| format!("provider {}", provider.name()))?;
    }
    let counts = [
        ("sources", config.sources.len()),
        ("providers", config.providers.len()),
        ("sinks", config.sinks.len()),
    ];
    if context.output.json {
        context
            .output
            .json(&serde_json::json!({ "usable": true, "counts": counts.map(|c| c.1) }))?;
    } else {
        let counted = counts
            .map(|(what, count)| format!("{count} {what}"))
            .join(", ");
        context
            .output
            .line(&format!("the configuration can be used: {counted}"))?;
    }
    Ok(End::Done)
}
