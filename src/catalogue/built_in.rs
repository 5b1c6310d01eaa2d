//! The files that come with this version, one a provider.

macro_rules! files {
    ($($provider:literal),+ $(,)?) => {
        &[$((
            concat!($provider, ".toml"),
            include_str!(concat!("fates/", $provider, ".toml")),
        )),+]
    };
}

/// Each file's name and text.
pub(super) const FILES: &[(&str, &str)] = files![
    "anthropic",
    "atlassian",
    "aws",
    "azure",
    "checkly",
    "cloudflare",
    "confluent",
    "datadog",
    "daytona",
    "deepgram",
    "elastic",
    "fastly",
    "gcp",
    "github",
    "gitlab",
    "gpustack",
    "hcp-terraform",
    "huggingface",
    "launchdarkly",
    "linear",
    "litellm",
    "newrelic",
    "notion",
    "npm",
    "octopus",
    "okta",
    "openai",
    "opencve",
    "pagerduty",
    "posthog",
    "qdrant",
    "sendgrid",
    "sentry",
    "shortio",
    "slack",
    "snowflake",
    "stripe",
    "terrapod",
    "twilio",
    "vault",
    "vercel",
];
