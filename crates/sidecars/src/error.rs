//! The one error type of this crate.

use std::fmt;
use std::path::{Path, PathBuf};

/// Result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a side-car could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// More bytes than a side-car has.
    #[error("{}: {bytes} bytes: expected a side-car of at most {most}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        most: u64,
    },
    /// The content is not of the format.
    #[error("{}: {at}{message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where.
        at: At,
        /// A short name of the fault, stable for tests and reports.
        code: &'static str,
        /// What was expected and what was found.
        message: String,
    },
}

impl Error {
    /// The short name of the fault: that of [`Error::Content`], `io` or `too-large`.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Io { .. } => "io",
            Error::TooLarge { .. } => "too-large",
            Error::Content { code, .. } => code,
        }
    }
}

/// Where in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The file as a whole.
    File,
    /// A line of text, from 1.
    Line(u64),
    /// A byte, from 0.
    Byte(u64),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::File => Ok(()),
            At::Line(line) => write!(f, "line {line}: "),
            At::Byte(byte) => write!(f, "byte {byte}: "),
        }
    }
}

/// A fault of the content, before the path is known.
#[derive(Debug)]
pub(crate) struct Bad {
    at: At,
    code: &'static str,
    message: String,
}

impl Bad {
    pub(crate) fn file(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(At::File, code, message)
    }

    pub(crate) fn line(line: u64, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(At::Line(line), code, message)
    }

    pub(crate) fn new(at: At, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            at,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn at_path(self, path: &Path) -> Error {
        Error::Content {
            path: path.to_owned(),
            at: self.at,
            code: self.code,
            message: self.message,
        }
    }
}
