//! Stage 3 with sound as networks that the trainer sees: EEG against candidate sounds, and EEG against
//! class prototypes ([`super::real`] is the third). Variable names are stage 2's, so its weights are
//! their start.

use candle_core::Tensor;

use super::model::{AlignConfig, Aligner};
use super::tasks::Prototypes;
use super::types::UNKNOWN_TYPE;
use crate::audio::AudioConfig;
use crate::error::{Error, Result};
use crate::model::{Batch, Mode, Model, Needs};
use crate::params::Params;

/// Which of the candidate sounds was attended (`multimodal_real` of attention and retrieval).
///
/// Every candidate is scored by itself, from the EEG and that candidate alone, in training and in
/// testing; the loss over the candidates' scores is the trainer's.
#[derive(Debug, Clone)]
pub struct Matcher {
    aligner: Aligner,
}

impl Matcher {
    /// Builds the network in `params` (an empty set). Which pairs a contrast would fuse plays no role.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &AlignConfig, params: Params) -> Result<Self> {
        Ok(Self {
            aligner: Aligner::new(config, params)?,
        })
    }

    /// The network of stage 2 inside.
    pub fn aligner(&self) -> &Aligner {
        &self.aligner
    }
}

impl Model for Matcher {
    fn name(&self) -> &'static str {
        "mindmix-av"
    }

    fn needs(&self) -> Needs {
        Needs::EegAndSounds
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensor> {
        let (b, ..) = batch.dims()?;
        let sounds = batch.sounds.as_ref().ok_or(Error::MissingInput {
            model: self.name(),
            what: "candidate sounds",
        })?;
        let (k, of_sound) = match sounds.dims() {
            [n, k, rest @ ..] if *n == b && *k > 0 && !rest.is_empty() => (*k, rest),
            found => {
                return Err(Error::Shape {
                    what: "candidate sounds",
                    found: found.to_vec(),
                    expected: format!("[{b}, candidates, ...], none zero"),
                });
            }
        };
        let flat = sounds.reshape([&[b * k], of_sound].concat())?;
        let a = match &batch.sound_ids {
            Some(ids) => self.aligner.embed_audio_once(&flat, ids, mode)?,
            None => self.aligner.embed_audio(&flat, mode)?,
        };
        let (_, width) = a.dims2()?;
        let e = self
            .aligner
            .embed_eeg(&[(&batch.eeg, &batch.ch_names)], mode)?;
        let types = types(batch, k)?;
        self.aligner
            .candidate_logits(&e, &a.reshape((b, k, width))?, &types, mode)
    }

    fn params(&self) -> &Params {
        self.aligner.params()
    }

    fn constrain(&self) -> Result<()> {
        self.aligner.constrain()
    }
}

/// The kind of each of `k` sounds a row, row by row.
pub(super) fn types(batch: &Batch, k: usize) -> Result<Vec<u32>> {
    let (b, ..) = batch.dims()?;
    match batch.sound_types.as_slice() {
        [] => Ok(vec![UNKNOWN_TYPE; b * k]),
        kinds if kinds.len() == b => {
            let each = kinds.iter().flat_map(|t| std::iter::repeat_n(*t, k));
            Ok(each.collect())
        }
        kinds => Err(Error::Shape {
            what: "kinds of sound",
            found: vec![kinds.len()],
            expected: format!("{b}, one a row, or none"),
        }),
    }
}

/// A class of the EEG by class prototypes in the place of sounds (`multimodal_prototype`): every class
/// is scored, and no label is an input. See [`Prototypes`].
#[derive(Debug, Clone)]
pub struct PrototypeClassifier {
    params: Params,
    aligner: Aligner,
    prototypes: Prototypes,
}

impl PrototypeClassifier {
    /// Builds the network in `params` (an empty set): stage 2 without its sound encoder, and
    /// `prototypes` [classes, width of that encoder].
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &AlignConfig, classes: usize, params: Params) -> Result<Self> {
        let width = config.audio.width();
        let config = AlignConfig {
            audio: AudioConfig::Embeddings { width },
            ..config.clone()
        };
        let aligner = Aligner::new(&config, params)?;
        // Behind the encoder's blocks, so that layer-wise decay takes them for the top.
        let mut params = aligner.params().clone();
        let prototypes = Prototypes::new(&mut params, "prototypes", classes, width)?;
        Ok(Self {
            params,
            aligner,
            prototypes,
        })
    }
}

impl Model for PrototypeClassifier {
    fn name(&self) -> &'static str {
        "mindmix-prototype"
    }

    fn needs(&self) -> Needs {
        Needs::Eeg
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensor> {
        batch.dims()?;
        let e = self
            .aligner
            .embed_eeg(&[(&batch.eeg, &batch.ch_names)], mode)?;
        self.aligner.prototype_logits(&e, &self.prototypes, mode)
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn constrain(&self) -> Result<()> {
        self.aligner.constrain()
    }
}
