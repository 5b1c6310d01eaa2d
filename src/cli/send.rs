//! `offkey send`: one signed change to a running service, in our own format.

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use reqwest::Url;
use secrecy::SecretString;

use super::{Context, End};
use crate::{
    config::{Config, secret::SecretRef, source::SourceConfig},
    domain::{ChangeKind, Email, PersonRef, RoleChange, Scope},
    sinks::webhook::signature::{SignatureKey, sign_all},
    sources::change_format::{ChangeData, ChangeMessage},
};

/// What to send, and where.
#[derive(Debug, Args)]
pub(super) struct Send {
    /// The configured source of kind standard-webhooks to send as; may be left out when there is
    /// one only.
    #[arg(long)]
    source: Option<String>,
    /// Where the service takes it, instead of /in/SOURCE at `http.listen`.
    #[arg(long)]
    url: Option<Url>,
    /// The variable that holds the source's secret, instead of the configured one.
    #[arg(long, value_name = "VARIABLE")]
    secret_env: Option<String>,
    /// The id of the event: a repeat with the same id is the same change.
    #[arg(long)]
    id: Option<String>,
    #[command(flatten)]
    change: Change,
}

/// What happened.
#[derive(Debug, Args)]
struct Change {
    /// What happened.
    #[arg(long, default_value = "removed")]
    change: ChangeKind,
    /// To whom, by address.
    #[arg(long, required_unless_present = "account")]
    person: Option<Email>,
    /// To whom, by the source's own id.
    #[arg(long)]
    account: Option<String>,
    /// For `renamed`: the address until now.
    #[arg(long, value_name = "ADDRESS")]
    formerly: Option<Email>,
    /// How far it reaches: organisation, provider:NAME, project:PROVIDER/ID or group:ID.
    #[arg(long, default_value = "organisation")]
    scope: Scope,
    /// When it takes effect; now by default.
    #[arg(long)]
    effective_at: Option<Timestamp>,
    /// For `role_changed`: the role until now.
    #[arg(long)]
    role_from: Option<String>,
    /// For `role_changed`: the role from now on.
    #[arg(long)]
    role_to: Option<String>,
    /// Who did it.
    #[arg(long)]
    actor: Option<String>,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
}

impl Send {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<End> {
        let (url, secrets) = self.receiver(&context.config)?;
        let now = context.clock.now();
        let body = serde_json::to_vec(&ChangeMessage::new(now, self.change.data()))?;
        let id = self
            .id
            .clone()
            .unwrap_or_else(|| format!("msg_{}", uuid::Uuid::new_v4().simple()));
        let request = Signed { url, id, body };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let answer = runtime.block_on(request.post(&secrets, now))?;
        if context.output.json {
            context.output.raw(answer.as_bytes())?;
            context.output.raw(b"\n")?;
        } else {
            context
                .output
                .line(&format!("the service answered {answer}"))?;
        }
        Ok(End::Done)
    }

    /// Where to send, and the secrets to sign with.
    fn receiver(&self, config: &Config) -> anyhow::Result<(Url, Vec<SecretString>)> {
        if let (Some(url), Some(env)) = (&self.url, &self.secret_env) {
            return Ok((url.clone(), SecretRef::Env { env: env.clone() }.read()?));
        }
        let mut sources = config.sources.iter().filter(|source| {
            matches!(source, SourceConfig::StandardWebhooks(_))
                && self
                    .source
                    .as_deref()
                    .is_none_or(|name| source.name().as_str() == name)
        });
        let source = sources.next().context(
            "no such source of kind standard-webhooks; give --config, or --url and --secret-env",
        )?;
        anyhow::ensure!(
            sources.next().is_none(),
            "there are several sources; choose one: --source"
        );
        let secrets = match &self.secret_env {
            Some(env) => SecretRef::Env { env: env.clone() }.read()?,
            None => {
                let first = source
                    .secrets()
                    .first()
                    .context("the source has no secret")?;
                first.read()?
            }
        };
        let url = match &self.url {
            Some(url) => url.clone(),
            None => format!("http://{}/in/{}", config.http.listen, source.name()).parse()?,
        };
        Ok((url, secrets))
    }
}

impl Change {
    fn data(&self) -> ChangeData {
        let role = RoleChange {
            from: self.role_from.clone(),
            to: self.role_to.clone(),
        };
        ChangeData {
            change: self.change,
            person: PersonRef {
                email: self.person.clone(),
                account: self.account.clone(),
                name: None,
                formerly: self.formerly.clone(),
            },
            scope: Some(self.scope.clone()),
            effective_at: self.effective_at,
            role: (role != RoleChange::default()).then_some(role),
            actor: self.actor.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// One request, signed as Standard Webhooks 1.0.0 say.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) url: Url,
    pub(super) id: String,
    pub(super) body: Vec<u8>,
}

impl Signed {
    /// Posts it and returns the answer's body.
    pub(super) async fn post(
        self,
        secrets: &[SecretString],
        now: Timestamp,
    ) -> anyhow::Result<String> {
        let keys: Vec<SignatureKey> = secrets
            .iter()
            .map(SignatureKey::parse)
            .collect::<Result<_, _>>()?;
        let seconds = now.as_second();
        let signature = sign_all(&keys, &self.id, seconds, &self.body);
        let client = reqwest::Client::builder()
            .timeout(std::time::Duration::from_secs(30))
            .no_proxy()
            .build()?;
        let answer = client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature)
            .body(self.body)
            .send()
            .await
            .with_context(|| {
                format!("{} cannot be reached; is `offkey serve` running?", self.url)
            })?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(
            status.is_success(),
            "the service refused with {status}: {text}"
        );
        Ok(text)
    }
}
