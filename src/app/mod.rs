//! Puts the service together: the only place that builds concrete things.

mod logs;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::logs::{Place, attach_log, log_to_fill, log_to_read, serve_log};
use crate::{
    catalogue::Catalogue,
    clock::Clock,
    config::{
        Config, ConfigError,
        group::check_roles,
        provider::ProviderConfig,
        secret::{SecretRef, Secrets},
        sink::SinkConfig,
    },
    correlation::Policy,
    ingress::{self, IngressState, Inlet, Readiness},
    inventory::{Provider, poll::Poller, providers::deepgram::DeepgramProvider},
    log::{Health, Log, Position},
    pipeline::Pipeline,
    priority,
    shutdown::{Ending, Parts},
    sinks::{self, worker::SinkWorker},
    sources::{self, SharedSecrets},
    telemetry,
};

/// How often secrets are read again, and the log is asked how it is.
const GLANCE: Duration = Duration::from_secs(1);

/// The running service.
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    parts: Parts,
}

impl Service {
    /// Builds and starts everything that `config` names; it runs until `stop` is cancelled.
    ///
    /// # Errors
    /// The first thing that cannot be had, and what to do about it.
    pub fn start(
        config: &Config,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.http.listen).with_context(|| {
            format!(
                "cannot listen on {}; choose another http.listen",
                config.http.listen
            )
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Shared::open(config, clock)?;
        let mut builder = Builder {
            shared,
            parts: Parts::new(stop),
            secrets: Vec::new(),
            metrics: telemetry::collect_metrics()?,
        };
        let caught_up = builder.pipeline(config)?;
        for provider in &config.providers {
            builder.provider(config, provider, caught_up.clone())?;
        }
        for sink in &config.sinks {
            builder.sink(sink)?;
        }
        builder.ingress(config, listener, caught_up)?;
        builder.care()?;
        tracing::info!(%address, "listening");
        Ok(Self {
            address,
            parts: builder.parts,
        })
    }

    /// Waits until it has stopped.
    ///
    /// # Errors
    /// How the first part that failed did.
    pub async fn wait(self) -> Ending {
        self.parts.wait().await
    }
}

/// The catalogue: what comes with this version and what `config` adds.
///
/// # Errors
/// [`CatalogueError`](crate::catalogue::CatalogueError) names the file, the line and the rule that
/// cannot be used; [`ConfigError`] a provider that it does not know.
pub fn catalogue(config: &Config) -> anyhow::Result<Catalogue> {
    let catalogue = Catalogue::load(&config.catalogue.files)?;
    let unknown = |provider: &&ProviderConfig| catalogue.provider(provider.kind()).is_none();
    if let Some(provider) = config.providers.iter().find(unknown) {
        let why = format!(
            "the provider {:?} is of the kind {:?}, which the catalogue does not know; \
             `offkey catalogue list` names those it does",
            provider.name(),
            provider.kind()
        );
        return Err(ConfigError::Contradiction(why).into());
    }
    check_roles(config, &catalogue)?;
    Ok(catalogue)
}

/// Builds one configured source.
///
/// # Errors
/// When its secrets or its configuration cannot be used.
pub fn source(
    config: &crate::config::source::SourceConfig,
) -> anyhow::Result<(Box<dyn sources::Source>, SharedSecrets)> {
    let name = config.name();
    let secrets = Arc::new(
        Secrets::load(config.secrets().to_vec()).with_context(|| format!("source {name}"))?,
    );
    let source =
        sources::build(config, secrets.clone()).with_context(|| format!("source {name}"))?;
    Ok((source, secrets))
}

/// What every part uses.
struct Shared {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    policy: Arc<Policy>,
    catalogue: Arc<Catalogue>,
}

impl Shared {
    fn open(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        Ok(Self {
            log: serve_log(config, clock.clone())?,
            clock,
            policy: Arc::new(config.policy.clone()),
            catalogue: Arc::new(catalogue(config)?),
        })
    }
}

struct Builder {
    shared: Shared,
    parts: Parts,
    /// What is read again from time to time.
    secrets: Vec<SharedSecrets>,
    metrics: PrometheusHandle,
}

impl Builder {
    fn load(&mut self, refs: &[SecretRef], owner: &str) -> anyhow::Result<SharedSecrets> {
        let secrets = Secrets::load(refs.to_vec()).with_context(|| owner.to_owned())?;
        let secrets = Arc::new(secrets);
        self.secrets.push(secrets.clone());
        Ok(secrets)
    }

    fn pipeline(&mut self, config: &Config) -> anyhow::Result<watch::Receiver<Position>> {
        let (progress, seen) = watch::channel(Position::default());
        let pipeline = Pipeline {
            log: self.shared.log.clone(),
            folder: config.log.path.clone(),
            policy: self.shared.policy.clone(),
            catalogue: self.shared.catalogue.clone(),
            clock: self.shared.clock.clone(),
            progress,
        };
        let projection = pipeline.open_projection()?;
        self.parts.spawn("pipeline", move |stop| async move {
            priority::give_way();
            Ok(pipeline.run(projection, stop).await?)
        })?;
        Ok(seen)
    }

