//! Headers that should prove something: arbitrary ones prove nothing, and stop nobody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offkey_fuzz::{SOURCES, with_request};

fuzz_target!(|bytes: &[u8]| {
    with_request(bytes, |request| {
        for source in SOURCES.iter() {
            let is_okta = source.name() == "okta";
            let verdict = source.verify(request);
            // Nobody guesses a keyed hash; a shared secret stands in the corpus, and is no guess.
            assert!(is_okta || verdict.is_err(), "{} believed it", source.name());
            if let Some(answer) = source.handshake(request) {
                assert!(is_okta && answer.is_object());
            }
        }
    });
});
