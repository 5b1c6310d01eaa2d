//! Our own change format, and that what we would send of it is read as what it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offkey::sources::{
    Request,
    change_format::{self, ChangeData, ChangeMessage},
};
use offkey_fuzz::{NOON, check_changes};

fn request(body: &[u8]) -> Request<'_> {
    Request {
        headers: &[],
        body,
        received_at: NOON,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let reading = change_format::read("hr", "msg_1", &request(bytes));
    check_changes(&reading);
    for change in reading.changes {
        let data = ChangeData {
            change: change.change,
            person: change.person.clone(),
            scope: Some(change.scope.clone()),
            effective_at: Some(change.effective_at),
            role: change.role.clone(),
            actor: change.actor.clone(),
            reason: change.reason.clone(),
        };
        let message = ChangeMessage::new(change.published_at, data);
        let written = offkey_fuzz::written(&message);
        let again = change_format::read("hr", "msg_1", &request(&written));
        assert_eq!(again.changes, [change]);
    }
});
