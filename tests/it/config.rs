//! Configurations that cannot be: one readable line, and the exit code that says whose fault it is.

use std::{fs, net::TcpListener};

use crate::harness::Stage;

fn refusal(stage: &Stage) -> (Option<i32>, String) {
    let output = stage.offkey(&["serve"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    (output.status.code(), text)
}

#[test]
fn a_field_that_nobody_knows_is_named_and_ends_with_two() {
    let stage = Stage::set_with("1h", |_| "[htpp]\nlisten = 1\n".to_owned());
    let (code, text) = refusal(&stage);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("htpp"), "{text}");
}

#[test]
fn a_missing_secret_is_named() {
    let stage = Stage::set();
    fs::remove_file(stage.path("secret")).unwrap();
    let (code, text) = refusal(&stage);
    assert!(matches!(code, Some(1 | 2)), "{code:?} {text}");
    assert!(text.contains("secret"), "{text}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let stage = Stage::set();
    let _taken = TcpListener::bind(stage.address).unwrap();
    let (code, text) = refusal(&stage);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("http.listen"), "{text}");
}

#[test]
fn a_folder_that_another_process_serves_is_named() {
    let stage = Stage::set();
    let _service = stage.start();
    let output = stage.offkey(&["serve", "--listen", "127.0.0.1:0"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("another process serves"), "{text}");
}
