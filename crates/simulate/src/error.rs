//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong while a corpus is made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is outside what can be simulated.
    #[error("{field}: expected {expected}, found {found}")]
    Config {
        /// Name of the setting.
        field: &'static str,
        /// What is accepted.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The target exists and is not an empty folder; nothing was changed.
    #[error("{path}: exists already; remove it or choose another folder")]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A recording or a sound could not be written.
    #[error(transparent)]
    Formats(#[from] mmpipe_formats::Error),
    /// A file of named arrays could not be written.
    #[error(transparent)]
    Trees(#[from] mmpipe_trees::Error),
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }

    pub(crate) fn config(
        field: &'static str,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Config {
            field,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}
