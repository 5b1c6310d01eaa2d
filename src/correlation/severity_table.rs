//! The severity table that holds where the operator gives none, with a reason a row.

use super::severity::{Proof, SeverityRow, TimeLeft, Use};
use crate::domain::{Fate, Returns, Severity, impact::Environment};

const STOPS: [Fate; 3] = [Fate::Dies, Fate::Dormant, Fate::Shrinks];
const ALIVE: [Fate; 2] = [Fate::Survives, Fate::Unknown];
const WORKS_AGAIN: [Returns; 2] = [Returns::ComesBack, Returns::NeverStopped];

/// The rows, the first that fits counts.
pub(super) fn default_table() -> Vec<SeverityRow> {
    let mut rows = Vec::from(who_came_back());
    rows.push(SeverityRow {
        ours: Some(true),
        ..row(
            Severity::Critical,
            "it is the key that Offkey reads the provider with",
        )
    });
    rows.extend(what_stops_production());
    rows.extend(what_stops_elsewhere());
    rows.extend(what_lives());
    rows
}

fn row(level: Severity, because: &str) -> SeverityRow {
    SeverityRow {
        fate: Vec::new(),
        environment: Vec::new(),
        usage: Vec::new(),
        proof: Vec::new(),
        time_left: Vec::new(),
        successor: None,
        ours: None,
        returns: Vec::new(),
        replaced: None,
        level,
        because: because.to_owned(),
    }
}

fn who_came_back() -> [SeverityRow; 4] {
    let again = |replaced, level, because| SeverityRow {
        returns: WORKS_AGAIN.to_vec(),
        replaced,
        ..row(level, because)
    };
    let unwatched = "it works although it was replaced, and nobody watches it any more";
    [
        SeverityRow {
            environment: vec![Environment::NonProduction],
            ..again(Some(true), Severity::Medium, unwatched)
        },
        again(Some(true), Severity::High, unwatched),
        again(
            None,
            Severity::Info,
            "it works as before, in the hands of somebody who may have it",
        ),
        SeverityRow {
            returns: vec![Returns::GoneForGood],
            replaced: Some(true),
            ..row(Severity::Info, "its callers have another key already")
        },
    ]
}

fn stops(environment: Environment, usage: &[Use], level: Severity, because: &str) -> SeverityRow {
    SeverityRow {
        fate: STOPS.to_vec(),
        environment: vec![environment],
        usage: usage.to_vec(),
        ..row(level, because)
    }
}

fn what_stops_production() -> [SeverityRow; 5] {
    use Environment::Production;
    [
        stops(
            Production,
            &[Use::Active],
            Severity::Critical,
            "customers notice",
        ),
        stops(
            Production,
            &[Use::Unknown],
            Severity::High,
            "nobody can tell whether customers notice",
        ),
        stops(
            Production,
            &[Use::Seasonal],
            Severity::High,
            "a job that runs once a month notices next time",
        ),
        SeverityRow {
            successor: Some(false),
            ..stops(
                Production,
                &[Use::Idle],
                Severity::High,
                "nobody is there to say whether it is still needed",
            )
        },
        stops(
            Production,
            &[],
            Severity::Medium,
            "nothing used it lately, and it is production's",
        ),
    ]
}

fn what_stops_elsewhere() -> [SeverityRow; 6] {
    use Environment::{NonProduction, Unknown as Unclear};
    [
        stops(
            Unclear,
            &[Use::Active],
            Severity::High,
            "it is used, and may be production's",
        ),
        stops(
            Unclear,
            &[],
            Severity::Medium,
            "it may be production's, and seems unused",
        ),
        SeverityRow {
            time_left: vec![TimeLeft::Ample],
            ..stops(
                NonProduction,
                &[Use::Active],
                Severity::Low,
                "colleagues notice, and there is time to move them",
            )
        },
        stops(
            NonProduction,
            &[Use::Active],
            Severity::Medium,
            "colleagues notice",
        ),
        SeverityRow {
            proof: vec![Proof::Inferred, Proof::Undocumented],
            ..stops(
                NonProduction,
                &[],
                Severity::Medium,
                "no page says it outright: it may stay alive instead",
            )
        },
        stops(NonProduction, &[], Severity::Low, "nobody used it lately"),
    ]
}

