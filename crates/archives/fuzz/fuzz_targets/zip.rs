//! Any bytes as a zip.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod shared;

fuzz_target!(|data: &[u8]| shared::try_archive("x.zip", data));
