//! What a model reads of one example, computed once and kept while the budget lasts.
//!
//! Classification reads the EEG as stored. Matching reads the EEG at the envelopes' rate
//! (polyphase resampling of the epoch, so its last samples lean on zeros outside it) and one
//! broadband envelope a candidate, brought to mean 0 and standard deviation 1 within the epoch:
//! segments are stored divided by their peak, so their level means nothing. Where the model hears for
//! itself, it reads the EEG as stored and of each candidate a log-mel spectrogram, standardised
//! likewise, or its samples, brought to a largest magnitude of 1, or the vector that a frozen encoder
//! gives of it.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use mmpipe_models::Batch;
use mmpipe_models::audio::{log_mel, mel_frames};
use mmpipe_signal::{audio, resample};
use xxhash_rust::xxh3::xxh3_64;

use crate::data::Cache;
use crate::sound::{SoundEncoder, at_peak};
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
    /// EEG as stored and the samples of sounds.
    EegAndWave,
    /// EEG as stored and what a frozen encoder gives of sounds: so many values each.
    EegAndVectors(usize),
}

/// Features of a source's examples. Shared by threads; a copy shares what is kept.
#[derive(Clone)]
pub(crate) struct Features<'a> {
    pub(crate) source: &'a dyn Source,
    kind: FeatureKind,
    eeg: Arc<Cache<usize, [f32]>>,
    heard: Arc<Cache<Sound, [f32]>>,
    ear: Option<Arc<Ear>>,
}

/// A frozen encoder, and its vectors as far as memory goes.
pub(crate) struct Ear {
    encoder: SoundEncoder,
    vectors: Cache<Sound, [f32]>,
}

