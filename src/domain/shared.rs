//! What many impacts say alike: kept once, and written down once.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// A value of which copies are the same one, and which is turned into JSON once for all of them.
///
/// It cannot be changed; whoever wants another one makes it. Only as JSON may it be serialised.
pub struct Shared<T>(Arc<Said<T>>);

struct Said<T> {
    value: T,
    /// The value as JSON, from when somebody asks for it.
    json: OnceLock<Option<Box<RawValue>>>,
    /// What tells it from others, likewise.
    mark: OnceLock<Mark>,
}

/// What tells a value from others, on every machine: BLAKE3 of it as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark([u8; 32]);

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<T: Serialize> Shared<T> {
    /// What tells the value from others; found out once for all copies.
    pub fn mark(&self) -> &Mark {
        self.0.mark.get_or_init(|| {
            let json = self.json().map_or("", RawValue::get);
            Mark(blake3::hash(json.as_bytes()).into())
        })
    }

    /// The value as JSON; nothing: it has no form in it.
    fn json(&self) -> Option<&RawValue> {
        let Said { value, json, .. } = &*self.0;
        json.get_or_init(|| to_raw_value(value).ok()).as_deref()
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(Said {
            value,
            json: OnceLock::new(),
            mark: OnceLock::new(),
        }))
    }
}

impl From<&str> for Shared<String> {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.json() {
            Some(json) => json.serialize(to),
            None => self.0.value.serialize(to),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::Shared;
    use crate::domain::impact::Symptom;

    #[test]
    fn it_is_written_and_read_as_what_it_holds() {
        let plain = Symptom {
            status: 401,
            code: "A \"B\"".to_owned(),
            message: "\u{e9}\n".to_owned(),
        };
        let shared = Shared::from(plain.clone());
        let text = serde_json::to_string(&plain).unwrap();
        for _ in 0..2 {
            assert_eq!(serde_json::to_string(&shared.clone()).unwrap(), text);
        }
        assert_eq!(
            serde_json::to_value(&shared).unwrap(),
            serde_json::to_value(&plain).unwrap()
        );
        let read: Shared<Symptom> = serde_json::from_str(&text).unwrap();
        assert_eq!((&read, &*read), (&shared, &plain));
        assert_eq!(format!("{shared:?}"), format!("{plain:?}"));
        let other = Symptom {
            status: 403,
            ..plain
        };
        assert_ne!(read, Shared::from(other));
    }
}
