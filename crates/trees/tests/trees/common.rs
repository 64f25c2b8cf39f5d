//! Helpers of several tests.

use mmpipe_trees::{Tree, Var};
use std::path::{Path, PathBuf};

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Real and imaginary parts.
pub(crate) fn numbers_of(tree: &dyn Tree, var: &Var) -> (Vec<f64>, Vec<f64>) {
    let n = usize::try_from(var.len()).expect("a size");
    let (mut real, mut imaginary) = (vec![0.5; n], vec![0.5; n]);
    tree.read_f64(var, &[0], 1, &mut [&mut real])
        .unwrap_or_else(|e| panic!("{e}"));
    tree.read_imaginary(var, &[0], 1, &mut [&mut imaginary])
        .unwrap_or_else(|e| panic!("{e}"));
    (real, imaginary)
}
