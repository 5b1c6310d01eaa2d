//! What we read of an event hook: <https://developer.okta.com/docs/concepts/event-hooks/>.

use serde::Deserialize;
use serde_json_borrow::Value;

/// The events of the delivery `body`, unread, so that a broken one does not take the others along.
pub(super) fn events<'a>(body: &'a Value<'a>) -> Option<&'a [Value<'a>]> {
    let data = body.as_object()?.get("data")?;
    data.as_object()?.get("events")?.as_array()
}

/// The id of an event that cannot be read.
pub(super) fn id(event: &Value<'_>) -> Option<String> {
    let id = event.as_object()?.get("uuid")?.as_str()?;
    Some(id.to_owned())
}

/// One event: a `LogEvent` of the System Log API.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    /// Deduplicates: the envelope's `eventId` is per delivery.
    pub(super) uuid: String,
    /// RFC 3339.
    pub(super) published: String,
    pub(super) event_type: String,
    #[serde(default)]
    pub(super) actor: Option<Party>,
    #[serde(default)]
    pub(super) outcome: Option<Outcome>,
    #[serde(default)]
    pub(super) target: Option<Vec<Party>>,
}

/// What came of it.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    #[serde(default)]
    pub(super) result: Option<String>,
    #[serde(default)]
    pub(super) reason: Option<String>,
}

/// Somebody or something that took part.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Party {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(rename = "type", default)]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) alternate_id: Option<String>,
    #[serde(default)]
    pub(super) display_name: Option<String>,
}

impl Party {
    /// The login, where Okta says one: it writes "unknown" where it knows none.
    pub(super) fn login(&self) -> Option<&str> {
        let login = self.alternate_id.as_deref();
        login.filter(|text| !text.is_empty() && *text != "unknown")
    }
}

impl Event {
    /// The one target of the type `kind`; none when there is none.
    ///
    /// # Errors
    /// When there are several: nobody says which is meant.
    pub(super) fn target(&self, kind: &str) -> Result<Option<&Party>, String> {
        let mut found: Option<&Party> = None;
        for target in self.target.iter().flatten() {
            if target.kind.as_deref() != Some(kind) {
                continue;
            }
            if found.is_some_and(|known| known.id != target.id) {
                return Err(format!("target: holds several of type {kind}"));
            }
            found = Some(target);
        }
        Ok(found)
    }

    /// The id of the one target of the type `kind`.
    ///
    /// # Errors
    /// When there is none, or several.
    pub(super) fn target_id(&self, kind: &str) -> Result<&str, String> {
        self.target(kind)?
            .and_then(|target| target.id.as_deref())
            .filter(|id| !id.is_empty())
            .ok_or_else(|| format!("target: holds none of type {kind} with an id"))
    }
}
