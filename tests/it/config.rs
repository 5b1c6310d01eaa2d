//! Configurations that cannot be: one readable line, and the exit code that says whose fault it is.

use std::{fs, net::TcpListener, path::Path, process::Command};

use offkey::domain::OutcomeResult;

use crate::harness::{API_KEY, Service, Stage, until};

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
fn a_secret_that_can_check_nothing_is_named_without_being_shown() {
    let stage = Stage::set_with("1h", |stage| {
        let file = stage.path("bad");
        fs::write(&file, "whsec_hunter2!").unwrap();
        format!(
            "[[source]]\nname = \"other\"\nkind = \"standard-webhooks\"\n\
             secrets = [{{ file = {file:?} }}]\n"
        )
    });
    let (code, text) = refusal(&stage);
    assert!(matches!(code, Some(1 | 2)), "{code:?} {text}");
    assert!(text.contains("other") && text.contains("secret"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_folder_that_cannot_be_one_is_named() {
    let stage = Stage::set();
    fs::write(stage.data(), "a file").unwrap();
    let (code, text) = refusal(&stage);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("data"), "{text}");
}

#[test]
fn a_log_that_is_none_is_refused_and_left_as_it_is() {
    let stage = Stage::set();
    let service = Service::spawn(&stage, &[]);
    until("the service to be ready", || stage.is_ready().then_some(()));
    service.kill();
    // Nothing of this process has opened it: closing it would write the log anew over what comes now.
    let garbage = vec![b'x'; 8192];
    for name in ["log.db-wal", "log.db-shm"] {
        drop(fs::remove_file(stage.data().join(name)));
    }
    fs::write(stage.data().join("log.db"), &garbage).unwrap();
    let (code, text) = refusal(&stage);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("damaged"), "{text}");
    assert_eq!(fs::read(stage.data().join("log.db")).unwrap(), garbage);
}

#[test]
fn a_key_that_the_provider_refuses_is_tried_until_it_is_mended() {
    let stage = Stage::set_with("100ms", |stage| {
        fs::write(stage.path("deepgram.key"), "wrong").unwrap();
        String::new()
    });
    let _service = Service::spawn(&stage, &[]);
    until("the service to be ready", || stage.is_ready().then_some(()));
    let change = stage.leave("early", "ada@example.com");
    assert_eq!(
        stage.report(change).outcome.result,
        OutcomeResult::UnknownPerson
    );
    fs::write(stage.path("deepgram.key"), API_KEY).unwrap();
    stage.wait_until_ready();
    until("the report to be made again", || {
        (stage.report(change).impacts.len() == 3).then_some(())
    });
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

/// The configurations that come with the program, with secrets as they ask for them.
#[test]
fn the_configurations_to_start_from_can_be_used() {
    let stage = Stage::set();
    fs::create_dir(stage.path("secrets")).unwrap();
    let secret = fs::read_to_string(stage.path("secret")).unwrap();
    fs::write(stage.path("secrets/hr"), &secret).unwrap();
    for name in ["offkey.example.toml", "offkey.kafka.toml"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(name);
        let output = Command::new(env!("CARGO_BIN_EXE_offkey"))
            .arg("check-config")
            .arg("--config")
            .arg(file)
            .current_dir(stage.path("."))
            .env("OKTA_HOOK_SECRET", "a shared value")
            .env("DEEPGRAM_API_KEY", API_KEY)
            .env("HR_SECRET", &secret)
            .env("ROTATION_SECRET", &secret)
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
}
