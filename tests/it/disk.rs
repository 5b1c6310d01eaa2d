//! A disk that is full.

use std::{fs, path::PathBuf, process::Command};

use offkey::domain::{ChangeId, Topic};

use crate::harness::{Stage, is_over_kafka, until};

/// A small file system of its own, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Nothing where file systems may not be mounted.
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=24m", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(&at).status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(at))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the service may hold files of it for a moment longer.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn a_full_disk_is_answered_503_and_forgotten_when_there_is_room_again() {
    if is_over_kafka() {
        eprintln!("the log is not in a folder: its disk is the brokers'");
        return;
    }
    let stage = Stage::set();
    let Some(disk) = SmallDisk::mount(stage.data()) else {
        eprintln!("!!! no file system can be mounted here: the full disk is not tested");
        return;
    };
    fs::write(disk.ballast(), vec![0; 18 << 20]).unwrap();
    let _service = stage.start();
    let padding = "x".repeat(100_000);
    let (mut accepted, mut refused) = (Vec::new(), None);
    for n in 0..200 {
        let id = format!("fill_{n}");
        let body = String::from_utf8(Stage::body("bo@example.com", "removed")).unwrap();
        let body = body.replacen(
            "\"removed\"",
            &format!("\"removed\",\"reason\":\"{padding}\""),
            1,
        );
        let answer = stage.send(&id, body.as_bytes()).unwrap();
        if answer.status != 202 {
            refused = Some(answer);
            break;
        }
        accepted.push(ChangeId::derive("hr", &id).to_string());
    }
    assert_eq!(refused.unwrap().status, 503);
    until("the service to say that it is not ready", || {
        (!stage.is_ready()).then_some(())
    });
    fs::remove_file(disk.ballast()).unwrap();
    until("the service to be ready again", || {
        stage.is_ready().then_some(())
    });
    let change = stage.leave("after", "ada@example.com");
    assert_eq!(stage.report(change).impacts.len(), 3);
    let records = stage.records(&[Topic::Membership]);
    let lost = accepted
        .iter()
        .filter(|id| !records.iter().any(|record| record.id == **id));
    assert_eq!(lost.count(), 0, "of {}", accepted.len());
}
