//! The connector against the simulator.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use rstest::rstest;
use secrecy::SecretString;

use super::{DeepgramProvider, Sights, client::CallError, retry::Limits};
use crate::{
    clock::ManualClock,
    config::secret::Secrets,
    domain::Email,
    inventory::{Provider, ProviderError, SeenProject, Snapshot},
    simulator::{Company, Faults, Simulator},
};

const OWNERS_KEY: &str = "an owner's key";

struct Setting {
    simulator: Simulator,
    clock: Arc<ManualClock>,
    /// How long one answer may take, in seconds.
    patience: u64,
}

impl Setting {
    fn new() -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let company = Company::demo(now);
        let simulator = Simulator::start(
            company,
            SecretString::from(OWNERS_KEY),
            listen,
            clock.clone(),
        );
        Self {
            simulator: simulator.unwrap(),
            clock,
            patience: 60,
        }
    }

    fn provider(&self, keys: &[&str]) -> DeepgramProvider {
        self.provider_at(&self.simulator.base_url(), keys)
    }

    fn provider_at(&self, base_url: &str, keys: &[&str]) -> DeepgramProvider {
        let text = format!("name = \"dg\"\nbase_url = \"{base_url}\"\napi_key = {{ env = \"X\" }}");
        let config = toml::from_str(&text).unwrap();
        let secrets = keys.iter().map(|key| SecretString::from(*key)).collect();
        // Only the test of a silent server waits for this.
        let limits = Limits {
            request: Duration::from_secs(self.patience),
            attempts: 3,
            base: Duration::from_millis(1),
            cap: Duration::from_millis(1),
            longest: Duration::from_secs(2),
            ..Limits::default()
        };
        let secrets = Arc::new(Secrets::fixed(secrets));
        DeepgramProvider::with_limits(&config, secrets, self.clock.clone(), limits).unwrap()
    }

    async fn snapshot(&self, keys: &[&str]) -> Result<Snapshot, ProviderError> {
        self.provider(keys).snapshot().await
    }

    fn fault(&self, faults: Faults) {
        self.simulator.faults().set(faults).unwrap();
    }

    /// The secret of the company's key called `comment`.
    async fn secret_of(&self, comment: &str) -> String {
        let all = self.snapshot(&[OWNERS_KEY]).await.unwrap();
        let mut keys = all.projects.iter().flat_map(|project| &project.keys);
        let id = &keys.find(|key| key.label == comment).unwrap().id;
        let url = format!("{}/__simulator/keys/{id}/secret", self.simulator.base_url());
        let answer = reqwest::Client::builder().build().unwrap().post(url).send();
        let answer: serde_json::Value = answer.await.unwrap().json().await.unwrap();
        answer["key"].as_str().unwrap().to_owned()
    }
}

fn project<'a>(snapshot: &'a Snapshot, name: &str) -> &'a SeenProject {
    let mut all = snapshot.projects.iter();
    all.find(|project| project.name == name).unwrap()
}

fn all_gaps(snapshot: &Snapshot) -> String {
    let within = snapshot.projects.iter().flat_map(|project| &project.gaps);
    let all: Vec<_> = snapshot.gaps.iter().chain(within).cloned().collect();
    all.join("\n")
}

fn keys(snapshot: &Snapshot) -> usize {
    snapshot.projects.iter().map(|one| one.keys.len()).sum()
}

#[actix_web::test]
async fn an_owners_key_reads_everything() {
    let setting = Setting::new();
    let snapshot = setting.snapshot(&[OWNERS_KEY]).await.unwrap();
    assert_eq!(all_gaps(&snapshot), "");
    assert_eq!((snapshot.projects.len(), keys(&snapshot)), (3, 20));
    let production = project(&snapshot, "production");
    assert_eq!(production.members.len(), 6);
    let ada = Email::parse("ada@example.com").unwrap();
    let mut members = production.members.iter();
    let member = members.find(|one| one.account.email.as_ref() == Some(&ada));
    let member = member.unwrap();
    assert_eq!(member.roles, ["owner"]);
    assert_eq!(member.account.name.as_deref(), Some("Ada Okonjo"));
    let mut listed = production.keys.iter();
    let key = listed.find(|key| key.label == "live call transcription");
    let key = key.unwrap();
    assert_eq!(key.creator, member.account);
    assert_eq!(
        (key.class.as_str(), &key.tags[..]),
        ("project-key", &["calls".to_owned(), "prod".to_owned()][..])
    );
    let own = snapshot.own_keys.as_deref().unwrap();
    let listed = snapshot.projects.iter().flat_map(|project| &project.keys);
    let ours = listed.filter(|key| own.contains(&key.id));
    assert_eq!((own.len(), ours.count()), (1, 1));
    let seen = key.usage.as_ref().unwrap();
    // Whole days count: half a day of today, seven days, and none before.
    assert_eq!(seen.requests_7d, 7 * 18_400 + 9_200);
    let newest = seen.last_used_at.unwrap();
    assert!(
        snapshot.started_at.duration_since(newest).as_secs() < 60,
        "{newest}"
    );
}

