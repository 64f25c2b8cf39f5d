//! What was put in: saved beside the corpus and returned to the caller.

use crate::config::TwoTalker;
use crate::plan::Side;
use crate::state::State;
use crate::trf::Trf;

/// Ground truth of a two-talker corpus; also written to `sourcedata/truth.json`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Truth {
    /// The settings.
    pub config: TwoTalker,
    /// Names of the EEG channels, in file order.
    pub ch_names: Vec<String>,
    /// The response function shared by all subjects, scaled to µV for the attended talker.
    pub trf: Trf,
    /// One entry a subject.
    pub subjects: Vec<SubjectTruth>,
}

/// Ground truth of one subject.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SubjectTruth {
    /// Label without `sub-`: `01`, `02`, ...
    pub subject: String,
    /// Path of the EDF file relative to the raw root.
    pub recording: String,
    /// Length of the recording in seconds.
    pub seconds: f64,
    /// Factor on the shared response function.
    pub trf_gain: f64,
    /// The trials in time order.
    pub trials: Vec<TrialTruth>,
}

/// Ground truth of one trial.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TrialTruth {
    /// Number from 1.
    pub trial: usize,
    /// Seconds from the start of the recording.
    pub onset: f64,
    /// Seconds.
    pub duration: f64,
    /// The attended side.
    pub side: Side,
    /// Path of the attended sound relative to the raw root.
    pub attended: String,
    /// Path of the other sound.
    pub unattended: String,
    /// Seconds into the attended sound at the trial's start.
    pub attended_onset: f64,
    /// Seconds into the other sound at the trial's start.
    pub unattended_onset: f64,
    /// Key of the story pair.
    pub content_id: String,
    /// State of the head, independent of the side.
    pub state: State,
}
