//! What an ingest tells while it runs and when it is done.

use serde::Serialize;

use super::rows::{Dropped, RecordingRow};
use super::sounds::StimulusRow;

/// Told what happens during an ingest, from the task that drives it. All methods do nothing by
/// default.
pub trait Progress: Sync {
    /// The plan stands: so many recordings and bytes will be read.
    fn planned(&self, recordings: usize, bytes: u64) {
        let _ = (recordings, bytes);
    }
    /// A sound is stored or was already.
    fn stimulus(&self, row: &StimulusRow) {
        let _ = row;
    }
    /// A recording is done, skipped or rejected.
    fn recording(&self, report: &RecordingReport) {
        let _ = report;
    }
}

impl Progress for () {}

/// One recording of an [`IngestReport`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordingReport {
    /// Key in table `recordings`.
    pub recording_id: String,
    /// Relative to the raw folder.
    pub path: String,
    /// Subject label, where one is known.
    pub subject: Option<String>,
    /// Bytes of the raw file.
    pub bytes: i64,
    /// Epochs in the lake (in a dry run: expected from the file's length).
    pub epochs: i64,
    /// Trials in the manifest's answer.
    pub trials: usize,
    /// `ok`, `rejected`, or `planned` in a dry run.
    pub status: String,
    /// Why it was rejected, or remarks.
    pub reason: Option<String>,
    /// Whether it was in the lake already and nothing changed.
    pub skipped: bool,
    /// Recorded time in s.
    pub seconds: f64,
    /// Time that is in no epoch.
    pub dropped: Vec<Dropped>,
}

impl RecordingReport {
    pub(crate) fn new(row: &RecordingRow, trials: usize, skipped: bool) -> Self {
        RecordingReport {
            recording_id: row.recording_id.clone(),
            path: row.path.clone(),
            subject: row.subject.clone(),
            bytes: row.bytes,
            epochs: row.epochs,
            trials,
            status: row.status.clone(),
            reason: row.reason.clone(),
            skipped,
            seconds: row.seconds,
            dropped: row.dropped.clone(),
        }
    }
}

/// A file that is no recording of the data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IgnoredFile {
    /// Relative to the raw folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What an ingest did, or in a dry run would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IngestReport {
    /// Data set.
    pub dataset: String,
    /// Preprocessing recipe.
    pub recipe: String,
    /// Hash of its values.
    pub recipe_hash: String,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// By path.
    pub recordings: Vec<RecordingReport>,
    /// By path.
    pub stimuli: Vec<StimulusRow>,
    /// By path.
    pub ignored: Vec<IgnoredFile>,
    /// Paths of recordings whose raw file is gone and which were removed from the lake.
    pub removed: Vec<String>,
    /// Remarks.
    pub notes: Vec<String>,
}

impl IngestReport {
    /// Epochs of this ingest's recordings in the lake.
    pub fn epochs(&self) -> i64 {
        self.recordings.iter().map(|r| r.epochs).sum()
    }

    /// Recordings with this status.
    pub fn count(&self, status: &str) -> usize {
        self.recordings
            .iter()
            .filter(|r| r.status == status)
            .count()
    }

    /// Recordings that were already in the lake, unchanged.
    pub fn skipped(&self) -> usize {
        self.recordings.iter().filter(|r| r.skipped).count()
    }

    /// Recorded time in s.
    pub fn seconds(&self) -> f64 {
        self.recordings.iter().map(|r| r.seconds).sum()
    }
}
