//! Scanning: a raw folder and a manifest become the raw metadata tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use mmpipe_formats::tree::Hold;

use crate::{Manifest, Result, registry};

mod archives;
mod bids;
mod channels;
mod classify;
mod early;
mod events;
mod look;
mod note;
mod output;
mod parts;
mod run;
mod side_car;
mod sounds;
mod tables;
mod tree_tables;
mod triggers;
mod walk;

/// What is known of a raw folder before any sample is read.
///
/// `path` is relative to the raw folder, with `/` separators, and joins all tables:
///
/// - `files`: every file. `path, subject, session, run, <other named groups>` (utf8),
///   `container` utf8, `bytes` i64, `sfreq` f64 (of the EEG), `n_channels` i32 (signals in the
///   file), `seconds` f64, `start_time` utf8 (ISO 8601, local, as the file gives it),
///   `status` (`ok`, `rejected`, `side-car`, `stimulus`, `ignored`), `reason` utf8.
/// - `events`: `path, onset` f64, `duration` f64, `value, trial_type, channel, source` (`file`,
///   `events.tsv` or `trigger`), and the other columns of events.tsv as utf8. An annotation of the
///   file has its text in `value`; a trigger the step in `value`, its channel in `channel` and
///   the number of its first sample in `sample`.
/// - `channels`: `path, channel` i32, `raw_name, kind, name, unit, to_microvolts` f64, `sfreq`
///   f64, `keep` bool, `reason, x, y, z` f32 (measured, m), `distance` f32 (mm, from the sensor of
///   a numbered cap to the 10-05 place that names it), `coordinate_system`.
/// - `diagnostics`: `path, severity` (`note`, `warning`, `damaged`), `code, message`.
/// - one table a side-car rule and one a `[[tables]]` rule, all text; for BIDS also `participants`, `scans`, `sessions`, `eeg_json`,
///   `events_json` and `trial_types`.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// The data set's name.
    pub dataset: String,
    /// Table name and rows, `files`, `events`, `channels`, `diagnostics` first.
    pub tables: Vec<(String, RecordBatch)>,
    /// The trials query.
    pub trials_sql: String,
    /// The intervals query.
    pub intervals_sql: Option<String>,
    /// The streams query.
    pub streams_sql: Option<String>,
    /// The stimuli query.
    pub stimuli_sql: Option<String>,
    /// Class names; the index is the class. Empty where the query names the classes.
    pub labels: Vec<String>,
    /// Whether EEG channels of several rates in one file are all kept.
    pub mixed_rates: bool,
    /// Recordings that are parts of files, by their path in the tables.
    pub parts: BTreeMap<String, Part>,
    /// Sounds that are arrays inside files, by their path in the tables. All have the status
    /// `stimulus`; a stimulus that is not here is a sound file.
    pub sounds: BTreeMap<String, SoundPart>,
    /// Where files lie that are not below the raw folder, by their path in the tables: members
    /// of archives.
    pub places: BTreeMap<String, PathBuf>,
    /// Keeps the last files of named arrays open for whoever reads their samples next: what a
    /// compressed variable was inflated to for its names serves for its samples too.
    pub open: Option<Arc<Hold>>,
}

/// A recording that is a part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The file, below the raw folder.
    pub file: String,
    /// Where in it, as JSON for [`open_part`](crate::open_part).
    pub tree: String,
}

/// A sound that is an array inside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundPart {
    /// The file, below the raw folder.
    pub file: String,
    /// Where in it, as JSON for [`open_sound`](crate::open_sound).
    pub tree: String,
    /// Whether it is an envelope, which cannot be heard.
    pub envelope: bool,
}

impl Scan {
    /// The table called `name`.
    pub fn table(&self, name: &str) -> Option<&RecordBatch> {
        self.tables.iter().find(|(n, _)| n == name).map(|(_, b)| b)
    }
}

/// What a scan is about to read, told before it does. A compressed file of named arrays is
/// inflated as a whole for the few names in it, each by one thread: who needs more of it, or of
/// the sounds, may use the others meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coming {
    /// Files that hold several recordings.
    pub arrays: Vec<PathBuf>,
    /// Files that the manifest calls sounds: the path in the tables, and where it lies.
    pub sounds: Vec<(String, PathBuf)>,
}

/// What part of a data set to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these subjects (as in `files.subject`; `sub-` in front does no harm). Files of
    /// others are listed with status `ignored`.
    pub subjects: Option<Vec<String>>,
}

pub use archives::Raw;
pub(crate) use note::without_path;
pub use parts::open as open_part;

/// Factor from a unit to µV; `None` when it is no voltage.
pub(crate) fn microvolts(unit: &str) -> Option<f64> {
    match unit {
        "V" => Some(1e6),
        "mV" => Some(1e3),
        "µV" | "\u{3bc}V" | "uV" | "microV" => Some(1.0),
        "nV" => Some(1e-3),
        _ => None,
    }
}

/// Scans the raw folder of a data set.
///
/// # Errors
/// The folder is missing, no folder, or holds no matching recording; unknown subjects.
pub fn scan(manifest: &Manifest, raw: &Path, filter: &Filter) -> Result<Scan> {
    scan_raw(manifest, &Raw::folder(raw), filter)
}

/// Scans a raw folder together with what its archives hold.
///
/// # Errors
/// As [`scan`].
pub fn scan_raw(manifest: &Manifest, raw: &Raw, filter: &Filter) -> Result<Scan> {
    run::scan(manifest, raw, filter, |_| {})
}

/// As [`scan_raw`]; `told` hears what is coming once the files are listed.
///
/// # Errors
/// As [`scan`].
pub fn scan_raw_told(
    manifest: &Manifest,
    raw: &Raw,
    filter: &Filter,
    told: impl FnOnce(Coming),
) -> Result<Scan> {
    run::scan(manifest, raw, filter, told)
}

/// Scans any BIDS-EEG folder. `dataset` names it in the lake; without it the name in
/// dataset_description.json does, else the folder's.
///
/// # Errors
/// As [`scan`].
pub fn scan_bids(root: &Path, dataset: Option<&str>, filter: &Filter) -> Result<Scan> {
    let mut manifest = registry::bids()?;
    manifest.name = match dataset {
        Some(name) => name.to_owned(),
        None => bids::dataset_name(root),
    };
    scan(&manifest, root, filter)
}
