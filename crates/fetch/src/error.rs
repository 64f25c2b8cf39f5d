//! What can go wrong before a single file is asked for. What goes wrong with one file is a row of
//! the report, so that the others go on.

use std::path::PathBuf;

/// An error that ends a fetch.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such data set.
    #[error("no source is known for `{name}`; there are {known}")]
    UnknownDataset {
        /// What was asked for.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// The built-in table of sources is broken.
    #[error("the table of sources: {0}")]
    Sources(String),
    /// The data set cannot be downloaded by a program.
    #[error(
        "`{name}` is not openly downloadable: register at {register}, and unpack what you are sent"
    )]
    Closed {
        /// The data set.
        name: String,
        /// Where to register.
        register: String,
    },
    /// The list of files could not be had.
    #[error("the list of files of `{name}` could not be read from {url}: {why}")]
    Listing {
        /// The data set.
        name: String,
        /// Where it was looked for.
        url: String,
        /// What happened.
        why: String,
    },
    /// There is no stored table to plan from.
    #[error("no table of `{0}` is stored here: plan without --offline")]
    NoTable(String),
    /// None of the wanted subjects, or no file at all.
    #[error("{0}")]
    Nothing(String),
    /// An address that is none.
    #[error("`{url}` is no address of http or https: {why}")]
    BadUrl {
        /// The text.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Too little room.
    #[error(
        "{path} has {free} bytes free and {needed} are needed (with {reserve} kept free): make room, name another folder with --out, or choose --subjects"
    )]
    Space {
        /// The folder.
        path: PathBuf,
        /// What is there.
        free: u64,
        /// What the files still take.
        needed: u64,
        /// What is left alone.
        reserve: u64,
    },
    /// Another fetch is at work there.
    #[error("another fetch is writing to {0}: wait for it to end, or name another folder")]
    Locked(PathBuf),
    /// A folder or file of ours could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;
