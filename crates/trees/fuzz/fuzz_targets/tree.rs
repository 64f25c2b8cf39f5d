//! Any bytes as a file of named arrays, all of it read three levels deep. What has no signature
//! is taken as a table, by the file's name. Seeds: the files under `tests/fixtures`.
//!
//!     cargo fuzz run tree corpus/tree ../tests/fixtures/{written,hdf5,scipy-tests,matio,odd}
#![no_main]

use libfuzzer_sys::fuzz_target;
use mmpipe_trees::{Tree, Var};

#[path = "../../../formats/fuzz/bounded.rs"]
mod bounded;

/// Beyond 16 times the file: what deflate can give (1,032 times) is the container's to ask for, and
/// the files here are a few kilobytes.
const FREE: usize = 32 << 20;

fn walk(tree: &dyn Tree, var: &Var, depth: usize) {
    let n = var.len().min(64) as usize;
    let mut out = vec![0.0; n];
    let _ = tree.read_f64(var, &[0], 1, &mut [&mut out]);
    let _ = tree.read_imaginary(var, &[0], 1, &mut [&mut out]);
    let _ = tree.texts(var);
    if depth == 0 {
        return;
    }
    for field in var.fields.iter().take(48) {
        if let Ok(Some(next)) = tree.field(var, 0, field) {
            walk(tree, &next, depth - 1);
        }
    }
    for i in 0..var.len().min(4) {
        if let Ok(next) = tree.cell(var, i) {
            walk(tree, &next, depth - 1);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(file) = tempfile::Builder::new().suffix(".csv").tempfile() else {
        return;
    };
    if std::fs::write(file.path(), data).is_err() {
        return;
    }
    bounded::within(data.len(), 16, FREE, || {
        if let Ok(tree) = mmpipe_trees::open(file.path()) {
            for var in tree.variables() {
                walk(&*tree, &var, 3);
            }
        }
    });
});
