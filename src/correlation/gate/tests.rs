use std::time::Duration;

use jiff::Timestamp;
use rstest::rstest;

use super::{Answer, Removal, Verdict, gate};
use crate::{
    correlation::PersonHistory,
    domain::{
        Fate, Impact, Key, KeyUse, Outcome, OutcomeResult, Report, Severity, Status,
        impact::{Assessment, Environment},
    },
};

const NOW: Timestamp = Timestamp::constant(1_900_000_000, 0);

fn impact() -> Impact {
    let text = include_str!("../../../schemas/examples/offkey.impact.v1.1.json");
    serde_json::from_str(text).unwrap()
}

fn report(impacts: Vec<Impact>) -> Report {
    let text = include_str!("../../../schemas/examples/offkey.outcome.v1.1.json");
    let outcome: Outcome = serde_json::from_str(text).unwrap();
    let outcome = Outcome {
        result: OutcomeResult::Report,
        ..outcome
    };
    Report { outcome, impacts }
}

/// The key of `impact`, which somebody looked at now and that had so many requests.
fn key(impact: &Impact, requests_7d: u64) -> Key {
    Key {
        provider: impact.key.provider.clone(),
        project: impact.key.project.clone(),
        id: impact.key.id.clone(),
        label: String::new(),
        class: impact.key.class.clone(),
        created_at: None,
        expires_at: None,
        tags: Vec::new(),
        history: Vec::new(),
        uses: vec![KeyUse {
            as_of: NOW,
            requests_7d,
            last_used_at: None,
        }],
    }
}

/// The answer, and what the keys say; each had so many requests, or nobody looked.
fn asked(
    report: &Report,
    requests: Option<u64>,
    accepted: &[&str],
    is_strict: bool,
) -> (Answer, Vec<(Verdict, String)>) {
    let keys = report.impacts.iter();
    let history = PersonHistory {
        keys: keys
            .filter_map(|impact| Some(key(impact, requests?)))
            .collect(),
        ..PersonHistory::default()
    };
    let accepted: Vec<String> = accepted.iter().map(|&key| key.to_owned()).collect();
    let removal = Removal {
        report,
        history: &history,
        now: NOW,
        window: Duration::from_secs(6 * 86_400 + 1),
        accepted: &accepted,
    };
    let (answer, keys) = gate(&removal, is_strict);
    let said = keys.into_iter().map(|key| (key.verdict, key.why));
    (answer, said.collect())
}

#[rstest]
#[case(
    Fate::Dies,
    Some(1),
    Verdict::Blocks,
    "it stops for good, and it had traffic in the last 7 days"
)]
#[case(
    Fate::Dormant,
    Some(1),
    Verdict::Blocks,
    "it stops, and it had traffic in the last 7 days"
)]
#[case(
    Fate::Shrinks,
    Some(1),
    Verdict::Blocks,
    "it may do less, and it had traffic in the last 7 days"
)]
#[case(
    Fate::Unknown,
    None,
    Verdict::Blocks,
    "nobody documents what becomes of it, and nobody knows of its traffic in the last 7 days"
)]
#[case(Fate::Dies, Some(0), Verdict::Clear, "no traffic in the last 7 days")]
#[case(
    Fate::Survives,
    Some(1),
    Verdict::Clear,
    "it stays alive in the person's hands"
)]
#[case(
    Fate::Blocks,
    Some(0),
    Verdict::Blocks,
    "the removal itself is refused"
)]
fn a_production_key_blocks_when_it_stops_and_may_be_in_use(
    #[case] fate: Fate,
    #[case] requests: Option<u64>,
    #[case] verdict: Verdict,
    #[case] why: &str,
) {
    let mut one = impact();
    one.fate = fate;
    let (answer, keys) = asked(&report(vec![one]), requests, &[], false);
    assert_eq!(keys, [(verdict, why.to_owned())]);
    let is_safe = verdict == Verdict::Clear;
    assert_eq!(answer == Answer::Safe, is_safe);
}

