//! What a model reads of one example, computed once and kept while the budget lasts.
//!
//! Classification reads the EEG as stored. Matching reads the EEG at the envelopes' rate
//! (polyphase resampling of the epoch, so its last samples lean on zeros outside it) and one
//! broadband envelope a candidate, brought to mean 0 and standard deviation 1 within the epoch:
//! segments are stored divided by their peak, so their level means nothing. Where the model hears for
//! itself, it reads the EEG as stored and a log-mel spectrogram a candidate, standardised likewise.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use mmpipe_models::Batch;
use mmpipe_models::audio::{log_mel, mel_frames};
use mmpipe_signal::{audio, resample};

use crate::data::Cache;
use crate::source::Source;
use crate::{Error, Result};

/// Rate at which sources deliver sound, Hz.
const AUDIO_SFREQ: f64 = 16_000.0;

/// What is read and at which rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FeatureKind {
    /// EEG as stored.
    Eeg,
    /// EEG and envelopes at this rate, Hz.
    EegAndEnvelopes(f64),
    /// EEG as stored and log-mel spectrograms of so many bands.
    EegAndMel(usize),
}

/// Features of a source's examples. Shared by threads.
pub(crate) struct Features<'a> {
    pub(crate) source: &'a dyn Source,
    kind: FeatureKind,
    eeg: Cache<usize, [f32]>,
    heard: Arc<Cache<Sound, [f32]>>,
}

/// What comes of a sound is known by the sound where the source tells, else by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sound {
    Key(u64),
    Place(usize, usize),
}

impl<'a> Features<'a> {
    /// `budget` in bytes; a quarter of it is for envelopes, half for spectrograms.
    pub(crate) fn new(source: &'a dyn Source, kind: FeatureKind, budget: usize) -> Self {
        let sounds = match kind {
            FeatureKind::Eeg => 0,
            FeatureKind::EegAndEnvelopes(_) => budget / 4,
            FeatureKind::EegAndMel(_) => budget / 2,
        };
        Self {
            source,
            kind,
            eeg: Cache::new(budget - sounds),
            heard: Arc::new(Cache::new(sounds)),
        }
    }

