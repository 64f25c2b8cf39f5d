//! Diagnostics of a scan: what is worth knowing beside the rows.

use std::path::Path;

/// One row of the table `diagnostics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) path: String,
    pub(super) severity: &'static str,
    pub(super) code: String,
    pub(super) message: String,
}

impl Note {
    /// Worth knowing; nothing is lost.
    pub(super) fn remark(path: &str, code: &str, message: String) -> Self {
        Self::new(path, "note", code, message)
    }

    /// Something was left out or contradicts.
    pub(super) fn warning(path: &str, code: &str, message: String) -> Self {
        Self::new(path, "warning", code, message)
    }

    /// Any severity: `note`, `warning` or `damaged`.
    pub(super) fn new(path: &str, severity: &'static str, code: &str, message: String) -> Self {
        Self {
            path: path.to_owned(),
            severity,
            code: code.to_owned(),
            message,
        }
    }
}

/// What an error says, without the file's path in front of it: diagnostics name it otherwise.
pub(crate) fn without_path(path: &Path, error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let without = |path: &Path| {
        Some(
            text.strip_prefix(&format!("{}: ", path.display()))?
                .to_owned(),
        )
    };
    // Files of named arrays are named by their canonical path.
    let other = || without(&path.canonicalize().ok()?);
    without(path).or_else(other).unwrap_or_else(|| text.clone())
}
