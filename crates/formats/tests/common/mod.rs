//! What several test files share.

use std::path::{Path, PathBuf};

/// The folder of real recordings, or `None` (with a printed reason) where it is absent.
pub(crate) fn real() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/real");
    if path.join("reference_values.json").is_file() {
        Some(path)
    } else {
        eprintln!("skipped: {} is not there", path.display());
        None
    }
}
