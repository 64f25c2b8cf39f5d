//! What can be wrong with the numbers handed to a score.

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a score cannot be computed. Messages are lower case and say what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two columns that belong together differ in length.
    #[error("{what}: expected {expected} values, one an epoch, found {found}")]
    Length {
        /// The column that does not fit.
        what: &'static str,
        /// Length of the column it must match.
        expected: usize,
        /// Its own length.
        found: usize,
    },
    /// There is nothing to score.
    #[error("{what}: no values, so the score is not defined; check that the split has a test part")]
    Empty {
        /// The score that was asked for.
        what: &'static str,
    },
    /// A score needs more than one class among the labels.
    #[error(
        "{what}: the labels hold {found} class(es), the score needs {expected}; score a larger part of the data"
    )]
    Classes {
        /// The score that was asked for.
        what: &'static str,
        /// Classes that it needs.
        expected: usize,
        /// Classes among the labels.
        found: usize,
    },
    /// A label or prediction lies outside the declared classes.
    #[error(
        "{what}: class {value} lies outside 0..{classes}; the class names and the labels disagree"
    )]
    ClassRange {
        /// `label` or `predicted`.
        what: &'static str,
        /// The value found.
        value: i32,
        /// How many classes were declared.
        classes: usize,
    },
    /// A number lies outside its domain.
    #[error("{what}: expected {expected}, found {found}")]
    Domain {
        /// The argument.
        what: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What was given.
        found: f64,
    },
    /// One epoch was predicted twice under one fold.
    #[error(
        "epoch {epoch_id:016x} is predicted twice in fold {fold}; predictions of two runs were mixed"
    )]
    Duplicate {
        /// The fold.
        fold: i32,
        /// The epoch.
        epoch_id: u64,
    },
    /// A block of a permutation test holds more than one label.
    #[error(
        "permutation unit {unit} holds epochs of more than one label; permute smaller units, in which the label is constant"
    )]
    MixedUnit {
        /// Index of the unit.
        unit: u64,
    },
    /// Signals that belong together differ in number or length.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was counted, e.g. `samples of a channel`.
        what: &'static str,
        /// The count it must match.
        expected: usize,
        /// The count found.
        found: usize,
    },
    /// The penalised covariance of the EEG cannot be factored.
    #[error(
        "the covariance of the EEG plus {lambda:e} of its mean power is not positive definite; leave flat trials out or raise the smallest lambda"
    )]
    NotPositive {
        /// The penalty relative to the mean power.
        lambda: f64,
    },
}
