//! How bad it is: a table, and the row of it that decided.

use serde::Deserialize;

use crate::domain::{Fate, Returns, Severity, impact::Environment};

/// How much a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// There were requests lately.
    Active,
    /// None lately, but not so long ago that a monthly job would not look the same.
    Seasonal,
    /// There were none for longer.
    Idle,
    /// Nobody could tell.
    Unknown,
}

/// How well it is known what becomes of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A page says it.
    Documented,
    /// No page says it outright.
    Inferred,
    /// Nobody says it.
    Undocumented,
}

/// How long there was between the source's word and the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLeft {
    /// None: it was too late already.
    None,
    /// Less than the policy's `ample_notice`.
    Short,
    /// As much, or more.
    Ample,
}

/// What the severity of one impact depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What becomes of the key.
    pub fate: Fate,
    /// Where it is used.
    pub environment: Environment,
    /// How much it is used.
    pub usage: Use,
    /// How well that fate is known.
    pub proof: Proof,
    /// How long there is to act.
    pub time_left: TimeLeft,
    /// Whether somebody can take it over.
    pub successor: bool,
    /// Whether Offkey itself reads the provider with it.
    pub ours: bool,
    /// When somebody came back: whether the key does.
    pub returns: Option<Returns>,
    /// Whether another key took its place in the meantime.
    pub replaced: bool,
}

/// One row of the severity table; an absent or empty column fits everything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeverityRow {
    /// What becomes of the key.
    #[serde(default)]
    pub fate: Vec<Fate>,
    /// Where it is used.
    #[serde(default)]
    pub environment: Vec<Environment>,
    /// How much it is used.
    #[serde(default, rename = "use")]
    pub usage: Vec<Use>,
    /// How well the fate is known.
    #[serde(default)]
    pub proof: Vec<Proof>,
    /// How long there is to act.
    #[serde(default)]
    pub time_left: Vec<TimeLeft>,
    /// Whether somebody can take it over.
    #[serde(default)]
    pub successor: Option<bool>,
    /// Whether Offkey itself reads the provider with it.
    #[serde(default)]
    pub ours: Option<bool>,
    /// When somebody came back: whether the key does.
    #[serde(default)]
    pub returns: Vec<Returns>,
    /// Whether another key took its place in the meantime.
    #[serde(default)]
    pub replaced: Option<bool>,
    /// How bad that is.
    pub level: Severity,
    /// Why, for a person to read.
    #[serde(default)]
    pub because: String,
}

/// A level, and what decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// How bad it is.
    pub level: Severity,
    /// The place of the row that said so, from 0; absent: none fits.
    pub row: Option<usize>,
}

/// What the first row that fits says; what no row fits is `high`, because nobody decided.
#[must_use]
pub fn decide(table: &[SeverityRow], case: &Case) -> Decision {
    let row = table.iter().position(|row| row.fits(case));
    let decided = row.and_then(|row| table.get(row));
    Decision {
        level: decided.map_or(Severity::High, |row| row.level),
        row,
    }
}

impl Decision {
    /// Which row of `table` decided, and why, for a person to read.
    #[must_use]
    pub fn said(&self, table: &[SeverityRow]) -> String {
        match self.row.and_then(|row| Some((row + 1, table.get(row)?))) {
            Some((number, row)) => format!("row {number} ({})", row.said()),
            None => "no row fits, and nobody decided".to_owned(),
        }
    }
}

impl SeverityRow {
    fn fits(&self, case: &Case) -> bool {
        let returns = self.returns.is_empty()
            || case
                .returns
                .is_some_and(|back| self.returns.contains(&back));
        fits(&self.fate, &case.fate)
            && fits(&self.environment, &case.environment)
            && fits(&self.usage, &case.usage)
            && fits(&self.proof, &case.proof)
            && fits(&self.time_left, &case.time_left)
            && self.successor.is_none_or(|is| is == case.successor)
            && self.ours.is_none_or(|is| is == case.ours)
            && returns
            && self.replaced.is_none_or(|is| is == case.replaced)
    }

    /// The columns as the configuration writes them, and why.
    fn said(&self) -> String {
        let list = |name: &str, words: Vec<String>| {
            (!words.is_empty()).then(|| format!("{name} {}", words.join(" or ")))
        };
        let word = |name: &str, is: Option<bool>| {
            is.map(|is| format!("{name} {}", if is { "yes" } else { "no" }))
        };
        let columns = [
            list("fate", self.fate.iter().map(ToString::to_string).collect()),
            list("environment", labels(&self.environment, Environment::label)),
            list("use", labels(&self.usage, Use::label)),
            list("proof", labels(&self.proof, Proof::label)),
            list("time left", labels(&self.time_left, TimeLeft::label)),
            word("successor", self.successor),
            word("ours", self.ours),
            list("returns", labels(&self.returns, Returns::label)),
            word("replaced", self.replaced),
        ];
        let columns: Vec<String> = columns.into_iter().flatten().collect();
        let columns = if columns.is_empty() {
            "everything".to_owned()
        } else {
            columns.join(", ")
        };
        match self.because.as_str() {
            "" => columns,
            because => format!("{columns}: {because}"),
        }
    }
}

fn fits<T: PartialEq>(column: &[T], value: &T) -> bool {
    column.is_empty() || column.contains(value)
}

fn labels<T: Copy>(column: &[T], label: impl Fn(T) -> &'static str) -> Vec<String> {
    column.iter().map(|&one| label(one).to_owned()).collect()
}

impl Use {
    /// The name in the configuration.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Seasonal => "seasonal",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
        }
    }
}

impl Proof {
    /// The name in the configuration.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Inferred => "inferred",
            Self::Undocumented => "undocumented",
        }
    }
}

impl TimeLeft {
    /// The name in the configuration.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Short => "short",
            Self::Ample => "ample",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, SeverityRow};
    use crate::domain::Severity;

    #[test]
    fn the_row_that_decided_is_told_as_the_configuration_writes_it() {
        let row = "fate = [\"dies\", \"dormant\"]\nenvironment = [\"production\"]\n\
                   use = [\"active\", \"seasonal\", \"idle\", \"unknown\"]\n\
                   proof = [\"documented\", \"inferred\", \"undocumented\"]\n\
                   time_left = [\"none\", \"short\", \"ample\"]\n\
                   successor = true\nours = false\nreturns = [\"comes_back\"]\nreplaced = true\n\
                   level = \"low\"\nbecause = \"we say so\"";
        let all: SeverityRow = toml::from_str(row).unwrap();
        let any: SeverityRow = toml::from_str("level = \"high\"").unwrap();
        let table = [all, any];
        let said = |row| {
            let level = Severity::Low;
            Decision { level, row }.said(&table)
        };
        assert_eq!(
            said(Some(0)),
            "row 1 (fate dies or dormant, environment production, use active or seasonal or idle or \
             unknown, proof documented or inferred or undocumented, time left none or short or \
             ample, successor yes, ours no, returns comes_back, replaced yes: we say so)"
        );
        assert_eq!(said(Some(1)), "row 2 (everything)");
        assert_eq!(said(None), "no row fits, and nobody decided");
    }
}
