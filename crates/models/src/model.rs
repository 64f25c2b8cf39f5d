//! What a trainer needs to know of a network: nothing but this trait.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::error::{Error, Result};
use crate::params::Params;
use crate::rng::Stream;

/// Whether a forward pass trains or evaluates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, dropout and drop path are active, running statistics are updated.
    /// Every mask is a pure function of (seed, step, layer).
    Train {
        /// Seed of the run.
        seed: u64,
        /// Optimiser step (with gradient accumulation: a number unique to the micro-batch).
        step: u64,
    },
    /// Deterministic; running statistics are used and nothing changes.
    Eval,
}

impl Mode {
    /// The random stream of one layer in this step; none in evaluation.
    pub fn stream(self, layer: &str) -> Option<Stream> {
        match self {
            Mode::Train { seed, step } => Some(Stream::named(seed, layer).child(step)),
            Mode::Eval => None,
        }
    }

    /// Whether this is [`Mode::Train`].
    pub fn is_train(self) -> bool {
        matches!(self, Mode::Train { .. })
    }
}

/// What a network reads of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// EEG alone; returns one score a class.
    Eeg,
    /// EEG and one envelope a candidate sound; returns one score a candidate.
    EegAndEnvelopes,
    /// EEG and, of each candidate sound, what the network's sound encoder reads; returns one score a
    /// candidate.
    EegAndSounds,
    /// EEG and, of the one sound that was heard, what the network's sound encoder reads; returns one
    /// score a class.
    EegAndHeard,
}

/// Examples of one montage.
#[derive(Debug, Clone)]
pub struct Batch {
    /// [batch, channels, times], f32, in the unit the recipe gives (the `mindmix` recipe: z-scores).
    pub eeg: Tensor,
    /// Canonical 10-05 names of the channels, in order. Networks without a spatial embedding do
    /// not look at them.
    pub ch_names: Arc<[String]>,
    /// [batch, candidates, times], f32: envelopes at the rate of `eeg`.
    pub envelopes: Option<Tensor>,
    /// [batch, candidates, ...], f32: of each sound what a sound encoder reads, log-mel spectrograms
    /// [bands, frames], waveforms [samples] or embeddings [width].
    pub sounds: Option<Tensor>,
    /// Of each candidate, row by row, what its sound is known by: a sound that comes several times is
    /// heard once. Absent: every candidate is heard by itself.
    pub sound_ids: Option<Arc<[u64]>>,
    /// Kind of the sounds of each row ([`crate::align::UNKNOWN_TYPE`] where it is not known); empty =
    /// of no row. All candidates of a row are of one kind, so it tells none of them from another.
    pub sound_types: Vec<u32>,
}

impl Batch {
    /// EEG alone.
    pub fn eeg(eeg: Tensor, ch_names: Arc<[String]>) -> Self {
        Self {
            eeg,
            ch_names,
            envelopes: None,
            sounds: None,
            sound_ids: None,
            sound_types: Vec::new(),
        }
    }

    /// EEG with candidate envelopes.
    pub fn with_envelopes(eeg: Tensor, ch_names: Arc<[String]>, envelopes: Tensor) -> Self {
        Self {
            envelopes: Some(envelopes),
            ..Self::eeg(eeg, ch_names)
        }
    }

    /// EEG with candidate sounds.
    pub fn with_sounds(eeg: Tensor, ch_names: Arc<[String]>, sounds: Tensor) -> Self {
        Self {
            sounds: Some(sounds),
            ..Self::eeg(eeg, ch_names)
        }
    }

    /// With what its sounds are known by, one number a candidate, row by row.
    pub fn known_by(self, ids: Vec<u64>) -> Self {
        Self {
            sound_ids: Some(ids.into()),
            ..self
        }
    }

    /// The rows `start` to `start + len`, sounds included.
    ///
    /// # Errors
    /// Those of the tensor library for rows that are not there.
    pub fn rows(&self, start: usize, len: usize) -> Result<Self> {
        let cut = |x: &Tensor| x.narrow(0, start, len)?.contiguous();
        let all = self.eeg.dim(0)?.max(1);
        let of_rows = |ids: &Arc<[u64]>| {
            let k = ids.len() / all;
            ids.get(start * k..(start + len) * k).map(Arc::from)
        };
        Ok(Self {
            eeg: cut(&self.eeg)?,
            ch_names: self.ch_names.clone(),
            envelopes: self.envelopes.as_ref().map(cut).transpose()?,
            sounds: self.sounds.as_ref().map(cut).transpose()?,
            sound_ids: self.sound_ids.as_ref().and_then(of_rows),
            sound_types: match self.sound_types.get(start..start + len) {
                Some(types) => types.to_vec(),
                None => Vec::new(),
            },
        })
    }

    /// The same on another device; nothing is copied where it lies there already.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = |x: &Tensor| x.to_device(device);
        Ok(Self {
            eeg: moved(&self.eeg)?,
            envelopes: self.envelopes.as_ref().map(moved).transpose()?,
            sounds: self.sounds.as_ref().map(moved).transpose()?,
            ..self.clone()
        })
    }

    /// The three dimensions of the EEG.
    ///
    /// # Errors
    /// [`Error::Shape`] when it has not three, or one is zero.
    pub fn dims(&self) -> Result<(usize, usize, usize)> {
        match *self.eeg.dims() {
            [b, c, t] if b > 0 && c > 0 && t > 0 => Ok((b, c, t)),
            _ => Err(Error::Shape {
                what: "eeg",
                found: self.eeg.dims().to_vec(),
                expected: "[batch, channels, times], none zero".to_string(),
            }),
        }
    }
}

/// A network with one score a class or candidate.
pub trait Model: Send + Sync {
    /// Short name, as in configuration files.
    fn name(&self) -> &'static str;

    /// What it reads of a batch.
    fn needs(&self) -> Needs;

    /// Scores [batch, classes or candidates] before the softmax.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::MissingInput`] for a batch that does not fit.
    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensor>;

    /// As [`Model::forward`], and beside the scores a loss of the network's own, weighted and a mean
    /// over the rows, where it has one.
    ///
    /// # Errors
    /// Those of [`Model::forward`].
    fn forward_with_loss(&self, batch: &Batch, mode: Mode) -> Result<(Tensor, Option<Tensor>)> {
        Ok((self.forward(batch, mode)?, None))
    }

    /// The variables.
    fn params(&self) -> &Params;

    /// Projects weights back into their constraint set; called after every optimiser step.
    fn constrain(&self) -> Result<()> {
        Ok(())
    }
}
