//! What can go wrong when splitting, auditing or loading a split.

use std::path::{Path, PathBuf};

use crate::{Protocol, Role};

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the splits. Messages are lower case and say what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A protocol name that does not exist.
    #[error(
        "unknown protocol {found:?}; expected within-subject, between-trial, content-disjoint or cross-subject"
    )]
    Protocol {
        /// The name given.
        found: String,
    },
    /// A role name that does not exist.
    #[error("unknown role {found:?} in a split; expected train, val or test")]
    Role {
        /// The name found.
        found: String,
    },
    /// A number of folds that makes no sense.
    #[error("expected 2 to 10000 folds, found {found}")]
    Folds {
        /// The number given.
        found: usize,
    },
    /// Two rows have the same key.
    #[error("epoch {epoch_id:016x} occurs twice; ingest the data set again")]
    DuplicateEpoch {
        /// The key.
        epoch_id: u64,
    },
    /// No epoch has a label.
    #[error(
        "none of {epochs} epochs has a label, so nothing can be split; check the trials query of the data set's manifest"
    )]
    Unlabelled {
        /// Epochs found.
        epochs: usize,
    },
    /// All labels are equal.
    #[error(
        "all {epochs} labelled epochs have class {label}; a split needs at least two classes, ingest recordings of another one"
    )]
    OneClass {
        /// The only class.
        label: i32,
        /// Labelled epochs.
        epochs: usize,
    },
    /// More folds than units, or too few units for three parts.
    #[error(
        "{protocol} with {folds} folds needs at least {needed} {what}s, found {found}; ask for fewer folds or ingest more {what}s"
    )]
    TooFewUnits {
        /// Protocol.
        protocol: Protocol,
        /// `trial` or `subject`.
        what: &'static str,
        /// Units needed.
        needed: usize,
        /// Units found.
        found: usize,
        /// Folds asked for.
        folds: usize,
    },
    /// Content was to be kept apart, and the data set names none.
    #[error(
        "content-disjoint needs content or sounds to keep apart, and none of {epochs} labelled epochs names any; use between-trial or cross-subject"
    )]
    NoContent {
        /// Labelled epochs.
        epochs: usize,
    },
    /// Content and sounds link the trials into too few groups.
    #[error(
        "content-disjoint with {folds} folds needs at least {needed} groups of trials that share no content and no sound, found {found} among {trials} trials; {}",
        match found { 0..=2 => "use between-trial or cross-subject, and read what the audit says of content", _ => "ask for fewer folds" }
    )]
    TooFewContents {
        /// Groups needed.
        needed: usize,
        /// Groups found.
        found: usize,
        /// Trials that they hold.
        trials: usize,
        /// Folds asked for.
        folds: usize,
    },
    /// A part of a fold would be empty.
    #[error(
        "{protocol} with {folds} folds leaves fold {fold} without a {role} part ({units} units); ask for fewer folds or ingest more"
    )]
    EmptyPart {
        /// Protocol.
        protocol: Protocol,
        /// Folds asked for.
        folds: usize,
        /// Fold.
        fold: i32,
        /// Empty part.
        role: Role,
        /// Units to divide.
        units: usize,
    },
    /// A split name that cannot be a folder.
    #[error(
        "split name {found:?}: expected 1 to 100 letters, digits, '.', '_' or '-', starting with a letter or digit"
    )]
    Name {
        /// The name given.
        found: String,
    },
    /// Nothing of the data set is in the lake.
    #[error("no epochs of data set {dataset:?} in the lake{known}; run `mmpipe ingest` first")]
    NoEpochs {
        /// The data set asked for.
        dataset: String,
        /// What is there, in words.
        known: String,
    },
    /// The data set is there in several recipes.
    #[error(
        "data set {dataset:?} is in the lake under the recipes {recipes}; name one with --recipe"
    )]
    Recipes {
        /// Data set.
        dataset: String,
        /// Recipes found.
        recipes: String,
    },
    /// A split of that name exists and differs.
    #[error(
        "split {name:?} exists and differs from what was asked for; choose another --name or remove {}", path.display()
    )]
    Exists {
        /// Name.
        name: String,
        /// Its folder.
        path: PathBuf,
    },
    /// There is no such split.
    #[error("no split {name:?} in the lake{known}; make one with `mmpipe split`")]
    NotFound {
        /// Name asked for.
        name: String,
        /// What is there, in words.
        known: String,
    },
    /// A stored file does not hold what it must.
    #[error("{}: {message}", path.display())]
    Stored {
        /// The file or folder.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// Training on this split is refused.
    #[error(
        "training on split {name:?} is refused: {reason}; make the split again, or pass --allow-leaky to train all the same, which every table and report will then say"
    )]
    Refused {
        /// Split.
        name: String,
        /// Why.
        reason: String,
    },
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] mmpipe_lake::Error),
}

impl Error {
    /// Wraps a system error with what was tried on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
