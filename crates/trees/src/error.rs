//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file or a part of it could not be read. Every variant names the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "open", "map", "read", "write", ...
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The content is not of a container read here.
    #[error("{}: expected {expected}, found {found}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What would have been read.
        expected: &'static str,
        /// What the first bytes say.
        found: String,
    },
    /// Bytes that cannot be what the format says.
    #[error("{}: {field} (byte {offset}): {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The field, in the words of the format's specification.
        field: String,
        /// Offset in the file; for compressed data that of the compressed element.
        offset: u64,
        /// Expected, found, what to do.
        message: String,
    },
    /// A well-formed file that uses something not read here.
    #[error("{}: {place}: {what} is not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The variable, or "file".
        place: String,
        /// The feature.
        what: String,
    },
    /// An expression that is not one.
    #[error("{}: expression {expression:?}, column {column}: {message}", path.display())]
    Expression {
        /// The file it was asked of.
        path: PathBuf,
        /// The expression.
        expression: String,
        /// Where in it, from 1.
        column: usize,
        /// Expected and found.
        message: String,
    },
    /// A variable, field or element that is not there.
    #[error("{}: {place}: {message}", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
        /// How far the expression led.
        place: String,
        /// What was looked for and what there is instead.
        message: String,
    },
    /// A variable of another kind than asked for.
    #[error("{}: {place}: expected {expected}, found {found}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// The variable.
        place: String,
        /// What was asked for.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Elements that do not exist, or too many at once.
    #[error("{}: {place}: {message}", path.display())]
    Range {
        /// The file.
        path: PathBuf,
        /// The variable.
        place: String,
        /// Asked and available.
        message: String,
    },
}

impl Error {
    /// The file that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Error::Io { path, .. }
            | Error::UnknownFormat { path, .. }
            | Error::Damaged { path, .. }
            | Error::Unsupported { path, .. }
            | Error::Expression { path, .. }
            | Error::Absent { path, .. }
            | Error::Kind { path, .. }
            | Error::Range { path, .. } => path,
        }
    }

    /// A short, stable, kebab-case name of the kind of error, for tables and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Io { .. } => "io",
            Error::UnknownFormat { .. } => "unknown-format",
            Error::Damaged { .. } => "damaged",
            Error::Unsupported { .. } => "unsupported",
            Error::Expression { .. } => "bad-expression",
            Error::Absent { .. } => "absent",
            Error::Kind { .. } => "wrong-kind",
            Error::Range { .. } => "out-of-range",
        }
    }

    pub(crate) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Error::Io {
            path: path.to_path_buf(),
            action,
            source,
        }
    }
}
