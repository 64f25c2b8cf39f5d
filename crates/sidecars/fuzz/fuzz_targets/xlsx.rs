//! Any bytes as a workbook.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mmpipe_sidecars::{Format, parse};

fuzz_target!(|data: &[u8]| {
    for format in [Format::Xlsx] {
        if let Ok(table) = parse("x".as_ref(), data, format) {
            let width = table.columns.len();
            assert!(table.rows.iter().all(|row| row.len() == width));
        }
    }
});
