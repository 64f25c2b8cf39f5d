//! What a manifest knows to be wrong, different or not known.

use serde::Deserialize;

use super::Pattern;

/// A known fault of files, and what to do about it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Matches the whole path of the faulty files.
    pub pattern: Pattern,
    /// What is wrong.
    pub fault: String,
    /// Who says so.
    pub source: String,
    /// What to do.
    pub action: Action,
    /// The right unit, for `action = "unit"`: `V`, `mV`, `µV` or `nV`.
    pub unit: Option<String>,
}

/// What a scan does about a known fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Write a diagnostic; the file is used as it is.
    Note,
    /// Do not use the file.
    Reject,
    /// Take the EEG channels to be in `unit`, whatever the file says.
    Unit,
}

/// A difference between the paper's numbers and the files, explained.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Which number: `hours`, `channels`, `subjects` or `recordings`.
    pub what: String,
    /// The paper's number.
    pub paper: f64,
    /// The number of the files, as this manifest reads them.
    pub files: f64,
    /// Why they differ.
    pub why: String,
}

/// Something that is not known of the files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// What is not known.
    pub what: String,
    /// What the manifest does until it is.
    pub meanwhile: String,
    /// Where the doubt comes from.
    pub source: String,
}
