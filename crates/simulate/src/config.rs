//! Settings of the two-talker corpus.

use crate::montage::CAP;
use crate::{Error, Result};

/// Settings of the two-talker corpus. [`TwoTalker::default`] is what the demo uses; see the
/// crate's documentation for what a decoder reaches on it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TwoTalker {
    /// Number of subjects, 1 to 99. Attention is fully balanced over contents when a multiple of 4.
    pub subjects: usize,
    /// Trials a subject: a multiple of 4, so that side and talker are balanced in every subject.
    pub trials: usize,
    /// Length of a trial in seconds.
    pub trial_seconds: f64,
    /// EEG channels, 2 to 32.
    pub channels: usize,
    /// EEG sampling rate in Hz, a whole number (EDF records last one second).
    pub sfreq: f64,
    /// Sampling rate of the sounds in Hz.
    pub audio_sfreq: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Root mean square of the response to the attended talker at the strongest channel, in µV.
    pub attended_uv: f64,
    /// Response to the unattended talker as a share of that to the attended one.
    pub unattended_share: f64,
    /// Root mean square over channels of the 1/f background, in µV.
    pub background_uv: f64,
    /// Root mean square over channels of each of the trial's rhythms, in µV.
    pub rhythm_uv: f64,
    /// How much the state of a trial differs between trials: 0 removes what a network could
    /// recognise a trial by, 1 is the demo's.
    pub state_spread: f64,
    /// Correlation of the state of neighbouring trials (0: each trial is new; near 1: slow drift).
    pub state_memory: f64,
    /// Standard deviation of the electrode drift below 0.5 Hz, in µV.
    pub drift_uv: f64,
}

impl Default for TwoTalker {
    fn default() -> Self {
        Self {
            subjects: 4,
            trials: 16,
            trial_seconds: 24.0,
            channels: 16,
            sfreq: 128.0,
            audio_sfreq: 16_000,
            seed: 0,
            attended_uv: 2.5,
            unattended_share: 0.35,
            background_uv: 8.0,
            rhythm_uv: 8.0,
            state_spread: 1.0,
            state_memory: 0.5,
            drift_uv: 60.0,
        }
    }
}

impl TwoTalker {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`] names the first setting out of range.
    pub fn validate(&self) -> Result<()> {
        let whole = |field, value: usize, lo: usize, hi: usize| {
            if (lo..=hi).contains(&value) {
                Ok(())
            } else {
                Err(Error::config(field, format!("{lo} to {hi}"), value))
            }
        };
        let real = |field, value: f64, lo: f64, hi: f64| {
            if (lo..=hi).contains(&value) {
                Ok(())
            } else {
                Err(Error::config(field, format!("{lo} to {hi}"), value))
            }
        };
        whole("subjects", self.subjects, 1, 99)?;
        whole("trials", self.trials, 4, 400)?;
        if !self.trials.is_multiple_of(4) {
            return Err(Error::config("trials", "a multiple of 4", self.trials));
        }
        whole("channels", self.channels, 2, CAP.len())?;
        real("trial_seconds", self.trial_seconds, 2.0, 600.0)?;
        real("sfreq", self.sfreq, 100.0, 2048.0)?;
        if self.sfreq.fract() != 0.0 {
            return Err(Error::config("sfreq", "a whole number of Hz", self.sfreq));
        }
        whole("audio_sfreq", self.audio_sfreq as usize, 8000, 48_000)?;
        real("attended_uv", self.attended_uv, 0.0, 100.0)?;
        real("unattended_share", self.unattended_share, 0.0, 2.0)?;
        real("background_uv", self.background_uv, 0.0, 200.0)?;
        real("rhythm_uv", self.rhythm_uv, 0.0, 200.0)?;
        real("state_spread", self.state_spread, 0.0, 3.0)?;
        real("state_memory", self.state_memory, 0.0, 0.999)?;
        real("drift_uv", self.drift_uv, 0.0, 500.0)
    }
}
