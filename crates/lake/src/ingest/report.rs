//! What an ingest tells while it runs and when it is done.

use serde::Serialize;

use super::rows::{Alignment, Dropped, RecordingRow};
use super::stimuli::StimulusRow;

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
    /// Where the sounds are in channels that hold a copy of them.
    pub alignment: Vec<Alignment>,
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
            alignment: row.alignment.clone(),
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

/// Sound that goes on where the EEG of its trial has ended, as far as all sounds of the trial do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct BeyondEeg {
    /// Trials of which this is so.
    pub trials: usize,
    /// s in all.
    pub seconds: f64,
}

/// What the channels that hold copies of the sounds say, trial by trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct AlignmentSummary {
    /// Trials with such a channel.
    pub trials: usize,
    /// Trials whose copy is more than 20 ms from where the trial says.
    pub moved: usize,
    /// Trials whose channel does not follow the sound.
    pub absent: usize,
    /// Middle lag of the copies that are there, ms.
    pub median_lag_ms: Option<f64>,
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
    /// Sound that no epoch is under because the EEG had ended.
    pub beyond_eeg: BeyondEeg,
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

    /// What copies of the sounds in the EEG files say; `None` where there are none.
    pub fn alignment(&self) -> Option<AlignmentSummary> {
        let recordings = self.recordings.iter();
        super::alignment::summary(recordings.map(|r| r.alignment.as_slice()))
    }

    /// Recorded time in s.
    pub fn seconds(&self) -> f64 {
        self.recordings.iter().map(|r| r.seconds).sum()
    }
}
