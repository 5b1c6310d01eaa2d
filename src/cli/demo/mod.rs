//! `offkey demo`: the main job, before your eyes, with an invented company.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use rand::Rng as _;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::{Context, End, output::Output, people, report, send::Signed};
use crate::{
    app::{Service, stop_on_signal},
    clock::{Clock as _, SystemClock},
    config::{Config, Overrides},
    domain::{ChangeId, ChangeKind, Email, Impact, PersonRef, Report},
    projection::{self, read::Reader},
    simulator::{Company, Simulator},
    sources::change_format::{ChangeData, ChangeMessage},
    telemetry,
};

mod receiver;

use receiver::{Receiver, Webhook};

/// Who leaves the invented company.
const LEAVER: &str = "ada@example.com";
/// The name of the source in the demo's configuration.
const SOURCE: &str = "hr";
/// How long any step may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the demo runs.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the service listens; a free port when this one is taken.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where everything is kept; what an earlier demo left there goes first.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// End after the report instead of serving on.
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub(super) fn run(&self, output: &Output) -> anyhow::Result<End> {
        let folder = self
            .folder
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join("offkey-demo"));
        clear(&folder)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.show(*output, &folder))?;
        Ok(End::Done)
    }

    async fn show(&self, output: Output, folder: &Path) -> anyhow::Result<()> {
        let stage = Stage::set(folder, self.listen)?;
        let clock = Arc::new(SystemClock);
        let stop = CancellationToken::new();
        let service = Service::start(&stage.config, clock.clone(), stop.clone())?;
        let context = Context {
            config: stage.config.clone(),
            output,
            clock,
        };
        let address = service.address;
        let play = async {
            let played = stage.play(&context, address).await;
            if played.is_err() || self.once {
                stop.cancel();
            } else {
                stop_on_signal(stop.clone()).await;
            }
            played
        };
        let waited = async {
            let ended = service.wait().await;
            stop.cancel();
            ended
        };
        let (played, ended) = tokio::join!(play, waited);
        stage.simulator.stop()?;
        played.and(ended)
    }
}

/// Everything around the service.
struct Stage {
    config: Config,
    file: PathBuf,
    simulator: Simulator,
    receiver: Receiver,
    secret: SecretString,
}

impl Stage {
    fn set(folder: &Path, listen: SocketAddr) -> anyhow::Result<Self> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (api_key, inbound, outbound) = (random_hex(), random_secret(), random_secret());
        for (name, secret) in [
            ("deepgram.key", &api_key),
            ("hr.secret", &inbound),
            ("rotation.secret", &outbound),
        ] {
            write_secret(&folder.join(name), secret)?;
        }
        let company = Company::demo(SystemClock.now());
        let simulator = Simulator::start(company, api_key.into(), anywhere, Arc::new(SystemClock))?;
        let receiver = Receiver::start(outbound.into())?;
        // Freed again at once: whoever takes it in between makes the demo say so.
        let listen = TcpListener::bind(listen)
            .or_else(|_| TcpListener::bind(anywhere))?
            .local_addr()?;
        let file = folder.join("offkey.toml");
        let text = configuration(folder, listen, &simulator.base_url(), &receiver.url());
        fs::write(&file, text)?;
        let config = Config::load(Some(&file), &Overrides::default())?;
        telemetry::write_messages(&config.telemetry)?;
        Ok(Self {
            config,
            file,
            simulator,
            receiver,
            secret: inbound.into(),
        })
    }

    async fn play(&self, context: &Context, address: SocketAddr) -> anyhow::Result<()> {
        let output = context.output;
        let spinner = ProgressBar::new_spinner().with_message("reading the provider's inventory");
        spinner.enable_steady_tick(Duration::from_millis(100));
        until(|| Ok(self.inventory(context)?.then_some(())))
            .await
            .context("the inventory")?;
        spinner.finish_and_clear();

        if !output.json {
            output.line("Who may we not remove today?")?;
            people::print(output, &people::rows(context)?)?;
            output.line(&format!(
                "\nNow HR reports, with a signed webhook, that {LEAVER} left."
            ))?;
        }
        let change = self.leave(address).await?;
        let report = until(|| self.report(context, change))
            .await
            .context("the report")?;
        let webhook = self
            .receiver
            .first(PATIENCE)
            .await
            .context("the receiver got nothing")?;
        if output.json {
            output.json(&serde_json::json!({ "report": report, "webhook": webhook }))?;
            return Ok(());
        }
        output.line("")?;
        report::print(output, &report)?;
        show(output, &webhook)?;
        self.explain(output)
    }

    fn inventory(&self, context: &Context) -> anyhow::Result<bool> {
        let Ok(db) = projection::open_reader(&context.config.log.path) else {
            return Ok(false);
        };
        Ok(Reader::new(&db).snapshot("deepgram")?.is_some())
    }

    /// Sends the leaver event; the answer tells the change's id.
    async fn leave(&self, address: SocketAddr) -> anyhow::Result<ChangeId> {
        let now = SystemClock.now();
        let data = ChangeData {
            change: ChangeKind::Removed,
            person: PersonRef {
                email: Some(Email::parse(LEAVER)?),
                ..PersonRef::default()
            },
            scope: None,
            effective_at: None,
            role: None,
            actor: Some("hr@example.com".to_owned()),
            reason: Some("resigned".to_owned()),
        };
        let id = format!("msg_{}", uuid::Uuid::new_v4().simple());
        let request = Signed {
            url: format!("http://{address}/in/{SOURCE}").parse()?,
            id: id.clone(),
            body: serde_json::to_vec(&ChangeMessage::new(now, data))?,
        };
        request
            .post(std::slice::from_ref(&self.secret), now)
            .await?;
        Ok(ChangeId::derive(SOURCE, &id))
    }

    fn report(&self, context: &Context, change: ChangeId) -> anyhow::Result<Option<Report>> {
        let db = projection::open_reader(&context.config.log.path)?;
        let report = Reader::new(&db).report(&change.to_string())?;
        Ok(report.map(|mut report| {
            report.impacts.sort_by_key(|impact: &Impact| {
                (
                    std::cmp::Reverse(impact.severity.level),
                    impact.key.label.clone(),
                )
            });
            report
        }))
    }

    fn explain(&self, output: Output) -> anyhow::Result<()> {
        let file = self.file.display();
        // It need not be on the PATH, and what is printed is to be copied as it is.
        let offkey = std::env::current_exe()?;
        let offkey = offkey.display();
        let lines = [
            String::new(),
            "Your turn, in another terminal:".to_owned(),
            format!("  {offkey} --config {file} preview --person ada@example.com"),
            format!("  {offkey} --config {file} send --person ada@example.com --change reinstated"),
            format!("  {offkey} --config {file} tail impacts --follow"),
            format!(
                "Serving on http://{}, Ctrl-C ends it.",
                self.config.http.listen
            ),
        ];
        Ok(lines.iter().try_for_each(|line| output.line(line))?)
    }
}

