//! Any bytes as TUH annotations.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mmpipe_sidecars::{Format, parse};

#[path = "../../../formats/fuzz/bounded.rs"]
mod bounded;

/// What any table may take: 65,536 cells, a million bytes of text, and as much while they grow.
const FREE: usize = 8 << 20;

fuzz_target!(|data: &[u8]| {
    for format in [
        Format::TuhRec,
        Format::TuhLab,
        Format::TuhCsv,
        Format::TuhTse,
    ] {
        bounded::within(data.len(), 16, FREE, || {
            if let Ok(table) = parse("x".as_ref(), data, format) {
                let width = table.columns.len();
                assert!(table.rows.iter().all(|row| row.len() == width));
            }
        });
    }
});
