//! A row of the log with arbitrary bytes: records or an error, and records that can be used.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offkey::{
    domain::{Impact, Key, Member, MembershipChange, Outcome},
    log::embedded::read_row,
};

fuzz_target!(|bytes: &[u8]| {
    for record in read_row(bytes).unwrap_or_default() {
        let _event = record.to_cloudevent();
        let _ = record
            .read::<MembershipChange>()
            .map(|change| change.to_record(record.heard_at()));
        let _ = record
            .read::<Impact>()
            .map(|impact| impact.to_record("k", record.heard_at()));
        let _ = record
            .read::<Outcome>()
            .map(|outcome| outcome.to_record("k", record.heard_at()));
        let _ = (
            record.read::<Key>().is_ok(),
            record.read::<Member>().is_ok(),
        );
    }
});
