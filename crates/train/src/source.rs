//! The door through which examples come in: [`Source`], [`Meta`], [`Fold`].
//!
//! The lake implements [`Source`] through the binary; this crate knows nothing of Parquet or SQL.
//! [`MemorySource`] is the implementation for tests, examples and simulations.

use mmpipe_models::align::UNKNOWN_TYPE;
use std::collections::HashMap;

use crate::{Error, Result};

/// What is known of one example (one EEG epoch) without reading its samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meta {
    /// Identity of the epoch, unique in the source.
    pub epoch_id: u64,
    /// Data set.
    pub dataset: String,
    /// Subject.
    pub subject: String,
    /// Session; empty where the data set has none.
    pub session: String,
    /// Run; empty where the data set has none.
    pub run: String,
    /// Trial within the run.
    pub trial: i32,
    /// Start of the epoch in s from the start of the recording. Epochs of one trial that follow
    /// each other at their own length are one stretch of signal.
    pub onset: f64,
    /// Class index into [`Source::classes`]; negative = no label.
    pub label: i32,
    /// Index of the channel set, see [`Source::montage`].
    pub montage: usize,
    /// Number of candidate sounds; 0 = no sound belongs to the epoch.
    pub candidates: usize,
    /// Kind of what was heard, where the data set says.
    pub auditory_type: Option<AuditoryType>,
}

/// Kinds of sound that networks tell apart, in the order of their maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditoryType {
    /// Speech.
    Speech,
    /// Music.
    Music,
    /// Anything else that a data set names.
    Other,
}

impl AuditoryType {
    /// The kind that a data set calls `name`.
    pub fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "speech" => Self::Speech,
            "music" => Self::Music,
            _ => Self::Other,
        }
    }
}

impl Meta {
    /// The number of the sound's kind as networks count them.
    pub(crate) fn sound_type(&self) -> u32 {
        match self.auditory_type {
            Some(AuditoryType::Speech) => 0,
            Some(AuditoryType::Music) => 1,
            Some(AuditoryType::Other) => 2,
            None => UNKNOWN_TYPE,
        }
    }
}

/// Random access to examples. Calls come from several threads at once.
///
/// All epochs of a source have the same length and rate. Channel sets may differ.
pub trait Source: Send + Sync {
    /// Number of examples.
    fn len(&self) -> usize;
    /// True when there is no example.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Facts of example `i`, `i < len()`.
    fn meta(&self, i: usize) -> &Meta;
    /// Canonical names of the channels of montage `m`, in the order of the rows of
    /// [`Source::read_eeg`]. `m` is a [`Meta::montage`].
    fn montage(&self, m: usize) -> &[String];
    /// Samples of one channel of one epoch.
    fn n_times(&self) -> usize;
    /// Sampling rate of the EEG, Hz.
    fn sfreq(&self) -> f64;
    /// Names of the classes; [`Meta::label`] points here. Empty for sources without labels.
    fn classes(&self) -> &[String];
    /// Normalised EEG of example `i`, channel by channel: `out.len() == channels * n_times`.
    ///
    /// # Errors
    /// Whatever keeps the samples from being read.
    fn read_eeg(&self, i: usize, out: &mut [f32]) -> Result<()>;
    /// Mean and standard deviation in µV that undo the normalisation of example `i`, one of each a
    /// channel: `µV = x * std + mean`.
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn read_scale(&self, i: usize, out_mean: &mut [f32], out_std: &mut [f32]) -> Result<()>;
    /// 16-kHz mono samples of candidate `k` of example `i`; `out` is cleared and filled.
    /// Candidate 0 is the attended sound; the trainer shows candidates in random order.
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn read_candidate(&self, i: usize, k: usize, out: &mut Vec<f32>) -> Result<()>;
    /// Identity of the sound segment behind candidate `k` of example `i`. Where two examples give
    /// the same key, what is derived from the sound is computed once. `None`: not known.
    fn candidate_key(&self, i: usize, k: usize) -> Option<u64> {
        let _ = (i, k);
        None
    }
    /// The vector that the frozen sound encoder `encoder` (see [`crate::SoundReport::hash`]) gave of the
    /// sound behind candidate `k` of example `i`, where the source keeps such. `None`: not kept, it is
    /// to be made.
    ///
    /// # Errors
    /// Whatever keeps a vector that is there from being read.
    fn embedding(&self, encoder: &str, i: usize, k: usize) -> Result<Option<Vec<f32>>> {
        let _ = (encoder, i, k);
        Ok(None)
    }
    /// Identity of the whole sound (story, song, clip) that candidate `k` of example `i` is a segment
    /// of. `None`: not known.
    fn stimulus_key(&self, i: usize, k: usize) -> Option<u64> {
        self.candidate_key(i, k)
    }
}