#[actix_web::test]
async fn expired_and_idle_keys_are_there_and_their_rest_is_known() {
    let setting = Setting::new();
    let snapshot = setting.snapshot(&[OWNERS_KEY]).await.unwrap();
    let of = |name: &str, label: &str| {
        let found = project(&snapshot, name)
            .keys
            .iter()
            .find(|key| key.label == label);
        found.unwrap().clone()
    };
    let expired = of("staging", "trade fair demo");
    assert!(expired.expires_at.unwrap() < snapshot.started_at);
    let idle = of("production", "old IVR").usage.unwrap();
    assert_eq!((idle.requests_7d, idle.last_used_at), (0, None));
}

#[rstest]
#[case("dana's laptop", "scopes [member]")]
#[case("staging admin scripts", "")]
#[actix_web::test]
async fn a_members_key_reads_its_own_and_says_that_there_may_be_more(
    #[case] comment: &str,
    #[case] gap: &str,
) {
    let setting = Setting::new();
    let secret = setting.secret_of(comment).await;
    let snapshot = setting.snapshot(&[secret.as_str()]).await.unwrap();
    let staging = project(&snapshot, "staging");
    let creators: BTreeSet<_> = staging.keys.iter().map(|key| &key.creator.id).collect();
    let is_partial = !gap.is_empty();
    assert_eq!(is_partial, creators.len() == 1, "{creators:?}");
    assert_eq!(is_partial, !staging.gaps.is_empty(), "{:?}", staging.gaps);
    assert!(staging.gaps.join("\n").contains(gap), "{:?}", staging.gaps);
}

#[actix_web::test]
async fn several_keys_together_see_what_each_sees_and_the_better_one_reads() {
    let setting = Setting::new();
    let blind = setting.secret_of("dana's laptop").await;
    let seeing = setting.secret_of("staging admin scripts").await;
    let other = setting.secret_of("accent study").await;
    let both = setting.snapshot(&[&blind, &seeing]).await.unwrap();
    assert_eq!(all_gaps(&both), "");
    assert_eq!(both.projects.len(), 1);
    let three = setting.snapshot(&[&blind, &seeing, &other]).await.unwrap();
    assert_eq!(three.projects.len(), 2);
    assert_eq!(project(&three, "research").keys.len(), 2, "ruth's own only");
    assert!(!project(&three, "research").gaps.is_empty());
    let stale = setting
        .snapshot(&[OWNERS_KEY, "revoked long ago"])
        .await
        .unwrap();
    assert_eq!(keys(&stale), 20);
    assert!(all_gaps(&stale).contains("key 2 of 2 lists no projects"));
}

#[rstest]
#[case(OWNERS_KEY, 403)]
#[case(OWNERS_KEY, 401)]
#[case("not a key", 0)]
#[case("not\na header", 0)]
#[actix_web::test]
async fn a_refused_credential_is_said_to_be_refused(#[case] key: &str, #[case] status: u16) {
    let setting = Setting::new();
    setting.fault(Faults {
        status: (status > 0).then_some(status),
        ..Faults::default()
    });
    let said = setting.snapshot(&[key]).await.unwrap_err();
    assert!(matches!(said, ProviderError::Refused { .. }), "{said}");
    assert!(!said.to_string().contains(key), "{said}");
}

#[rstest]
#[case(429, 0)]
#[case(500, 2)]
#[case(503, 2)]
#[actix_web::test]
async fn what_passes_is_waited_for(#[case] status: u16, #[case] retry_after: u64) {
    let setting = Setting::new();
    setting.fault(Faults {
        status: Some(status),
        retry_after: (retry_after == 0).then_some(0),
        next: Some(2),
        ..Faults::default()
    });
    let snapshot = setting.snapshot(&[OWNERS_KEY]).await.unwrap();
    assert_eq!((all_gaps(&snapshot).as_str(), keys(&snapshot)), ("", 20));
}

#[rstest]
#[case(Faults { status: Some(500), ..Faults::default() }, "3 attempts")]
#[case(Faults { status: Some(429), retry_after: Some(3), ..Faults::default() }, "1 attempts")]
#[case(Faults { delay_ms: 60_000, ..Faults::default() }, "3 attempts")]
#[actix_web::test]
async fn what_does_not_pass_is_given_up(#[case] faults: Faults, #[case] said: &str) {
    let mut setting = Setting::new();
    setting.patience = if faults.delay_ms > 0 { 1 } else { 60 };
    setting.fault(faults);
    let why = setting.snapshot(&[OWNERS_KEY]).await.unwrap_err();
    assert!(matches!(why, ProviderError::Unavailable { .. }), "{why}");
    assert!(why.to_string().contains(said), "{why}");
}