impl Ear {
    /// `budget` in bytes.
    pub(crate) fn new(encoder: SoundEncoder, budget: usize) -> Self {
        Self {
            encoder,
            vectors: Cache::new(budget),
        }
    }
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
            FeatureKind::EegAndMel(_) | FeatureKind::EegAndWave | FeatureKind::EegAndVectors(_) => {
                budget / 2
            }
        };
        Self {
            source,
            kind,
            eeg: Arc::new(Cache::new(budget - sounds)),
            heard: Arc::new(Cache::new(sounds)),
            ear: None,
        }
    }

    /// The same examples, of whose sounds the frozen encoder's vectors are read.
    pub(crate) fn hearing(&self, ear: Arc<Ear>) -> Self {
        Self {
            source: self.source,
            kind: FeatureKind::EegAndVectors(ear.encoder.width()),
            eeg: self.eeg.clone(),
            heard: self.heard.clone(),
            ear: Some(ear),
        }
    }

    /// The same sounds beside other EEG: `source` gives the EEG of these examples and is asked for
    /// each once; what comes of sounds is shared.
    pub(crate) fn with_other_eeg<'b>(&self, source: &'b dyn Source) -> Features<'b> {
        Features {
            source,
            kind: self.kind,
            eeg: Arc::new(Cache::new(0)),
            heard: self.heard.clone(),
            ear: self.ear.clone(),
        }
    }

    /// Samples a channel after resampling.
    pub(crate) fn n_times(&self) -> Result<usize> {
        let n = self.source.n_times();
        match self.kind {
            FeatureKind::Eeg
            | FeatureKind::EegAndMel(_)
            | FeatureKind::EegAndWave
            | FeatureKind::EegAndVectors(_) => Ok(n),
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
        !self.hears()
    }

    /// Whether the model hears for itself.
    pub(crate) fn hears(&self) -> bool {
        !matches!(
            self.kind,
            FeatureKind::Eeg | FeatureKind::EegAndEnvelopes(_)
        )
    }

    /// What the model reads of candidate `k` of example `i` in the source's order.
    pub(crate) fn sound(&self, i: usize, k: usize) -> Result<Arc<[f32]>> {
        let key = self
            .source
            .candidate_key(i, k)
            .map_or(Sound::Place(i, k), Sound::Key);
        if let Some(ear) = &self.ear {
            let vector = || self.read_vector(i, k, &ear.encoder);
            return ear.vectors.get_or(key, size, vector);
        }
        self.heard.get_or(key, size, || match self.kind {
            FeatureKind::Eeg => Ok(Vec::new().into()),
            FeatureKind::EegAndEnvelopes(rate) => self.read_envelope(i, k, rate),
            FeatureKind::EegAndMel(bands) => self.read_mel(i, k, bands),
            FeatureKind::EegAndWave | FeatureKind::EegAndVectors(_) => self.read_wave(i, k),
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
        Ok(match self.kind {
            FeatureKind::Eeg => Batch::eeg(eeg, names),
            FeatureKind::EegAndEnvelopes(_) => {
                Batch::with_envelopes(eeg, names, self.sounds(sounds, &[n, k])?)
            }
            FeatureKind::EegAndMel(_) | FeatureKind::EegAndVectors(_) => {
                Batch::with_sounds(eeg, names, self.sounds(sounds, &[n, k])?)
            }
            // What is dear to hear is heard once.
            FeatureKind::EegAndWave => {
                let ids = contents(&sounds, n * k);
                Batch::with_sounds(eeg, names, self.sounds(sounds, &[n, k])?).known_by(ids)
            }
        })
    }

    /// What [`Features::sound`] gave of `count` sounds as a tensor [`count`..., one sound's shape].
    pub(crate) fn sounds(&self, values: Vec<f32>, count: &[usize]) -> Result<Tensor> {
        let one = match self.kind {
            FeatureKind::Eeg => vec![0],
            FeatureKind::EegAndEnvelopes(_) => vec![self.n_times()?],
            FeatureKind::EegAndMel(bands) => vec![bands, mel_frames(self.samples())],
            FeatureKind::EegAndWave => vec![self.samples()],
            FeatureKind::EegAndVectors(width) => vec![width],
        };
        let shape = [count, &one].concat();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Numbers that are read of one sound.
    pub(crate) fn numbers(&self) -> usize {
        match self.kind {
            FeatureKind::Eeg => 0,
            FeatureKind::EegAndEnvelopes(_) => self.n_times().unwrap_or(0),
            FeatureKind::EegAndMel(bands) => bands * mel_frames(self.samples()),
            FeatureKind::EegAndWave => self.samples(),
            FeatureKind::EegAndVectors(width) => width,
        }
    }

    /// Samples of a sound as long as an epoch.
    pub(crate) fn samples(&self) -> usize {
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

    /// Samples of a sound, as many as an epoch lasts.
    fn read_sound(&self, i: usize, k: usize) -> Result<Vec<f32>> {
        let mut sound = Vec::new();
        self.source.read_candidate(i, k, &mut sound)?;
        match sound.len() == self.samples() {
            true => Ok(sound),
            false => Err(self.lasts(i, k, &sound)),
        }
    }

    fn read_mel(&self, i: usize, k: usize, bands: usize) -> Result<Arc<[f32]>> {
        let sound = self.read_sound(i, k)?;
        let n = sound.len();
        let mel = log_mel(&Tensor::from_vec(sound, (1, n), &Device::Cpu)?, bands)?;
        Ok(mel.flatten_all()?.to_vec1::<f32>()?.into())
    }

    fn read_wave(&self, i: usize, k: usize) -> Result<Arc<[f32]>> {
        let mut sound = self.read_sound(i, k)?;
        at_peak(&mut sound);
        Ok(sound.into())
    }

    /// What the source keeps of the sound, else what the encoder gives of it now.
    fn read_vector(&self, i: usize, k: usize, encoder: &SoundEncoder) -> Result<Arc<[f32]>> {
        let wrong = |found: String| {
            let id = self.source.meta(i).epoch_id;
            Error::source(id, format!("vector of candidate {k}"), found)
        };
        match self.source.embedding(&encoder.about().hash, i, k)? {
            Some(v) if v.len() == encoder.width() => Ok(v.into()),
            Some(v) => Err(wrong(format!(
                "it has {} values, expected {}; make it again",
                v.len(),
                encoder.width()
            ))),
            None => {
                let sound = self.read_sound(i, k)?;
                let vector = encoder.embed(&sound).map_err(|e| match e {
                    Error::Data(text) => wrong(text),
                    e => e,
                })?;
                Ok(vector.into())
            }
        }
    }
}

/// What each of `count` sounds of one size is known by: its content.
fn contents(values: &[f32], count: usize) -> Vec<u64> {
    let one = (values.len() / count.max(1)).max(1);
    let mut bytes = Vec::with_capacity(4 * one);
    values
        .chunks(one)
        .map(|sound| {
            bytes.clear();
            sound
                .iter()
                .for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
            xxh3_64(&bytes)
        })
        .collect()
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
