//! Properties of everything that is said, over generated stories: what the final reports name does
//! not depend on how a story came to be known, and is what a plain look at it says.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that cannot be told should stop the test"
)]

mod generate;
mod reference;
mod run;
mod story;
mod way;

use std::collections::BTreeMap;

use offkey::{
    catalogue::Catalogue,
    domain::{Fate, OutcomeResult, Report, Severity, Status},
};
use proptest::prelude::*;

use self::{
    generate::story,
    reference::{Expected, expected},
    run::{Heard, tell},
    story::Story,
    way::{Way, way},
};

fn keys_of(report: &Report) -> BTreeMap<String, Fate> {
    let holds = report
        .impacts
        .iter()
        .filter(|impact| impact.status != Status::Withdrawn);
    holds
        .map(|impact| (impact.key.id.clone(), impact.fate))
        .collect()
}

fn found(report: &Report) -> Expected {
    match report.outcome.result {
        OutcomeResult::Report => Expected::Keys(keys_of(report)),
        OutcomeResult::NoKeys => Expected::Keys(BTreeMap::new()),
        OutcomeResult::UnknownPerson => Expected::Nobody,
        OutcomeResult::NoEffect => Expected::Nothing,
        OutcomeResult::Ambiguous => panic!("somebody is meant: {:?}", report.outcome),
    }
}

fn told(story: &Story, way: &Way, catalogue: &Catalogue) -> Heard {
    tell(&way.batches(&story.told()), catalogue)
}

fn catalogue() -> Catalogue {
    Catalogue::built_in().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn final_reports_name_the_keys_and_fates_that_a_plain_look_finds(
        story in story(),
        way in way(),
    ) {
        let heard = told(&story, &way, &catalogue());
        for event in &story.events {
            let report = &heard.last[&event.change(&story).id.to_string()];
            let expected = expected(&story, event);
            if expected != Expected::NotAsked {
                prop_assert_eq!(found(report), expected, "{:?}\n{:?}", event, report.outcome);
            }
        }
    }

    #[test]
    fn the_way_by_which_a_story_becomes_known_changes_no_final_report(
        story in story(),
        one in way(),
        other in way(),
    ) {
        let catalogue = catalogue();
        let prompt: Vec<_> = story.told().into_iter().map(|one| vec![one.record]).collect();
        let prompt = tell(&prompt, &catalogue);
        for way in [one, other] {
            let heard = told(&story, &way, &catalogue);
            for (id, report) in &prompt.last {
                let other = &heard.last[id];
                prop_assert_eq!(&report.outcome.digest, &other.outcome.digest,
                    "{:#?}\n{:#?}", report, other);
                prop_assert_eq!(keys_of(report), keys_of(other));
            }
            prop_assert_eq!(prompt.outcomes().len(), heard.outcomes().len());
        }
    }

    #[test]
    fn revisions_count_up_and_each_says_something_new(story in story(), way in way()) {
        let heard = told(&story, &way, &catalogue());
        for reports in heard.said.values() {
            let revisions: Vec<u32> = reports.iter().map(|one| one.outcome.revision).collect();
            let counted: Vec<u32> = (1..).take(reports.len()).collect();
            prop_assert_eq!(revisions, counted);
            for pair in reports.windows(2) {
                prop_assert_ne!(&pair[0].outcome.digest, &pair[1].outcome.digest);
            }
        }
        for impacts in heard.revisions().values() {
            let revisions: Vec<u32> = impacts.iter().map(|one| one.revision).collect();
            let counted: Vec<u32> = (1..).take(impacts.len()).collect();
            prop_assert_eq!(revisions, counted);
            for pair in impacts.windows(2) {
                let mut again = pair[1].clone();
                again.revision = pair[0].revision;
                again.report_digest.clone_from(&pair[0].report_digest);
                prop_assert_ne!(&again, &pair[0]);
            }
        }
    }

    #[test]
    fn no_impact_comes_without_a_rule_and_unknown_is_no_small_matter(
        story in story(),
        way in way(),
    ) {
        let catalogue = catalogue();
        let heard = told(&story, &way, &catalogue);
        for impact in heard.said.values().flatten().flat_map(|one| &one.impacts) {
            let rule = &impact.rule;
            prop_assert!(!rule.says.is_empty() && !rule.checked.is_empty(), "{:?}", rule);
            let is_in_catalogue = catalogue.rule_named(&rule.rule).is_some();
            prop_assert!(is_in_catalogue && rule.url.starts_with("https://"), "{:?}", rule);
            if impact.fate == Fate::Unknown && impact.status == Status::Open {
                prop_assert!(impact.severity.level > Severity::Low, "{:?}", impact.severity);
            }
        }
    }
}
