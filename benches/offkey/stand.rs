//! The service in this process: the log, the pipeline and the ingress as `offkey serve` runs them,
//! with the log at hand, so that a follower of ours is woken as the service's own are.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use offkey::{
    app,
    catalogue::Catalogue,
    clock::SystemClock,
    config::{Config, Overrides},
    domain::{Record, Topic},
    ingress::{self, IngressState, Inlet},
    log::{Follower, Log, Position},
    pipeline::Pipeline,
    shutdown::Parts,
    telemetry,
};
use tokio::{runtime::Runtime, sync::watch};
use tokio_util::sync::CancellationToken;

/// The most records of one append.
const STEP: usize = 2000;

/// A running service.
pub(crate) struct Stand {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: Arc<dyn Log>,
    progress: watch::Receiver<Position>,
    parts: Parts,
    stop: CancellationToken,
    runtime: Runtime,
}

/// Writes the configuration of a service that keeps everything in `folder`.
pub(crate) fn configure(folder: &Path, listen: SocketAddr) -> anyhow::Result<Config> {
    std::fs::write(folder.join("word"), "the word")?;
    std::fs::write(folder.join("key"), "no key")?;
    let text = format!(
        r#"[http]
listen = "{listen}"
[log]
path = {data:?}
[telemetry]
filter = "warn"
[[source]]
name = "okta"
kind = "okta"
secrets = [{{ file = {word:?} }}]
[[provider]]
name = "deepgram"
kind = "deepgram"
base_url = "http://127.0.0.1:9"
api_key = {{ file = {key:?} }}
poll = "1day"
"#,
        data = folder.join("data"),
        word = folder.join("word"),
        key = folder.join("key"),
    );
    let file = folder.join("offkey.toml");
    std::fs::write(&file, text)?;
    Ok(Config::load(Some(&file), &Overrides::default())?)
}

impl Stand {
    /// Starts with an empty folder.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let config = configure(folder, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = TcpListener::bind(config.http.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let clock = Arc::new(SystemClock);
        let log = app::serve_log(&config, clock.clone())?;
        let stop = CancellationToken::new();
        let mut parts = Parts::new(stop.clone());
        let (announce, progress) = watch::channel(Position::default());
        let pipeline = Pipeline {
            log: log.clone(),
            folder: config.log.path.clone(),
            policy: Arc::new(config.policy.clone()),
            catalogue: Arc::new(Catalogue::built_in()?),
            clock: clock.clone(),
            progress: announce,
        };
        let projection = pipeline.open_projection()?;
        parts.spawn("pipeline", move |stop| async move {
            Ok(pipeline.run(projection, stop).await?)
        })?;
        let mut sources = BTreeMap::new();
        for one in &config.sources {
            let (source, _) = app::source(one)?;
            let keep_payload = one.keep_payload();
            let inlet = Inlet {
                source,
                keep_payload,
            };
            sources.insert(one.name().to_string(), inlet);
        }
        let state = IngressState {
            sources: Arc::new(sources),
            log: log.clone(),
            clock,
            readiness: Arc::new(|| Ok(())),
            metrics: telemetry::collect_metrics()?,
        };
        let http = config.http.clone();
        parts.spawn("http", move |stop| async move {
            Ok(ingress::serve(listener, &http, state, stop)?.await?)
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            address,
            log,
            progress,
            parts,
            stop,
            runtime,
        })
    }

    /// Appends to the log, in steps.
    pub(crate) fn append(
        &self,
        records: impl Iterator<Item = anyhow::Result<Record>>,
    ) -> anyhow::Result<()> {
        append(&self.runtime, self.log.as_ref(), records)
    }

    /// Waits until the projection knows everything and nothing more is written.
    pub(crate) fn settle(&mut self) -> anyhow::Result<()> {
        let mut quiet = 0;
        while quiet < 5 {
            let end = self.log.end()?;
            self.runtime
                .block_on(self.progress.wait_for(|seen| seen.has_reached(&end)))?;
            thread::sleep(Duration::from_millis(20));
            quiet = if self.log.end()? == end { quiet + 1 } else { 0 };
        }
        Ok(())
    }

    /// A reader of what comes from now on.
    pub(crate) fn follow(&self, topic: Topic) -> anyhow::Result<Box<dyn Follower>> {
        Ok(self.log.follow(&[topic], &self.log.end()?)?)
    }

    /// Reads on until `most` records were seen.
    pub(crate) fn await_records(
        &self,
        follower: &mut dyn Follower,
        most: usize,
    ) -> anyhow::Result<Vec<Record>> {
        let mut all = Vec::with_capacity(most);
        while all.len() < most {
            let batch = self.runtime.block_on(follower.next(STEP))?;
            all.extend(batch.entries.into_iter().map(|entry| entry.record));
        }
        Ok(all)
    }

    /// What comes within a moment, if anything does.
    pub(crate) fn glance(&self, follower: &mut dyn Follower) -> anyhow::Result<Vec<Record>> {
        let moment = Duration::from_millis(100);
        let next = self
            .runtime
            .block_on(async { tokio::time::timeout(moment, follower.next(STEP)).await });
        let Ok(batch) = next else {
            return Ok(Vec::new());
        };
        Ok(batch?
            .entries
            .into_iter()
            .map(|entry| entry.record)
            .collect())
    }

    /// Stops, and waits for it.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.runtime.block_on(self.parts.wait())
    }
}

/// Appends `records` to `log`, in steps.
pub(crate) fn append(
    runtime: &Runtime,
    log: &dyn Log,
    records: impl Iterator<Item = anyhow::Result<Record>>,
) -> anyhow::Result<()> {
    let mut step = Vec::new();
    for record in records {
        step.push(record?);
        if step.len() == STEP {
            runtime.block_on(log.append(std::mem::take(&mut step)))?;
        }
    }
    Ok(runtime.block_on(log.append(step))?)
}
