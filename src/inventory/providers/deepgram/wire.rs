//! What the API answers. Unknown fields are ignored, and `key` (the secret) is not among the known.

use serde::Deserialize;

use crate::domain::{Account, Email};

/// How much of an error's text is repeated.
const LONGEST_SAYING: usize = 200;

/// `GET /v1/projects`. A list that is missing is no empty list.
#[derive(Debug, Deserialize)]
pub(super) struct Projects {
    pub(super) projects: Vec<Project>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Project {
    pub(super) project_id: String,
    #[serde(default)]
    pub(super) name: Option<String>,
}

/// `GET /v1/projects/{id}/members`.
#[derive(Debug, Deserialize)]
pub(super) struct Members {
    pub(super) members: Vec<Member>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Member {
    pub(super) member_id: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    first_name: Option<String>,
    #[serde(default)]
    last_name: Option<String>,
    #[serde(default)]
    pub(super) scopes: Option<Vec<String>>,
}

/// `GET /v1/projects/{id}/keys`.
#[derive(Debug, Deserialize)]
pub(super) struct Keys {
    pub(super) api_keys: Vec<Listed>,
}

/// A key and who made it.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Shape")]
pub(super) struct Listed {
    pub(super) member: Member,
    pub(super) api_key: ApiKey,
}

/// Clients disagree about where the key stands: beside the member, or in it and in an `item`.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    item: Option<Box<Shape>>,
    #[serde(default)]
    member: Option<MemberWithKey>,
    #[serde(default)]
    api_key: Option<ApiKey>,
}

#[derive(Deserialize)]
struct MemberWithKey {
    #[serde(flatten)]
    member: Member,
    #[serde(default)]
    api_key: Option<ApiKey>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ApiKey {
    pub(super) api_key_id: String,
    #[serde(default)]
    pub(super) comment: Option<String>,
    #[serde(default)]
    pub(super) scopes: Option<Vec<String>>,
    #[serde(default)]
    pub(super) tags: Option<Vec<String>>,
    #[serde(default)]
    pub(super) created: Option<String>,
    #[serde(default)]
    pub(super) expiration_date: Option<String>,
}

/// `GET /v1/auth/token`.
#[derive(Debug, Deserialize)]
pub(super) struct Own {
    pub(super) api_key_id: String,
    pub(super) scopes: Vec<String>,
}

/// `GET /v1/projects/{id}/usage/breakdown?grouping=accessor`.
#[derive(Debug, Deserialize)]
pub(super) struct Breakdown {
    pub(super) results: Vec<Used>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Used {
    #[serde(default)]
    pub(super) requests: f64,
    pub(super) grouping: Grouping,
}

#[derive(Debug, Deserialize)]
pub(super) struct Grouping {
    #[serde(default)]
    pub(super) accessor: Option<String>,
    #[serde(default)]
    pub(super) start: Option<String>,
}

/// `GET /v1/projects/{id}/requests`.
#[derive(Debug, Deserialize)]
pub(super) struct Requests {
    pub(super) requests: Vec<Request>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Request {
    #[serde(default)]
    pub(super) created: Option<String>,
}

/// A body that says no: plain text, or one of two kinds of JSON.
#[derive(Default, Deserialize)]
pub(super) struct Said {
    #[serde(default)]
    err_msg: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl TryFrom<Shape> for Listed {
    type Error = &'static str;

    fn try_from(shape: Shape) -> Result<Self, Self::Error> {
        if let Some(item) = shape.item {
            return Self::try_from(*item);
        }
        let with_key = shape.member.ok_or("a key without a member")?;
        let api_key = shape.api_key.or(with_key.api_key);
        Ok(Self {
            member: with_key.member,
            api_key: api_key.ok_or("a member without a key")?,
        })
    }
}

impl Member {
    /// The member's account. An address that is none is no reason to lose the member.
    pub(super) fn account(&self) -> Account {
        let names = [&self.first_name, &self.last_name].into_iter().flatten();
        let name = names.map(|part| part.trim()).collect::<Vec<_>>().join(" ");
        Account {
            id: self.member_id.clone(),
            email: self
                .email
                .as_deref()
                .and_then(|text| Email::parse(text).ok()),
            name: (!name.trim().is_empty()).then(|| name.trim().to_owned()),
        }
    }
}

impl Said {
    /// What a refusing body says, on one short line.
    pub(super) fn text(body: &[u8]) -> String {
        let said: Self = serde_json::from_slice(body).unwrap_or_default();
        let text = said.err_msg.or(said.message);
        let text = text.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        let printable = text.chars().filter(|c| !c.is_control());
        printable.take(LONGEST_SAYING).collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Listed, Said};

    #[rstest]
    #[case::side_by_side(r#"{"member": {"member_id": "m"}, "api_key": {"api_key_id": "k"}}"#)]
    #[case::nested(r#"{"item": {"member": {"member_id": "m", "api_key": {"api_key_id": "k"}}}}"#)]
    #[case::nulls_and_news(
        r#"{"member": {"member_id": "m", "email": null, "avatar": 1},
            "api_key": {"api_key_id": "k", "tags": null, "key": "secret"}, "kind": "new"}"#
    )]
    fn a_key_is_read_in_every_shape(#[case] body: &str) {
        let listed: Listed = serde_json::from_str(body).unwrap();
        assert_eq!(listed.member.account().id, "m");
        assert_eq!(listed.api_key.api_key_id, "k");
        assert!(!format!("{listed:?}").contains("secret"));
    }

    #[test]
    fn a_key_that_nobody_made_is_unreadable() {
        assert!(serde_json::from_str::<Listed>(r#"{"api_key": {"api_key_id": "k"}}"#).is_err());
    }

    #[rstest]
    #[case(r#"{"err_code": "X", "err_msg": "old"}"#, "old")]
    #[case(r#"{"category": "X", "message": "new"}"#, "new")]
    #[case("plain\ntext", "plaintext")]
    fn a_refusal_is_read_in_every_shape(#[case] body: &str, #[case] said: &str) {
        assert_eq!(Said::text(body.as_bytes()), said);
    }
}