#[test]
fn what_would_stop_anyway_and_what_is_no_production_does_not_block() {
    let mut dated = impact();
    let severity = Assessment {
        level: Severity::Info,
        ..(*dated.severity).clone()
    };
    dated.severity = severity.into();
    let why = "it stops on its own date, with or without the removal".to_owned();
    let (answer, keys) = asked(&report(vec![dated]), Some(1), &[], true);
    assert_eq!((answer, keys), (Answer::Safe, vec![(Verdict::Clear, why)]));
    let mut test = impact();
    test.key.environment = Environment::NonProduction;
    let why = "it is not production".to_owned();
    let (answer, keys) = asked(&report(vec![test]), Some(1), &[], true);
    assert_eq!((answer, keys), (Answer::Safe, vec![(Verdict::Clear, why)]));
}

#[test]
fn doubt_waits_only_for_the_strict() {
    let mut one = impact();
    one.key.environment = Environment::Unknown;
    let report = report(vec![one]);
    let why = "it stops for good, it had traffic in the last 7 days, and nothing says whether \
               it is production";
    for (is_strict, answer) in [(false, Answer::Safe), (true, Answer::NotSafe)] {
        let doubt = vec![(Verdict::Doubtful, why.to_owned())];
        assert_eq!(asked(&report, Some(1), &[], is_strict), (answer, doubt));
    }
}

#[rstest]
#[case(&["k-1"], Verdict::Accepted)]
#[case(&["another", "deepgram/p-1/k-1"], Verdict::Accepted)]
#[case(&["another"], Verdict::Blocks)]
#[case(&["deepgram/p-2/k-1"], Verdict::Blocks)]
#[case(&[], Verdict::Blocks)]
fn a_loss_is_accepted_by_the_keys_name(#[case] accepted: &[&str], #[case] verdict: Verdict) {
    let report = report(vec![impact()]);
    let (_, keys) = asked(&report, Some(1), accepted, false);
    assert_eq!(keys[0].0, verdict);
    let is_said = keys[0].1.ends_with("; accepted by hand");
    assert_eq!(is_said, verdict == Verdict::Accepted);
    // What is no reason to wait needs nobody's word.
    let (_, idle) = asked(&report, Some(0), accepted, false);
    assert_eq!(
        idle,
        [(Verdict::Clear, "no traffic in the last 7 days".to_owned())]
    );
}

#[test]
fn the_worst_comes_first_and_what_is_resolved_not_at_all() {
    let (mut clear, mut done, mut others) = (impact(), impact(), impact());
    clear.fate = Fate::Survives;
    done.status = Status::Superseded;
    others.key.id = "another".to_owned();
    let report = report(vec![clear, done, others]);
    let (answer, keys) = asked(&report, Some(1), &[], false);
    let verdicts: Vec<_> = keys.iter().map(|(verdict, _)| *verdict).collect();
    assert_eq!(verdicts, [Verdict::Blocks, Verdict::Clear]);
    assert_eq!(answer, Answer::NotSafe);
}

#[rstest]
#[case(OutcomeResult::Report, Answer::Safe)]
#[case(OutcomeResult::NoKeys, Answer::Safe)]
#[case(OutcomeResult::NoEffect, Answer::Safe)]
#[case(OutcomeResult::UnknownPerson, Answer::UnknownPerson)]
#[case(OutcomeResult::Ambiguous, Answer::NotSafe)]
fn without_a_key_the_outcome_answers(#[case] result: OutcomeResult, #[case] answer: Answer) {
    let mut report = report(Vec::new());
    report.outcome.result = result;
    assert_eq!(asked(&report, None, &[], false), (answer, Vec::new()));
}

#[test]
fn traffic_is_that_of_the_key_itself() {
    let one = impact();
    let mut other = key(&one, 1);
    other.project = "another".to_owned();
    let report = report(vec![one.clone()]);
    let history = PersonHistory {
        keys: vec![other, key(&one, 0)],
        ..PersonHistory::default()
    };
    let removal = Removal {
        report: &report,
        history: &history,
        now: NOW,
        window: Duration::from_secs(86_400),
        accepted: &[],
    };
    let (answer, keys) = gate(&removal, true);
    assert_eq!((answer, keys[0].verdict), (Answer::Safe, Verdict::Clear));
    assert_eq!(keys[0].why, "no traffic in the last 1 days");
}

#[test]
fn its_name_is_the_one_in_json() {
    use Verdict::{Accepted, Blocks, Clear, Doubtful};
    for one in [Blocks, Doubtful, Accepted, Clear] {
        assert_eq!(serde_json::to_value(one).unwrap(), one.label());
    }
}
