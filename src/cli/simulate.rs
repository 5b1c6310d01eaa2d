//! `offkey simulate`: a stand-in for a provider, to try things with.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::{End, output::Output};
use crate::{
    app::stop_on_signal,
    clock::{Clock as _, SystemClock},
    simulator::{Company, Simulator},
};

/// Which provider.
#[derive(Debug, Subcommand)]
pub(super) enum Simulate {
    /// Deepgram's management API, with an invented company in it.
    Deepgram(Deepgram),
}

/// What the stand-in is like.
#[derive(Debug, Args)]
pub(super) struct Deepgram {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The key of an owner.
    #[arg(
        long,
        env = "DEEPGRAM_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    api_key: SecretString,
    /// Another company than the invented one (TOML).
    #[arg(long, value_name = "FILE")]
    company: Option<PathBuf>,
}

impl Simulate {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<End> {
        let Self::Deepgram(deepgram) = self;
        let company = match &deepgram.company {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("{} cannot be read", file.display()))?;
                Company::parse(&text).with_context(|| file.display().to_string())?
            }
            None => Company::demo(SystemClock.now()),
        };
        let listen = deepgram.listen;
        let simulator = Simulator::start(company, deepgram.api_key, listen, Arc::new(SystemClock))
            .with_context(|| format!("cannot simulate on {listen}"))?;
        let address = simulator.base_url();
        if output.json {
            output.json(&serde_json::json!({ "listening": address }))?;
        } else {
            output.line(&format!(
                "standing in for Deepgram on {address}, Ctrl-C ends it"
            ))?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(stop_on_signal(CancellationToken::new()));
        simulator.stop()?;
        Ok(End::Done)
    }
}
