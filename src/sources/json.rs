//! JSON that has one meaning: what two readers could read differently is refused.

use std::collections::HashSet;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json_borrow::{ObjectAsVec, Value};

/// The text of `body`, which is usable as [`tree`] says.
///
/// # Errors
/// What is wrong and where, without quoting the text.
pub(super) fn check(body: &[u8]) -> Result<&str, String> {
    let text = text(body)?;
    strictly(text)?;
    Ok(text)
}

/// What `body` says, which is one JSON text (RFC 8259) without a byte order mark, without keys
/// given twice, lone surrogates, NUL characters, numbers out of range or more than 128 levels.
///
/// # Errors
/// What is wrong and where, without quoting the text.
pub(super) fn tree(body: &[u8]) -> Result<Value<'_>, String> {
    strictly(text(body)?)
}

fn text(body: &[u8]) -> Result<&str, String> {
    if body.is_empty() {
        return Err("the body is empty".to_owned());
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err("the body starts with a byte order mark; leave it out".to_owned());
    }
    std::str::from_utf8(body).map_err(|fault| {
        let at = fault.valid_up_to();
        format!("the body is not usable JSON: it is no UTF-8 from byte {at} on")
    })
}

fn strictly(text: &str) -> Result<Value<'_>, String> {
    let unusable = |why: &str| format!("the body is not usable JSON: {why}");
    let value = serde_json::from_str(text).map_err(|fault| unusable(&fault.to_string()))?;
    let strict = Strict {
        may_hold_nul: text.contains("\\u0000"),
    };
    strict.value(&value).map_err(unusable)?;
    Ok(value)
}

/// Reads `value` as a `T` that stands at `path` in the body.
///
/// # Errors
/// The path and what is wrong there. It can name a field, and quote the value of one we read.
pub(super) fn of<'a, T: Deserialize<'a>>(value: &'a Value<'_>, path: &str) -> Result<T, String> {
    T::deserialize(value).map_err(|fault| format!("{path}: {fault}"))
}

/// Reads `text`, which passed [`check`], as a `T` that stands at `path` in the body.
///
/// # Errors
/// The path and what is wrong there. It can name a field, and quote the value of one we read.
pub(super) fn read<T: DeserializeOwned>(text: &str, path: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|fault| {
        let whole = fault.to_string();
        // The line and column would count from the start of the part, not of the body.
        let what = whole
            .rsplit_once(" at line ")
            .map_or(whole.as_str(), |(what, _)| what);
        format!("{path}: {what}")
    })
}

/// Refuses what the parser lets pass.
struct Strict {
    /// Whether the text escapes one somewhere; unescaped, no JSON holds any.
    may_hold_nul: bool,
}

impl Strict {
    fn value(&self, value: &Value<'_>) -> Result<(), &'static str> {
        match value {
            Value::Str(text) => self.text(text, "a string holds the NUL character"),
            Value::Array(items) => items.iter().try_for_each(|item| self.value(item)),
            Value::Object(fields) => self.object(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn object(&self, fields: &ObjectAsVec<'_>) -> Result<(), &'static str> {
        if !is_each_once(fields) {
            return Err("an object gives one key twice");
        }
        fields.iter().try_for_each(|(key, value)| {
            self.text(key, "a key holds the NUL character")?;
            self.value(value)
        })
    }

    fn text(&self, text: &str, why: &'static str) -> Result<(), &'static str> {
        let holds_nul = self.may_hold_nul && text.contains('\0');
        if holds_nul { Err(why) } else { Ok(()) }
    }
}

/// Most objects have few keys, and looking through them is quicker than hashing.
const FEW: usize = 16;

fn is_each_once(fields: &ObjectAsVec<'_>) -> bool {
    if fields.len() > FEW {
        let mut seen = HashSet::with_capacity(fields.len());
        return fields.keys().all(|key| seen.insert(key));
    }
    let mut keys = fields.keys().enumerate();
    keys.all(|(at, key)| !fields.keys().take(at).any(|before| before == key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use rstest::rstest;

    use super::check;

    #[rstest]
    #[case::empty(b"".to_vec(), "empty")]
    #[case::byte_order_mark(b"\xef\xbb\xbf{}".to_vec(), "byte order mark")]
    #[case::key_twice(br#"{"a":{"b":1,"b":2}}"#.to_vec(), "one key twice")]
    #[case::key_twice_by_escape(br#"{"a":1,"\u0061":2}"#.to_vec(), "one key twice")]
    #[case::lone_surrogate(br#"{"a":"\ud800"}"#.to_vec(), "not usable JSON")]
    #[case::lone_surrogate_in_a_list(br#"["\udc00x"]"#.to_vec(), "not usable JSON")]
    #[case::escaped_nul(br#"{"a":"\u0000"}"#.to_vec(), "NUL")]
    #[case::escaped_nul_in_a_key(br#"[{"a\u0000":1}]"#.to_vec(), "NUL")]
    #[case::raw_nul(b"{\"a\":\"\0\"}".to_vec(), "control character")]
    #[case::number_out_of_range(br#"{"a":1e999}"#.to_vec(), "out of range")]
    #[case::not_a_number(br#"{"a":NaN}"#.to_vec(), "not usable JSON")]
    #[case::not_utf8(b"{\"a\":\"\xff\"}".to_vec(), "UTF-8 from byte 6")]
    #[case::something_behind(br"{} {}".to_vec(), "trailing")]
    #[case::too_deep("[".repeat(100_000).into_bytes(), "recursion limit")]
    fn what_has_two_meanings_or_none_is_refused(#[case] body: Vec<u8>, #[case] why: &str) {
        let said = check(&body).unwrap_err();
        assert!(said.contains(why), "{said}");
    }

    #[test]
    fn a_key_given_twice_is_found_among_many() {
        for (first, second) in [(0, 39), (20, 39), (0, 1), (30, 31)] {
            let keys: Vec<String> = (0..40)
                .map(|n| format!("\"{}\":0", if n == second { first } else { n }))
                .collect();
            let said = check(format!("{{{}}}", keys.join(",")).as_bytes()).unwrap_err();
            assert!(said.contains("one key twice"), "{said}");
        }
    }

    #[test]
    fn the_refusal_does_not_quote_the_text() {
        let said = check(br#"{"salary-of-ada":1,"salary-of-ada":2}"#).unwrap_err();
        assert!(!said.contains("salary"), "{said}");
    }

    #[test]
    fn ordinary_json_passes() {
        let body = br#" {"a":[1,-2,3.5e2,null,true],"b":{"a":"\ud83d\ude00"},"":""} "#;
        assert_eq!(check(body).map(str::as_bytes), Ok(&body[..]));
    }

    #[test]
    fn what_only_looks_like_a_nul_passes() {
        assert!(check(br#"{"a":"\\u0000"}"#).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let expected = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
            // It may be stricter than the plain reader, never laxer.
            assert!(expected || check(&body).is_err());
        }
    }
}
