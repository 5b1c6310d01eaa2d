//! Where the values of an event stand: by JSONPath (RFC 9535) or header, as configured.

use jiff::tz::TimeZone;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::{Request, SourceError, proof::header_name};
use crate::{
    config::declarative::{EventIdConfig, ScopeConfig, SelectorConfig, TimeConfig},
    domain::{Scope, id::content_id},
    sources::time::TimeFormat,
};

/// One event and what is around it.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) body: &'a Value,
    pub(super) event: &'a Value,
    /// Its number in the body; none when the body is one event.
    pub(super) number: Option<usize>,
}

/// Parses the configuration of one source, and says where it is wrong.
#[derive(Clone, Copy)]
pub(super) struct Parser<'a> {
    pub(super) name: &'a str,
    /// Where the source's days begin.
    pub(super) zone: &'a TimeZone,
}

impl Parser<'_> {
    pub(super) fn refuse(self, field: &str, why: impl Into<String>) -> SourceError {
        SourceError::new(self.name, field, why)
    }

    pub(super) fn path(self, text: &str, field: &str) -> Result<JsonPath, SourceError> {
        JsonPath::parse(text).map_err(|fault| {
            let why = format!("{text:?} is no JSONPath: {}", fault.message());
            self.refuse(field, why)
        })
    }

    pub(super) fn selector(
        self,
        config: &SelectorConfig,
        field: &str,
    ) -> Result<Selector, SourceError> {
        let place = match config {
            SelectorConfig::Path(path) => Place::Event(self.path(path, field)?),
            SelectorConfig::Body(path) => Place::Body(self.path(path, field)?),
            SelectorConfig::Header(header) => Place::Header(header_name(header, self.name, field)?),
            SelectorConfig::Literal(text) => Place::Literal(text.clone()),
        };
        let field = field.to_owned();
        Ok(Selector { place, field })
    }

    pub(super) fn optional(
        self,
        config: Option<&SelectorConfig>,
        field: &str,
    ) -> Result<Option<Selector>, SourceError> {
        config
            .map(|config| self.selector(config, field))
            .transpose()
    }

    pub(super) fn time(
        self,
        config: Option<&TimeConfig>,
        field: &str,
    ) -> Result<Option<TimeSelector>, SourceError> {
        let parse = |config: &TimeConfig| {
            Ok(TimeSelector {
                value: self.selector(&config.value, field)?,
                format: config.format,
                zone: self.zone.clone(),
            })
        };
        config.map(parse).transpose()
    }

    pub(super) fn scope(
        self,
        config: &ScopeConfig,
        field: &str,
    ) -> Result<ScopeSelector, SourceError> {
        Ok(match config {
            ScopeConfig::Organisation => ScopeSelector::Organisation,
            ScopeConfig::Provider(provider) => ScopeSelector::Provider(provider.clone()),
            ScopeConfig::Project { provider, project } => ScopeSelector::Project {
                provider: provider.clone(),
                project: self.selector(project, field)?,
            },
            ScopeConfig::Group(group) => ScopeSelector::Group(self.selector(group, field)?),
        })
    }

    pub(super) fn event_id(self, config: &EventIdConfig) -> Result<EventIdSelector, SourceError> {
        let field = "events.id";
        let one = |config| self.selector(&config, field).map(EventIdSelector::One);
        match config {
            EventIdConfig::Path(path) => one(SelectorConfig::Path(path.clone())),
            EventIdConfig::Header(header) => one(SelectorConfig::Header(header.clone())),
            EventIdConfig::Hash(paths) => {
                let paths: Result<_, _> = paths.iter().map(|path| self.path(path, field)).collect();
                Ok(EventIdSelector::Hash(paths?))
            }
        }
    }
}

enum Place {
    Event(JsonPath),
    Body(JsonPath),
    Header(String),
    Literal(String),
}

/// Where one value stands.
pub(super) struct Selector {
    place: Place,
    /// The configured field, for messages.
    field: String,
}