    fn provider(
        &mut self,
        config: &Config,
        provider: &ProviderConfig,
        progress: watch::Receiver<Position>,
    ) -> anyhow::Result<()> {
        let part = format!("inventory.{}", provider.name());
        let clock = self.shared.clock.clone();
        let (concrete, every): (Arc<dyn Provider>, Duration) = match provider {
            ProviderConfig::Deepgram(deepgram) => {
                let secrets = self.load(std::slice::from_ref(&deepgram.api_key), &part)?;
                let concrete = DeepgramProvider::new(deepgram, secrets, clock.clone())?;
                (Arc::new(concrete), deepgram.poll)
            }
            // Its keys come by `offkey keys import`.
            ProviderConfig::Import(_) => return Ok(()),
        };
        let poller = Poller {
            provider: concrete,
            every,
            log: self.shared.log.clone(),
            folder: config.log.path.clone(),
            progress,
            clock,
        };
        self.parts.spawn(
            &part,
            move |stop| async move { Ok(poller.run(stop).await?) },
        )?;
        Ok(())
    }

    fn sink(&mut self, config: &SinkConfig) -> anyhow::Result<()> {
        let part = format!("sink.{}", config.name().as_str());
        let secrets = self.load(config.secret_refs(), &part)?;
        let clock = self.shared.clock.clone();
        let sink = sinks::build(config, secrets, clock.clone()).with_context(|| part.clone())?;
        let options = sinks::worker_options(config);
        let worker = SinkWorker::new(sink, self.shared.log.clone(), clock, options);
        self.parts.spawn(
            &part,
            move |stop| async move { Ok(worker.run(stop).await?) },
        )?;
        Ok(())
    }

    fn ingress(
        &mut self,
        config: &Config,
        listener: TcpListener,
        progress: watch::Receiver<Position>,
    ) -> anyhow::Result<()> {
        let mut inlets = BTreeMap::new();
        for one in &config.sources {
            let (source, secrets) = source(one)?;
            self.secrets.push(secrets);
            inlets.insert(
                one.name().to_string(),
                Inlet {
                    source,
                    keep_payload: one.keep_payload(),
                },
            );
        }
        let state = IngressState {
            sources: Arc::new(inlets),
            log: self.shared.log.clone(),
            clock: self.shared.clock.clone(),
            readiness: readiness(self.shared.log.clone(), progress)?,
            metrics: self.metrics.clone(),
        };
        let http = config.http.clone();
        self.parts.spawn("http", move |stop| async move {
            Ok(ingress::serve(listener, &http, state, stop)?.await?)
        })?;
        Ok(())
    }

    /// Reads secrets again, sums up samples, and stops the process when the log cannot go on.
    fn care(&mut self) -> anyhow::Result<()> {
        let secrets = std::mem::take(&mut self.secrets);
        let log = self.shared.log.clone();
        let metrics = self.metrics.clone();
        self.parts.spawn("care", move |stop| async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(GLANCE))
                .await
                .is_some()
            {
                for one in &secrets {
                    if let Err(error) = one.reload() {
                        tracing::warn!(%error, "a secret cannot be read again; the old one stays");
                    }
                }
                // Without it every sample waits in memory for somebody to ask for the metrics.
                metrics.run_upkeep();
                if let Health::Failed(why) = log.health() {
                    anyhow::bail!("the log has to be opened anew: {why}");
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// Ready: the log takes records, and everything it held at the start is known. When it was
/// replaced since, that start is the moment in which somebody asks.
fn readiness(log: Arc<dyn Log>, progress: watch::Receiver<Position>) -> anyhow::Result<Readiness> {
    let known = Mutex::new((log.end()?, Position::default()));
    Ok(Arc::new(move || {
        match log.health() {
            Health::Writable => {}
            Health::Unavailable(why) | Health::Failed(why) => return Err(why),
        }
        let at = progress.borrow().clone();
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let (committed, seen) = &mut *known;
        if !at.has_reached(seen) {
            *committed = log.end().map_err(|error| error.to_string())?;
        }
        seen.clone_from(&at);
        if at.has_reached(committed) {
            Ok(())
        } else {
            Err("the read model is not up to date yet".to_owned())
        }
    }))
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// What starting and running meet.
pub fn serve(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<()> {
    telemetry::write_messages(&config.telemetry)?;
    let stop = CancellationToken::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let service = Service::start(config, clock, stop.clone())?;
        let (waited, ()) = tokio::join!(service.wait(), stop_on_signal(stop));
        waited
    })
}

/// Cancels `stop` when the process is asked to end, or returns once it is cancelled.
pub async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::warn!("signals cannot be received; only SIGKILL ends this process");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("asked to stop"),
        _ = interrupt.recv() => tracing::info!("asked to stop"),
        () = stop.cancelled() => {}
    }
    stop.cancel();
}
