//! Whose leaving would break most, and who would keep most.

use std::fs;

use offkey::clock::{Clock as _, SystemClock};
use serde_json::Value;

use crate::harness::{Stage, until};

fn exposure(stage: &Stage, more: &[&str]) -> Value {
    let output = stage.offkey(&[&["exposure", "--json"], more].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn people(findings: &Value) -> Vec<&str> {
    let rows = findings["people"].as_array().unwrap().iter();
    rows.map(|row| row["person"].as_str().unwrap()).collect()
}

#[test]
fn people_are_ranked_by_what_breaks_or_by_what_they_keep_and_projects_by_how_few_they_rest_on() {
    let stage = Stage::set_with("1h", |_| {
        "[[provider]]\nname = \"gh\"\nkind = \"import\"\ncatalogue = \"github\"\n".to_owned()
    });
    let _service = stage.start();
    let before = exposure(&stage, &["--top", "100"]);
    let now = SystemClock.now();
    let used = format!("prod,9,{now}");
    let rows = [
        // Three break with kim, one with lou, and whoever has no address counts as well.
        format!("acme/web,k1,classic-pat,kim-gh,kim@example.com,{used}"),
        format!("acme/web,k2,classic-pat,kim-gh,kim@example.com,{used}"),
        format!("acme/web,k3,classic-pat,kim-gh,kim@example.com,{used}"),
        format!("acme/web,l1,classic-pat,lou-gh,lou@example.com,{used}"),
        format!("acme/web,l2,deploy-key,lou-gh,lou@example.com,{used}"),
        format!("acme/web,l3,deploy-key,lou-gh,lou@example.com,{used}"),
        format!("acme/web,x1,classic-pat,ghost-gh,,{used}"),
        "acme/web,x2,classic-pat,ghost-gh,,prod,,".to_owned(),
    ];
    let head = "project,key,class,creator,creator_email,tags,requests_7d,last_used_at";
    let file = stage.path("keys.csv");
    fs::write(&file, format!("{head}\n{}\n", rows.join("\n"))).unwrap();
    let file = file.display().to_string();
    let output = stage.offkey(&["keys", "import", &file, "--provider", "gh"]);
    assert!(output.status.success(), "{output:?}");
    until("the keys", || {
        let keys = stage.read(|reader| reader.keys_of("gh").unwrap().len());
        (keys == Some(rows.len())).then_some(())
    });

    let findings = exposure(&stage, &["--top", "100"]);
    let counted = |findings: &Value| findings["counted"].as_u64().unwrap();
    assert_eq!(counted(&findings), counted(&before) + 3);
    assert_eq!(people(&findings)[0], "kim@example.com");
    let of = |person: &str| {
        let mut rows = findings["people"].as_array().unwrap().iter();
        let row = rows.find(|row| row["person"] == person).unwrap();
        ["breaks", "perhaps", "keeps"].map(|name| row[name].as_u64().unwrap())
    };
    assert_eq!(of("kim@example.com"), [3, 0, 0]);
    assert_eq!(of("lou@example.com"), [1, 0, 2]);
    assert_eq!(of("gh:ghost-gh"), [1, 1, 0]);
    let first = exposure(&stage, &["--by", "keeps", "--top", "1"]);
    assert_eq!(people(&first), ["lou@example.com"]);
    let mut projects = findings["projects"].as_array().unwrap().iter();
    let web = projects
        .find(|project| project["provider"] == "gh")
        .unwrap();
    assert_eq!(
        (
            &web["bus_factor"],
            &web["keys"],
            &web["people"],
            &web["most"]
        ),
        (&1.into(), &5.into(), &3.into(), &"kim@example.com".into())
    );
    let shown = stage.offkey(&["exposure"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("kim@example.com (3)"), "{text}");
}