    /// The same sounds beside other EEG: `source` gives the EEG of these examples and is asked for
    /// each once; what comes of sounds is shared.
    pub(crate) fn with_other_eeg<'b>(&self, source: &'b dyn Source) -> Features<'b> {
        Features {
            source,
            kind: self.kind,
            eeg: Cache::new(0),
            heard: self.heard.clone(),
        }
    }

    /// Samples a channel after resampling.
    pub(crate) fn n_times(&self) -> Result<usize> {
        let n = self.source.n_times();
        match self.kind {
            FeatureKind::Eeg | FeatureKind::EegAndMel(_) => Ok(n),
            FeatureKind::EegAndEnvelopes(rate) => {
                let (up, down) = ratio(self.source.sfreq(), rate)?;
                Ok((n * up).div_ceil(down))
            }
        }
    }

    /// EEG of example `i`, all channels of its montage.
    pub(crate) fn eeg(&self, i: usize) -> Result<Arc<[f32]>> {
        self.eeg.get_or(i, size, || self.read_eeg(i))
    }

    fn read_eeg(&self, i: usize) -> Result<Arc<[f32]>> {
        let meta = self.source.meta(i);
        let channels = self.source.montage(meta.montage).len();
        let n = self.source.n_times();
        let mut eeg = vec![0f32; channels * n];
        self.source.read_eeg(i, &mut eeg)?;
        if let Some(at) = eeg.iter().position(|x| !x.is_finite()) {
            let what = format!("eeg sample {} of channel {}", at % n, at / n);
            let found = format!(
                "found {}, expected a finite number; drop this epoch",
                eeg[at]
            );
            return Err(Error::source(meta.epoch_id, what, found));
        }
        let FeatureKind::EegAndEnvelopes(rate) = self.kind else {
            return Ok(eeg.into());
        };
        let (up, down) = ratio(self.source.sfreq(), rate)?;
        let rows: Vec<Vec<f64>> = eeg
            .chunks(n)
            .map(|row| row.iter().map(|x| f64::from(*x)).collect())
            .collect();
        let rows = resample::resample_poly_channels(&rows, up, down).map_err(signal)?;
        Ok(rows.iter().flatten().map(|x| *x as f32).collect())
    }

    /// Whether a model's answer may depend on where a candidate stands. A model that hears for itself
    /// scores each candidate by itself.
    pub(crate) fn places_matter(&self) -> bool {
        !matches!(self.kind, FeatureKind::EegAndMel(_))
    }

    /// What the model reads of candidate `k` of example `i` in the source's order.
    pub(crate) fn sound(&self, i: usize, k: usize) -> Result<Arc<[f32]>> {
        let key = self
            .source
            .candidate_key(i, k)
            .map_or(Sound::Place(i, k), Sound::Key);
        self.heard.get_or(key, size, || match self.kind {
            FeatureKind::Eeg => Ok(Vec::new().into()),
            FeatureKind::EegAndEnvelopes(rate) => self.read_envelope(i, k, rate),
            FeatureKind::EegAndMel(bands) => self.read_mel(i, k, bands),
        })
    }

    /// EEG [n, channels, times] with what [`Features::sound`] gave of `k` candidates a row.
    pub(crate) fn batch(
        &self,
        eeg: Tensor,
        names: Arc<[String]>,
        sounds: Vec<f32>,
        k: usize,
    ) -> Result<Batch> {
        let n = eeg.dim(0)?;
        let sounds = |shape: &[usize]| self.sounds(sounds, shape);
        Ok(match self.kind {
            FeatureKind::Eeg => Batch::eeg(eeg, names),
            FeatureKind::EegAndEnvelopes(_) => Batch::with_envelopes(eeg, names, sounds(&[n, k])?),
            FeatureKind::EegAndMel(_) => Batch::with_sounds(eeg, names, sounds(&[n, k])?),
        })
    }

    /// What [`Features::sound`] gave of `count` sounds as a tensor [`count`..., one sound's shape].
    pub(crate) fn sounds(&self, values: Vec<f32>, count: &[usize]) -> Result<Tensor> {
        let one = match self.kind {
            FeatureKind::Eeg => vec![0],
            FeatureKind::EegAndEnvelopes(_) => vec![self.n_times()?],
            FeatureKind::EegAndMel(bands) => vec![bands, mel_frames(self.samples())],
        };
        let shape = [count, &one].concat();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Samples of a sound as long as an epoch.
    fn samples(&self) -> usize {
        (self.source.n_times() as f64 * AUDIO_SFREQ / self.source.sfreq()).round() as usize
    }

    fn lasts(&self, i: usize, k: usize, sound: &[f32]) -> Error {
        Error::source(
            self.source.meta(i).epoch_id,
            format!("candidate {k}"),
            format!(
                "its sound lasts {:.3} s, its EEG {:.3} s; expected the same",
                sound.len() as f64 / AUDIO_SFREQ,
                self.source.n_times() as f64 / self.source.sfreq()
            ),
        )
    }

    fn read_envelope(&self, i: usize, k: usize, rate: f64) -> Result<Arc<[f32]>> {
        let n = self.n_times()?;
        let mut sound = Vec::new();
        self.source.read_candidate(i, k, &mut sound)?;
        let mut envelope = audio::envelope(&sound, AUDIO_SFREQ, rate).map_err(signal)?;
        if envelope.len() < n || envelope.len() > n + 1 {
            return Err(self.lasts(i, k, &sound));
        }
        envelope.truncate(n);
        standardise(&mut envelope);
        Ok(envelope.into())
    }

    fn read_mel(&self, i: usize, k: usize, bands: usize) -> Result<Arc<[f32]>> {
        let n = self.samples();
        let mut sound = Vec::new();
        self.source.read_candidate(i, k, &mut sound)?;
        if sound.len() != n {
            return Err(self.lasts(i, k, &sound));
        }
        let mel = log_mel(&Tensor::from_vec(sound, (1, n), &Device::Cpu)?, bands)?;
        Ok(mel.flatten_all()?.to_vec1::<f32>()?.into())
    }
}

fn size(x: &[f32]) -> usize {
    // The map's own cost a value, roughly.
    size_of_val(x) + 64
}

fn ratio(from: f64, to: f64) -> Result<(usize, usize)> {
    resample::ratio(from, to).map_err(signal)
}

fn signal(e: mmpipe_signal::Error) -> Error {
    Error::Signal(e.to_string())
}

/// Mean 0 and standard deviation 1; a constant becomes zeros.
fn standardise(x: &mut [f32]) {
    let n = x.len().max(1) as f64;
    let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let var = x
        .iter()
        .map(|v| (f64::from(*v) - mean).powi(2))
        .sum::<f64>()
        / n;
    let scale = if var > 1e-20 { 1.0 / var.sqrt() } else { 0.0 };
    for v in x {
        *v = ((f64::from(*v) - mean) * scale) as f32;
    }
}
