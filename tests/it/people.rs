//! Who is who, by the operator's rules.

use crate::harness::Stage;

#[test]
fn a_leaver_under_another_spelling_of_the_address_is_the_person_with_the_keys() {
    let rules = "[people]\nplus_addressing = true\n\
                 domain_aliases = { \"corp.example\" = \"example.com\" }\n";
    let stage = Stage::set_with("1h", |_| rules.to_owned());
    let _service = stage.start();
    let plain = stage.report(stage.leave("msg_1", "ada@example.com"));
    let other = stage.report(stage.leave("msg_2", "ada+offboarding@corp.example"));
    assert_eq!(other.outcome.person.id, "ada@example.com");
    assert!(!plain.impacts.is_empty());
    assert_eq!(other.impacts.len(), plain.impacts.len());

    let preview = stage.offkey(&["preview", "--person", "Ada+x@Corp.Example"]);
    assert_eq!(preview.status.code(), Some(3), "{preview:?}");
}

#[test]
fn rules_that_cannot_be_meant_are_named_and_end_with_two() {
    let rules = "[people]\ndomain_aliases = { \"a.example\" = \"a.example\" }\n";
    let stage = Stage::set_with("1h", |_| rules.to_owned());
    let output = stage.offkey(&["serve"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("domain_aliases"), "{text}");
}