/// One fold of a split: indices into a [`Source`] for each role. An index has one role at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    /// Number of the fold.
    pub fold: i32,
    /// Examples that move the weights.
    pub train: Vec<usize>,
    /// Examples that choose the checkpoint.
    pub val: Vec<usize>,
    /// Examples that are predicted.
    pub test: Vec<usize>,
}

/// A [`Source`] that holds everything in memory.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    /// Samples of one channel of one epoch.
    pub n_times: usize,
    /// Sampling rate, Hz.
    pub sfreq: f64,
    /// Class names.
    pub classes: Vec<String>,
    /// Channel names of each montage.
    pub montages: Vec<Vec<String>>,
    /// Facts, one an example.
    pub metas: Vec<Meta>,
    /// Normalised EEG, channel by channel, one an example.
    pub eeg: Vec<Vec<f32>>,
    /// (mean, std) in µV of each channel, one list an example; empty = mean 0, std 1.
    pub scale: Vec<Vec<(f32, f32)>>,
    /// 16-kHz candidates of each example, the attended one first; empty = none.
    pub candidates: Vec<Vec<Vec<f32>>>,
    /// Identity of each candidate's sound; empty = not known.
    pub keys: Vec<Vec<u64>>,
    /// Vectors that frozen sound encoders gave, by encoder and identity of the sound.
    pub embeddings: HashMap<(String, u64), Vec<f32>>,
}

impl MemorySource {
    fn missing(&self, i: usize, what: &str) -> Error {
        let id = self.metas.get(i).map_or(0, |m| m.epoch_id);
        Error::source(
            id,
            what.to_string(),
            format!("example {i} has none in memory, or of another size"),
        )
    }
}

impl Source for MemorySource {
    fn len(&self) -> usize {
        self.metas.len()
    }
    fn meta(&self, i: usize) -> &Meta {
        &self.metas[i]
    }
    fn montage(&self, m: usize) -> &[String] {
        &self.montages[m]
    }
    fn n_times(&self) -> usize {
        self.n_times
    }
    fn sfreq(&self) -> f64 {
        self.sfreq
    }
    fn classes(&self) -> &[String] {
        &self.classes
    }
    fn read_eeg(&self, i: usize, out: &mut [f32]) -> Result<()> {
        match self.eeg.get(i) {
            Some(x) if x.len() == out.len() => {
                out.copy_from_slice(x);
                Ok(())
            }
            _ => Err(self.missing(i, "eeg")),
        }
    }
    fn read_scale(&self, i: usize, out_mean: &mut [f32], out_std: &mut [f32]) -> Result<()> {
        if self.scale.is_empty() {
            out_mean.fill(0.0);
            out_std.fill(1.0);
            return Ok(());
        }
        let scale = self
            .scale
            .get(i)
            .filter(|s| s.len() == out_mean.len() && s.len() == out_std.len());
        let scale = scale.ok_or_else(|| self.missing(i, "scale"))?;
        for (c, &(mean, std)) in scale.iter().enumerate() {
            out_mean[c] = mean;
            out_std[c] = std;
        }
        Ok(())
    }
    fn read_candidate(&self, i: usize, k: usize, out: &mut Vec<f32>) -> Result<()> {
        let samples = self.candidates.get(i).and_then(|c| c.get(k));
        let samples = samples.ok_or_else(|| self.missing(i, "candidate"))?;
        out.clear();
        out.extend_from_slice(samples);
        Ok(())
    }
    fn candidate_key(&self, i: usize, k: usize) -> Option<u64> {
        self.keys.get(i)?.get(k).copied()
    }
    fn embedding(&self, encoder: &str, i: usize, k: usize) -> Result<Option<Vec<f32>>> {
        let known = |key| self.embeddings.get(&(encoder.to_owned(), key)).cloned();
        Ok(self.candidate_key(i, k).and_then(known))
    }
}
