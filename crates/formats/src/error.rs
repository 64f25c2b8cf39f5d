//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file could not be read or written. Every variant names the path; those that
/// concern a header name the field and its byte offset (or line) as well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "open", "map", "write", ...
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder (or a device) where a file was expected.
    #[error("{}: expected a file, found {found}", path.display())]
    NotAFile {
        /// The path given.
        path: PathBuf,
        /// "a folder" or "a special file".
        found: &'static str,
    },
    /// The file has no bytes.
    #[error("{}: the file is empty (0 bytes); fetch it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The content is not of a format read here.
    #[error("{}: expected {expected}, found {found}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What would have been read.
        expected: &'static str,
        /// What the first bytes say.
        found: String,
    },
    /// A header field that cannot be true.
    #[error("{}: {field} (byte {offset}): {message}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The field, in the words of the format's specification.
        field: String,
        /// Offset of the field in the file, in bytes.
        offset: u64,
        /// Expected, found, what to do.
        message: String,
    },
    /// A text header (BrainVision) with a line that cannot be true.
    #[error("{}: line {line}: {field}: {message}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Line number from 1; 0 when a whole section or key is missing.
        line: usize,
        /// Section and key.
        field: String,
        /// Expected, found, what to do.
        message: String,
    },
    /// A file that another one names does not exist.
    #[error("{}: {field} names {missing}, which is not there", path.display(), missing = missing.display())]
    Missing {
        /// The file that names it.
        path: PathBuf,
        /// The key that names it.
        field: &'static str,
        /// The file that is missing.
        missing: PathBuf,
    },
    /// The bytes are not what the header says, and not by mere truncation.
    #[error("{}: damaged: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        message: String,
    },
    /// A well-formed file that uses something not read here.
    #[error("{}: {what} is not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The feature.
        what: String,
    },
    /// A caller asked for samples or channels that do not exist.
    #[error("{}: {message}", path.display())]
    Range {
        /// The file.
        path: PathBuf,
        /// Asked and available.
        message: String,
    },
    /// A sound that cannot be decoded.
    #[error("{}: cannot decode: {message}", path.display())]
    Audio {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        message: String,
    },
    /// A file of named arrays that cannot be read; the path is in the source.
    #[error("{source}")]
    Tree {
        /// What went wrong, with path and place.
        source: mmpipe_trees::Error,
    },
    /// A description (or the file's own fields) and the arrays contradict each other.
    #[error("{}: {field}: {message}", path.display())]
    Description {
        /// The file that is described.
        path: PathBuf,
        /// The field of the description.
        field: String,
        /// Both sides of the contradiction.
        message: String,
    },
    /// A value that the format to be written cannot hold.
    #[error("{}: cannot write {field}: {message}", path.display())]
    Write {
        /// The file to be written.
        path: PathBuf,
        /// What cannot be written.
        field: String,
        /// Why, and what would fit.
        message: String,
    },
}

impl Error {
    /// The file that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Error::Io { path, .. }
            | Error::NotAFile { path, .. }
            | Error::Empty { path }
            | Error::UnknownFormat { path, .. }
            | Error::Header { path, .. }
            | Error::Text { path, .. }
            | Error::Missing { path, .. }
            | Error::Damaged { path, .. }
            | Error::Unsupported { path, .. }
            | Error::Range { path, .. }
            | Error::Audio { path, .. }
            | Error::Description { path, .. }
            | Error::Write { path, .. } => path,
            Error::Tree { source } => source.path(),
        }
    }

    /// A short, stable, kebab-case name of the kind of error, for tables and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Io { .. } => "io",
            Error::NotAFile { .. } => "not-a-file",
            Error::Empty { .. } => "empty",
            Error::UnknownFormat { .. } => "unknown-format",
            Error::Header { .. } => "bad-header",
            Error::Text { .. } => "bad-text-header",
            Error::Missing { .. } => "missing-file",
            Error::Damaged { .. } => "damaged",
            Error::Unsupported { .. } => "unsupported",
            Error::Range { .. } => "out-of-range",
            Error::Audio { .. } => "audio",
            Error::Tree { .. } => "unreadable-arrays",
            Error::Description { .. } => "bad-description",
            Error::Write { .. } => "write",
        }
    }

    pub(crate) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Error::Io {
            path: path.to_path_buf(),
            action,
            source,
        }
    }

    pub(crate) fn header(
        path: &Path,
        field: impl Into<String>,
        offset: u64,
        message: impl Into<String>,
    ) -> Self {
        Error::Header {
            path: path.to_path_buf(),
            field: field.into(),
            offset,
            message: message.into(),
        }
    }

    pub(crate) fn range(path: &Path, message: impl Into<String>) -> Self {
        Error::Range {
            path: path.to_path_buf(),
            message: message.into(),
        }
    }
}
