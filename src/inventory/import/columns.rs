//! The columns, by the names in the first line.

use csv::ByteRecord;

/// Every file has these.
pub const REQUIRED: [&str; 4] = ["project", "key", "class", "creator"];
/// A file may have these; an empty field says nothing.
pub const OPTIONAL: [&str; 10] = [
    "project_name",
    "label",
    "creator_email",
    "creator_name",
    "scopes",
    "tags",
    "created_at",
    "expires_at",
    "last_used_at",
    "requests_7d",
];

/// Where each column stands.
#[derive(Debug)]
pub(super) struct Columns(Vec<&'static str>);

impl Columns {
    /// Reads the first line.
    pub(super) fn of(header: &ByteRecord) -> Result<Self, String> {
        let mut found: Vec<&'static str> = Vec::new();
        for field in header {
            let name = String::from_utf8_lossy(field).trim().to_lowercase();
            let known = REQUIRED
                .into_iter()
                .chain(OPTIONAL)
                .find(|known| *known == name);
            match known {
                None => return Err(unknown(&name)),
                Some(known) if found.contains(&known) => {
                    return Err(format!("there are two columns {known:?}"));
                }
                Some(known) => found.push(known),
            }
        }
        let missing: Vec<&str> = REQUIRED
            .into_iter()
            .filter(|name| !found.contains(name))
            .collect();
        if missing.is_empty() {
            Ok(Self(found))
        } else {
            Err(format!(
                "the first line lacks the column {}",
                missing.join(", ")
            ))
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The field of a column; nothing: the file has no such column, or the field is empty.
    pub(super) fn field<'a>(
        &self,
        row: &'a ByteRecord,
        name: &str,
    ) -> Result<Option<&'a str>, String> {
        let place = self.0.iter().position(|known| *known == name);
        let Some(field) = place.and_then(|place| row.get(place)) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(field)
            .map_err(|_| format!("{name} is not UTF-8"))?
            .trim();
        if text.chars().any(char::is_control) && name != "label" {
            return Err(format!(
                "{name} has a line break or control character in it"
            ));
        }
        Ok((!text.is_empty()).then_some(text))
    }
}

fn unknown(name: &str) -> String {
    if name.contains([';', '\t']) {
        return "the first line names no columns: part them with commas".to_owned();
    }
    format!(
        "nobody knows the column {name:?}; there have to be {}, there may be {}",
        REQUIRED.join(", "),
        OPTIONAL.join(", ")
    )
}
