//! What the tests share.

use std::{net::SocketAddr, sync::Arc};

use deepgram::{Deepgram, DeepgramError};
use jiff::Timestamp;
use offkey::{
    clock::ManualClock,
    simulator::{Company, Simulator},
};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

pub(crate) const OWNERS_KEY: &str = "an owner's key";

/// A simulator with the demo company, and an owner's client.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) owner: Deepgram,
    pub(crate) http: reqwest::Client,
}

/// A key of the company: ids only.
pub(crate) struct Found {
    pub(crate) project: String,
    pub(crate) key: String,
    pub(crate) member: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let simulator = Simulator::start(
            Company::demo(now),
            SecretString::from(OWNERS_KEY),
            SocketAddr::from(([127, 0, 0, 1], 0)),
            Arc::new(ManualClock::at(now)),
        )
        .unwrap();
        let owner = client(&simulator, OWNERS_KEY);
        let http = reqwest::Client::builder().build().unwrap();
        Self {
            simulator,
            owner,
            http,
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: Value,
    ) -> (u16, String) {
        let url = format!("{}{path}", self.simulator.base_url());
        let request = self.http.request(method, url).json(&body);
        let request = request.header("Authorization", format!("Token {key}"));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) async fn listen(&self, key: &str) -> (u16, String) {
        self.send(Method::POST, "/v1/listen?model=nova-3", key, json!({}))
            .await
    }

    pub(crate) async fn project(&self, name: &str) -> String {
        let all = self.owner.projects().list().await.unwrap().projects;
        let found = all.into_iter().find(|project| project.name == name);
        found.unwrap().project_id.to_string()
    }

    pub(crate) async fn member(&self, project: &str, email: &str) -> String {
        let all = self.owner.members().list_members(project).await.unwrap();
        let mut members = all.members.into_iter();
        let found = members.find(|member| member.email == email);
        found.unwrap().member_id.to_string()
    }

    /// A key of the company, by its comment.
    pub(crate) async fn key(&self, project: &str, comment: &str) -> Found {
        let project = self.project(project).await;
        let all = self.owner.keys().list(&project).await.unwrap().api_keys;
        let found = all.into_iter().find(|key| key.api_key.comment == comment);
        let found = found.unwrap();
        Found {
            project,
            key: found.api_key.api_key_id.to_string(),
            member: found.member.member_id.to_string(),
        }
    }

    /// A new secret for a key, as its application would have one.
    pub(crate) async fn secret(&self, key: &str) -> String {
        let path = format!("/__simulator/keys/{key}/secret");
        let (status, body) = self.send(Method::POST, &path, "", json!({})).await;
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        body["key"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn client(simulator: &Simulator, key: &str) -> Deepgram {
    Deepgram::with_base_url_and_api_key(simulator.base_url().as_str(), key).unwrap()
}

/// The status and body of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, DeepgramError>) -> (u16, String) {
    match result {
        Err(DeepgramError::DeepgramApiError { body, err }) => {
            (err.status().map_or(0, |status| status.as_u16()), body)
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}