impl Selector {
    /// The value as text; none when it is absent, null or empty.
    ///
    /// # Errors
    /// When there are several, or it is a list or an object.
    pub(super) fn text(&self, seen: &Seen<'_>) -> Result<Option<String>, String> {
        let found = match &self.place {
            Place::Literal(text) => return Ok(Some(text.clone())),
            Place::Header(name) => {
                let value = seen.request.header(name);
                return Ok(value.filter(|text| !text.is_empty()).map(str::to_owned));
            }
            Place::Event(path) => path.query(seen.event),
            Place::Body(path) => path.query(seen.body),
        };
        let mut found = found.iter();
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => scalar(value).map_err(|why| format!("{}: {why}", self.field)),
            (Some(_), Some(_)) => Err(format!("{}: finds several values", self.field)),
        }
    }

    /// The value as text.
    ///
    /// # Errors
    /// As [`Selector::text`], and when it is absent.
    pub(super) fn required(&self, seen: &Seen<'_>) -> Result<String, String> {
        self.text(seen)?
            .ok_or_else(|| format!("{}: finds nothing", self.field))
    }

    fn is_of_the_event(&self) -> bool {
        matches!(self.place, Place::Event(_))
    }
}

fn scalar(value: &Value) -> Result<Option<String>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => Ok(Some(text.trim().to_owned())),
        Value::Bool(is_so) => Ok(Some(is_so.to_string())),
        // A number that was rounded on the way names somebody else.
        Value::Number(number) if number.is_f64() => Err("finds a number that is not whole"),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Array(_) | Value::Object(_) => Err("finds a list or an object, not one value"),
    }
}

/// The text behind an optional selector.
pub(super) fn text(selector: Option<&Selector>, seen: &Seen<'_>) -> Result<Option<String>, String> {
    selector.map_or(Ok(None), |selector| selector.text(seen))
}

/// Where a time stands, and how it is written.
pub(super) struct TimeSelector {
    pub(super) value: Selector,
    pub(super) format: TimeFormat,
    /// Where a day begins.
    pub(super) zone: TimeZone,
}

impl TimeSelector {
    /// The time; none when it is absent.
    pub(super) fn time(&self, seen: &Seen<'_>) -> Result<Option<jiff::Timestamp>, String> {
        let text = self.value.text(seen)?;
        text.map(|text| self.format.parse_in(&text, &self.zone))
            .transpose()
            .map_err(|why| format!("{}: {why}", self.value.field))
    }
}

/// How far a change reaches.
pub(super) enum ScopeSelector {
    Organisation,
    Provider(String),
    Project { provider: String, project: Selector },
    Group(Selector),
}

impl ScopeSelector {
    pub(super) fn scope(&self, seen: &Seen<'_>) -> Result<Scope, String> {
        Ok(match self {
            Self::Organisation => Scope::Organisation {},
            Self::Provider(provider) => Scope::Provider {
                provider: provider.clone(),
            },
            Self::Project { provider, project } => Scope::Project {
                provider: provider.clone(),
                project: project.required(seen)?,
            },
            Self::Group(group) => Scope::Group {
                group: group.required(seen)?,
            },
        })
    }
}

/// What deduplicates.
pub(super) enum EventIdSelector {
    One(Selector),
    Hash(Vec<JsonPath>),
}

impl EventIdSelector {
    pub(super) fn id(&self, seen: &Seen<'_>) -> Result<String, String> {
        let (id, is_of_the_event) = match self {
            Self::One(selector) => (selector.required(seen)?, selector.is_of_the_event()),
            Self::Hash(paths) if paths.is_empty() => {
                (content_id(&[seen.request.body]).to_string(), false)
            }
            Self::Hash(paths) => (hash(paths, seen.event), true),
        };
        // What is one for all events of a body says nothing about one of them.
        Ok(match seen.number {
            Some(number) if !is_of_the_event => format!("{id}#{number}"),
            _ => id,
        })
    }
}

fn hash(paths: &[JsonPath], event: &Value) -> String {
    let found: Vec<_> = paths
        .iter()
        .map(|path| Value::from_iter(path.query(event).iter().copied().cloned()).to_string())
        .collect();
    let parts: Vec<_> = found.iter().map(String::as_bytes).collect();
    content_id(&parts).to_string()
}