fn what_lives() -> [SeverityRow; 3] {
    let of = |fate: &[Fate], environment: &[Environment], level, because| SeverityRow {
        fate: fate.to_vec(),
        environment: environment.to_vec(),
        ..row(level, because)
    };
    [
        of(
            &ALIVE,
            &[Environment::NonProduction],
            Severity::Medium,
            "it opens nothing of production, and may be in the wrong hands",
        ),
        of(
            &ALIVE,
            &[],
            Severity::High,
            "it may open production, and be in the wrong hands",
        ),
        of(
            &[Fate::Blocks],
            &[],
            Severity::High,
            "nobody can be removed until it is dealt with",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::default_table;
    use crate::{
        correlation::severity::{Case, Proof, TimeLeft, Use, decide},
        domain::{Fate, Returns, Severity, impact::Environment},
    };

    /// A key of production in full use dies, and everything else is as usual.
    const CASE: Case = Case {
        fate: Fate::Dies,
        environment: Environment::Production,
        usage: Use::Active,
        proof: Proof::Documented,
        time_left: TimeLeft::Short,
        successor: true,
        ours: false,
        returns: None,
        replaced: false,
    };

    const DEV: Case = Case {
        environment: Environment::NonProduction,
        ..CASE
    };
    const UNCLEAR: Case = Case {
        environment: Environment::Unknown,
        ..CASE
    };
    const BACK: Case = Case {
        fate: Fate::Survives,
        returns: Some(Returns::ComesBack),
        ..CASE
    };
    const GONE: Case = Case {
        returns: Some(Returns::GoneForGood),
        ..CASE
    };

    #[rstest]
    #[case(1, Case { replaced: true, environment: Environment::NonProduction, ..BACK }, Severity::Medium)]
    #[case(2, Case { replaced: true, ..BACK }, Severity::High)]
    #[case(2, Case { replaced: true, returns: Some(Returns::NeverStopped), ..BACK }, Severity::High)]
    #[case(3, BACK, Severity::Info)]
    #[case(3, Case { ours: true, ..BACK }, Severity::Info)]
    #[case(3, Case { returns: Some(Returns::NeverStopped), ..BACK }, Severity::Info)]
    #[case(4, Case { replaced: true, ..GONE }, Severity::Info)]
    #[case(18, Case { replaced: true, returns: Some(Returns::Unknown), ..BACK }, Severity::High)]
    #[case(5, Case { ours: true, ..DEV }, Severity::Critical)]
    #[case(5, Case { ours: true, fate: Fate::Survives, ..DEV }, Severity::Critical)]
    #[case(6, CASE, Severity::Critical)]
    #[case(6, GONE, Severity::Critical)]
    #[case(6, Case { fate: Fate::Shrinks, ..CASE }, Severity::Critical)]
    #[case(7, Case { usage: Use::Unknown, ..CASE }, Severity::High)]
    #[case(8, Case { usage: Use::Seasonal, ..CASE }, Severity::High)]
    #[case(9, Case { usage: Use::Idle, successor: false, ..CASE }, Severity::High)]
    #[case(10, Case { usage: Use::Idle, ..CASE }, Severity::Medium)]
    #[case(11, Case { fate: Fate::Shrinks, ..UNCLEAR }, Severity::High)]
    #[case(12, Case { fate: Fate::Dormant, usage: Use::Idle, ..UNCLEAR }, Severity::Medium)]
    #[case(12, Case { usage: Use::Seasonal, ..UNCLEAR }, Severity::Medium)]
    #[case(13, Case { time_left: TimeLeft::Ample, ..DEV }, Severity::Low)]
    #[case(14, DEV, Severity::Medium)]
    #[case(14, Case { time_left: TimeLeft::None, ..DEV }, Severity::Medium)]
    #[case(15, Case { usage: Use::Idle, proof: Proof::Inferred, ..DEV }, Severity::Medium)]
    #[case(16, Case { usage: Use::Idle, ..DEV }, Severity::Low)]
    #[case(17, Case { fate: Fate::Survives, ..DEV }, Severity::Medium)]
    #[case(17, Case { fate: Fate::Unknown, proof: Proof::Undocumented, ..DEV }, Severity::Medium)]
    #[case(18, Case { fate: Fate::Survives, usage: Use::Idle, ..CASE }, Severity::High)]
    #[case(18, Case { fate: Fate::Unknown, usage: Use::Unknown, ..UNCLEAR }, Severity::High)]
    #[case(19, Case { fate: Fate::Blocks, usage: Use::Idle, ..DEV }, Severity::High)]
    fn each_row_decides_its_cases(
        #[case] number: usize,
        #[case] case: Case,
        #[case] level: Severity,
    ) {
        let decision = decide(&default_table(), &case);
        let said = format!("row {number} (");
        let row = decision.said(&default_table());
        assert!(row.starts_with(&said), "{said}: {row}");
        assert_eq!(decision.level, level);
    }

    #[test]
    fn each_row_says_why_and_none_is_left_over() {
        let table = default_table();
        assert_eq!(table.len(), 19);
        assert!(table.iter().all(|row| !row.because.is_empty()));
    }

    #[test]
    fn what_no_row_fits_is_high_because_nobody_decided() {
        let decision = decide(&[], &CASE);
        assert_eq!(decision.level, Severity::High);
        assert!(decision.said(&[]).starts_with("no row"), "{decision:?}");
    }

    #[test]
    fn a_row_names_its_columns_as_the_configuration_writes_them() {
        let text = r#"
            fate = ["dies"]
            use = ["seasonal"]
            time_left = ["ample", "short"]
            successor = false
            level = "low"
            because = "we looked"
        "#;
        let row = toml::from_str(text).unwrap();
        let case = Case {
            usage: Use::Seasonal,
            successor: false,
            ..CASE
        };
        let table: [super::SeverityRow; 1] = [row];
        let decision = decide(&table, &case);
        assert_eq!(
            decision.said(&table),
            "row 1 (fate dies, use seasonal, time left ample or short, successor no: we looked)"
        );
        let without_level = text.replace("level = \"low\"", "");
        assert!(toml::from_str::<super::SeverityRow>(&without_level).is_err());
    }
}