fn show(output: Output, webhook: &Webhook) -> anyhow::Result<()> {
    output.line("\nThe receiver of the rotation workflow got, with a signature that fits:")?;
    for (name, value) in &webhook.headers {
        output.line(&format!("  {name}: {value}"))?;
    }
    let body = serde_json::to_string_pretty(&webhook.body)?;
    for line in body.lines() {
        output.line(&format!("  {line}"))?;
    }
    Ok(())
}

/// Deletes what an earlier demo left, unless one is running there.
fn clear(folder: &Path) -> anyhow::Result<()> {
    if let Ok(lock) = fs::File::open(folder.join("data").join("lock")) {
        lock.try_lock().with_context(|| {
            format!(
                "a demo is running in {}; stop it or give --folder",
                folder.display()
            )
        })?;
    }
    if folder.exists() {
        let is_ours = folder.join("offkey.toml").exists() || fs::read_dir(folder)?.next().is_none();
        anyhow::ensure!(
            is_ours,
            "{} holds something else than a demo; give another --folder",
            folder.display()
        );
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}

fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(secret.as_bytes())?)
}

fn random_secret() -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    format!("whsec_{}", BASE64_STANDARD.encode(bytes))
}

fn random_hex() -> String {
    let mut bytes = [0; 20];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

fn configuration(folder: &Path, listen: SocketAddr, deepgram: &str, receiver: &str) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    format!(
        r#"# Written by `offkey demo`, and deleted by the next one.
[http]
listen = "{listen}"
[log]
path = {data:?}
[telemetry]
filter = "warn"
[[source]]
name = "{SOURCE}"
kind = "standard-webhooks"
secrets = [{{ file = {inbound:?} }}]
[[provider]]
name = "deepgram"
kind = "deepgram"
base_url = "{deepgram}"
api_key = {{ file = {api_key:?} }}
poll = "5s"
[[sink]]
name = "rotation"
kind = "webhook"
url = "{receiver}"
secrets = [{{ file = {outbound:?} }}]
allow_networks = ["127.0.0.0/8"]
"#,
        data = path("data"),
        inbound = path("hr.secret"),
        api_key = path("deepgram.key"),
        outbound = path("rotation.secret"),
    )
}

/// Asks again and again until there is an answer.
async fn until<T>(mut ask: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let asking = async {
        loop {
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .context("waited 30 seconds in vain")?
}
