//! What can go wrong in the lake.

use std::path::{Path, PathBuf};

/// Result of the lake's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the lake. Messages name the path or table and say what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The folder is not a lake.
    #[error("{} is not a lake: it has no mmpipe-lake.json; name another with --lake, or make one with `mmpipe ingest`", .0.display())]
    NotALake(PathBuf),
    /// The folder is a lake that this version cannot read.
    #[error("{} has lake format version {found}; this program reads version {known}: {}", path.display(), way_out(found, *known))]
    FormatVersion {
        /// Its mmpipe-lake.json.
        path: PathBuf,
        /// Version found.
        found: String,
        /// Version that this program knows.
        known: u32,
    },
    /// The lake's own marker file cannot be understood.
    #[error("{}: expected a JSON object with a number in `format_version`: {message}", path.display())]
    Marker {
        /// Its mmpipe-lake.json.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A table name that the schemas do not have.
    #[error(
        "unknown table {0:?}; the lake has eeg, recordings, stimuli, audio, audio_embeddings, splits and predictions"
    )]
    UnknownTable(String),
    /// Rows do not fit a table.
    #[error("table {table}, column {column}: {message}")]
    Column {
        /// Table.
        table: String,
        /// Column.
        column: String,
        /// What was expected and found.
        message: String,
    },
    /// A partition was named wrongly.
    #[error("table {table} is partitioned by {expected}, not by {found}")]
    Partition {
        /// Table.
        table: String,
        /// Expected keys.
        expected: String,
        /// Keys found.
        found: String,
    },
    /// A schema file is wrong.
    #[error("schema {table}: {message}")]
    Schema {
        /// Table.
        table: String,
        /// What is wrong.
        message: String,
    },
    /// A shard is not laid out as this version writes them.
    #[error("{}: {message}", path.display())]
    Layout {
        /// The shard.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// A manifest's query gave something unusable.
    #[error("data set {dataset}, {query} query: {message}")]
    Manifest {
        /// Data set.
        dataset: String,
        /// trials, streams or stimuli.
        query: &'static str,
        /// What was expected and found.
        message: String,
    },
    /// Nothing to do.
    #[error("{0}")]
    Empty(String),
    /// Two epochs would get the same key.
    #[error(
        "epoch key {key:#018x} is shared by {first} and {second}: subject, session, run and trial must together be unique; give the manifest a `run` group or number the trials apart"
    )]
    Collision {
        /// The epoch_id.
        key: u64,
        /// One place.
        first: String,
        /// The other.
        second: String,
    },
    /// Something asked for is not in the lake.
    #[error("{0}")]
    NotFound(String),
    /// Reading raw files failed.
    #[error(transparent)]
    Formats(#[from] mmpipe_formats::Error),
    /// A sound inside a file of named arrays cannot be read.
    #[error(transparent)]
    Corpora(#[from] mmpipe_corpora::Error),
    /// Signal processing failed.
    #[error(transparent)]
    Signal(#[from] mmpipe_signal::Error),
    /// The query engine failed.
    #[error("{0}")]
    Query(#[from] datafusion::error::DataFusionError),
    /// Arrow failed.
    #[error("{0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// Parquet failed.
    #[error("{0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}

/// What can be done about a lake of another version.
fn way_out(found: &str, known: u32) -> &'static str {
    match found.parse::<u32>() {
        Ok(found) if found < known => {
            "ingest the raw files again into another folder (--lake), or use the mmpipe that made it"
        }
        _ => "use a newer mmpipe",
    }
}

impl Error {
    /// Wraps a system error with what was tried on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }
}

impl From<Error> for datafusion::error::DataFusionError {
    fn from(e: Error) -> Self {
        match e {
            Error::Query(e) => e,
            e => datafusion::error::DataFusionError::External(Box::new(e)),
        }
    }
}
