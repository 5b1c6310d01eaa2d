//! A believed request of every kind of source, with an arbitrary body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offkey_fuzz::{SOURCES, check, with_request};

fuzz_target!(|bytes: &[u8]| {
    with_request(bytes, |request| {
        for source in SOURCES.iter() {
            check(source.as_ref(), request);
        }
    });
});
