//! The encoder that does not learn.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Device, Tensor};
use mmpipe_models::audio::Wav2Vec2;
use mmpipe_models::{Mode, Params};

use super::origin::{fill, resolve};
use super::{Asked, Hears, PREFIX, SoundReport};
use crate::config::{Audio, AudioTrain, Size};
use crate::{Error, Result};

/// Rate of the sounds, Hz.
const SFREQ: f64 = 16_000.0;

/// A wav2vec 2.0 or HuBERT encoder that does not learn. Its weights are read when the first sound is
/// heard. Shared by threads.
#[derive(Debug)]
pub struct SoundEncoder {
    hears: Hears,
    asked: Asked,
    net: Mutex<Option<Arc<Wav2Vec2>>>,
}

impl SoundEncoder {
    /// The encoder at `weights`: a safetensors or PyTorch file as Hugging Face or MindMix wrote it, a
    /// folder with one, or what `mmpipe convert` made.
    ///
    /// # Errors
    /// [`Error::Config`] for the log-mel encoder, which learns with the rest; [`Error::Checkpoint`] for
    /// a file that does not hold the encoder.
    pub fn open(audio: Audio, weights: &Path) -> Result<Self> {
        let asked = Asked {
            audio,
            audio_train: AudioTrain::Frozen,
            audio_init: Some(weights.display().to_string()),
            spec_augment: true,
            dropout: None,
            size: Size::Base,
            init: None,
            seed: 0,
            fold: 0,
            unknowing: false,
        };
        match resolve(&asked)? {
            Some(sound) => Ok(sound.encoder()),
            None => Err(Error::Config {
                field: "audio",
                message: "expected wav2vec2 or hubert, found mel, which has no published weights"
                    .into(),
            }),
        }
    }

    pub(crate) fn new(hears: Hears, asked: Asked) -> Self {
        Self {
            hears,
            asked,
            net: Mutex::new(None),
        }
    }

    /// Which it is, where it comes from, and its identity.
    pub fn about(&self) -> &SoundReport {
        &self.hears.about
    }

    /// Values of a vector.
    pub fn width(&self) -> usize {
        self.hears.config.hidden_size
    }

    /// The vector of a sound, mono samples at 16 kHz: brought to a largest magnitude of 1, as MindMix
    /// passes sounds in, and the mean over frames of the last hidden state. The same bytes whatever is
    /// asked before, beside or after it.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where the weights are not those that this encoder is known by any more;
    /// [`Error::Data`] for a sound that is too short or gives what is no number.
    pub fn embed(&self, samples: &[f32]) -> Result<Vec<f32>> {
        if self.hears.config.frames(samples.len()).is_none() {
            return Err(Error::Data(format!(
                "a sound of {:.3} s is too short for {}",
                samples.len() as f64 / SFREQ,
                self.hears.about.encoder.name()
            )));
        }
        let net = self.net()?;
        let mut samples = samples.to_vec();
        at_peak(&mut samples);
        let n = samples.len();
        let frames = net.forward(
            &Tensor::from_vec(samples, (1, n), &Device::Cpu)?,
            Mode::Eval,
        )?;
        let vector = frames.detach().mean(1)?.flatten_all()?.to_vec1::<f32>()?;
        match vector.iter().find(|x| !x.is_finite()) {
            None => Ok(vector),
            Some(x) => Err(Error::Data(format!(
                "{} gives {x} of a sound; expected numbers, are its weights whole?",
                self.hears.about.encoder.name()
            ))),
        }
    }

    /// Reads the weights now, where they were not yet.
    ///
    /// # Errors
    /// As [`SoundEncoder::embed`] of the weights.
    pub fn load(&self) -> Result<()> {
        self.net().map(drop)
    }

    fn net(&self) -> Result<Arc<Wav2Vec2>> {
        let mut net = self.net.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(net) = &*net {
            return Ok(net.clone());
        }
        let mut params = Params::unset(&Device::Cpu);
        let made = Wav2Vec2::new(&self.hears.config, &mut params, PREFIX)?;
        fill(&self.asked, &self.hears, &params)?;
        Ok(net.insert(Arc::new(made)).clone())
    }

    /// All its tensors behind MindMix's prefix, into the variables of `params`.
    pub(crate) fn fill(&self, params: &Params) -> Result<()> {
        fill(&self.asked, &self.hears, params)
    }
}

/// Brings a sound to a largest magnitude of 1; silence stays.
pub(crate) fn at_peak(samples: &mut [f32]) {
    let peak = samples.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    if peak > 0.0 {
        samples.iter_mut().for_each(|x| *x /= peak);
    }
}