#[actix_web::test]
async fn a_provider_that_is_not_there_is_unavailable() {
    let setting = Setting::new();
    let provider = setting.provider(&[OWNERS_KEY]);
    setting.simulator.stop().unwrap();
    let why = provider.snapshot().await.unwrap_err();
    assert!(matches!(why, ProviderError::Unavailable { .. }), "{why}");
}

#[rstest]
#[case("/members", "the members cannot be listed")]
#[case("/keys", "the active keys cannot be listed")]
#[actix_web::test]
async fn a_list_that_fails_is_a_gap(#[case] only: &str, #[case] gap: &str) {
    let setting = Setting::new();
    setting.fault(Faults {
        status: Some(500),
        only: Some(only.to_owned()),
        ..Faults::default()
    });
    let snapshot = setting.snapshot(&[OWNERS_KEY]).await.unwrap();
    assert_eq!(snapshot.projects.len(), 3);
    for project in &snapshot.projects {
        assert!(project.gaps.join("\n").contains(gap), "{:?}", project.gaps);
    }
}

#[actix_web::test]
async fn use_that_may_not_be_read_is_unknown_and_no_gap() {
    let setting = Setting::new();
    setting.fault(Faults {
        status: Some(403),
        only: Some("/usage".to_owned()),
        ..Faults::default()
    });
    let snapshot = setting.snapshot(&[OWNERS_KEY]).await.unwrap();
    assert_eq!((all_gaps(&snapshot).as_str(), keys(&snapshot)), ("", 20));
    let mut all = snapshot.projects.iter().flat_map(|one| &one.keys);
    assert!(all.all(|key| key.usage.is_none()));
}

#[actix_web::test]
async fn without_single_requests_the_newest_day_of_use_is_known() {
    let setting = Setting::new();
    setting.fault(Faults {
        status: Some(403),
        only: Some("/requests".to_owned()),
        ..Faults::default()
    });
    let snapshot = setting.snapshot(&[OWNERS_KEY]).await.unwrap();
    let mut listed = project(&snapshot, "production").keys.iter();
    let key = listed.find(|key| key.label == "agent assist").unwrap();
    let today = "2026-11-24T00:00:00Z".parse().unwrap();
    assert_eq!(key.usage.as_ref().unwrap().last_used_at, Some(today));
}

#[rstest]
#[case(Faults { drop_keys: 100, ..Faults::default() }, "in no list of keys")]
#[case(Faults { drop_members: 100, ..Faults::default() }, "not among the members")]
#[actix_web::test]
async fn a_list_that_lacks_our_own_key_or_its_maker_is_short(
    #[case] faults: Faults,
    #[case] gap: &str,
) {
    let setting = Setting::new();
    setting.fault(faults);
    let snapshot = setting.snapshot(&[OWNERS_KEY]).await.unwrap();
    assert!(all_gaps(&snapshot).contains(gap), "{}", all_gaps(&snapshot));
}

#[actix_web::test]
async fn a_key_that_says_nothing_about_itself_is_judged_by_what_it_lists() {
    let setting = Setting::new();
    setting.fault(Faults {
        status: Some(403),
        only: Some("/auth/token".to_owned()),
        ..Faults::default()
    });
    let snapshot = setting.snapshot(&[OWNERS_KEY]).await.unwrap();
    assert_eq!(all_gaps(&snapshot), "");
}

#[actix_web::test]
async fn a_slash_at_the_end_of_the_address_changes_nothing() {
    let setting = Setting::new();
    let slashed = format!("{}/", setting.simulator.base_url());
    let provider = setting.provider_at(&slashed, &[OWNERS_KEY]);
    assert_eq!(keys(&provider.snapshot().await.unwrap()), 20);
    let elsewhere = format!("{}/prefix", setting.simulator.base_url());
    let provider = setting.provider_at(&elsewhere, &[OWNERS_KEY]);
    let why = provider.snapshot().await.unwrap_err();
    assert!(why.to_string().contains("404"), "{why}");
}

#[test]
fn a_failure_that_may_pass_comes_before_a_refusal() {
    let sights = Sights {
        failures: vec![(1, CallError::Credential), (2, CallError::TooLong)],
        ..Sights::default()
    };
    let why = sights.failure("dg");
    assert!(matches!(why, ProviderError::Unavailable { .. }), "{why}");
    let nobody = Sights::default().failure("dg");
    assert!(matches!(nobody, ProviderError::Refused { .. }), "{nobody}");
}

#[rstest]
#[case("ftp://example.com")]
#[case("https://user:password@example.com")]
fn an_address_that_is_no_plain_web_address_is_refused(#[case] base_url: &str) {
    let text = format!("name = \"dg\"\nbase_url = \"{base_url}\"\napi_key = {{ env = \"X\" }}");
    let config = toml::from_str(&text).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let made = DeepgramProvider::new(&config, Arc::new(Secrets::fixed(vec![])), clock);
    let said = made.err().unwrap().to_string();
    assert!(
        said.contains("base_url") && !said.contains("password"),
        "{said}"
    );
}
