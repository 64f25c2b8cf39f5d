//! What can go wrong while reading manifests and scanning raw folders.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that stops a manifest or a scan as a whole.
///
/// A single bad file never does: it becomes a row with status `rejected`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text of a manifest is not TOML, or a key is unknown, missing or of the wrong type.
    #[error("manifest {file}: {detail}")]
    ManifestSyntax {
        /// The manifest file.
        file: String,
        /// The parser's message with line, column and the offending line.
        detail: String,
    },
    /// A key of a manifest parses but its value makes no sense.
    #[error("manifest {file}: key `{key}`: {detail}")]
    ManifestValue {
        /// The manifest file.
        file: String,
        /// The key, with its index in a list, such as `files[2].pattern`.
        key: String,
        /// What was expected and what was found.
        detail: String,
    },
    /// Two manifests claim the same name or alias.
    #[error("data set name `{name}` is claimed by both {first} and {second}: rename one of them")]
    DuplicateName {
        /// The name, as written in the second manifest.
        name: String,
        /// The first manifest file.
        first: String,
        /// The second manifest file.
        second: String,
    },
    /// No manifest carries this name.
    #[error("no data set is called `{name}`{near}; `mmpipe datasets` lists all of them")]
    UnknownDataset {
        /// The name asked for.
        name: String,
        /// Empty, or `; did you mean A or B?`.
        near: String,
    },
    /// The raw folder is not there.
    #[error("raw folder {} does not exist: expected the files of {dataset}", path.display())]
    RawMissing {
        /// The folder asked for.
        path: PathBuf,
        /// The data set looked for.
        dataset: String,
    },
    /// The raw path is a file or a device.
    #[error("{} is not a folder: expected the raw folder of {dataset}", path.display())]
    RawNotAFolder {
        /// The path asked for.
        path: PathBuf,
        /// The data set looked for.
        dataset: String,
    },
    /// The raw folder holds no file that a signal rule of the manifest matches.
    #[error(
        "{} holds no recording of {dataset}: expected files like {expected}; found {found}",
        path.display()
    )]
    NothingMatches {
        /// The raw folder.
        path: PathBuf,
        /// The data set looked for.
        dataset: String,
        /// The signal patterns of the manifest.
        expected: String,
        /// How many files there are, and a few of their names.
        found: String,
    },
    /// The layout of the files is not known, and no mapping file says it.
    #[error(
        "{dataset}: how its files are laid out is not published, so a mapping file is needed \
         (--mapping FILE) that says {needs}\n{} holds {found}",
        path.display()
    )]
    MappingNeeded {
        /// The data set.
        dataset: String,
        /// What the mapping must say.
        needs: String,
        /// The raw folder.
        path: PathBuf,
        /// What was found in it, one line a file.
        found: String,
    },
    /// The filter names subjects that the raw folder does not hold.
    #[error("no recording of subject {asked} in {}; the folder holds {found}", path.display())]
    UnknownSubjects {
        /// The raw folder.
        path: PathBuf,
        /// The subjects asked for and not found.
        asked: String,
        /// The subjects found.
        found: String,
    },
    /// A sound inside a file of named arrays cannot be read.
    #[error("{}: {place}: {detail}", path.display())]
    Sound {
        /// The file.
        path: PathBuf,
        /// The expression that leads to the sound.
        place: String,
        /// What was expected and what was found.
        detail: String,
    },
    /// An array has fewer channels than the sound's number.
    #[error("{}: {place}: expected a channel number {row}, found {rows} channels", path.display())]
    SoundRow {
        /// The file.
        path: PathBuf,
        /// The expression that leads to the array.
        place: String,
        /// The channel asked for, from 1.
        row: u32,
        /// How many there are.
        rows: usize,
    },
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// A table could not be put together; a fault of this crate.
    #[error("table `{table}`: {source}")]
    Table {
        /// The table.
        table: String,
        /// Arrow's message.
        source: arrow::error::ArrowError,
    },
}
