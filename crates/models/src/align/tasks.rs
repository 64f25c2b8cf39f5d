//! Stage 3 with sound: class prototypes in place of sounds, and emotion from EEG with the sound heard.
//! (EEG alone is [`crate::encoder::Classifier`]; attention and retrieval are `candidate` scoring.)

use candle_core::Tensor;

use super::contrast::{CHUNK, Temperature, crossed};
use super::fusion::Fusion;
use super::types::UNKNOWN_TYPE;
use crate::encoder::Head;
use crate::error::{Error, Result};
use crate::layers::Projection;
use crate::model::Mode;
use crate::params::{Init, Params};

/// One learned vector a class in the place of a sound (`multimodal_prototype`).
///
/// The released code picks the prototype by the true label in training and at random in testing, so
/// the label enters the input of one and nothing that of the other. Here every class is scored by its
/// own fused pair, in training and in testing alike, and no label is an argument.
#[derive(Debug, Clone)]
pub struct Prototypes {
    vectors: Tensor,
}

impl Prototypes {
    /// Adds `{name}` [classes, width], normal with deviation 0.1 as published; `width` is that of the
    /// sound encoder's vectors.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than two classes.
    pub fn new(params: &mut Params, name: &str, classes: usize, width: usize) -> Result<Self> {
        if classes < 2 {
            return Err(Error::config("classes", classes, "at least 2"));
        }
        Ok(Self {
            vectors: params.embedding(name, (classes, width), Init::Normal(0.1))?,
        })
    }

    /// One score a class [B, classes] of projected EEG [B, D]: the temperature's factor times the
    /// cosine of the pair (EEG, prototype).
    ///
    /// # Errors
    /// Those of [`Fusion::forward`].
    pub fn scores(
        &self,
        eeg: &Tensor,
        audio_proj: &Projection,
        fusion: &Fusion,
        temperature: &Temperature,
        mode: Mode,
    ) -> Result<Tensor> {
        let classes = audio_proj.forward(&self.vectors)?;
        let types = vec![UNKNOWN_TYPE; classes.dim(0)?];
        let cosines = crossed(fusion, eeg, &classes, &types, CHUNK, mode)?;
        Ok(cosines.broadcast_mul(&temperature.factor()?)?)
    }
}

/// A classifier on EEG refined by the sound that was heard (`multimodal_real`, emotion).
///
/// The sound is there in testing too. Where a sound has one label, as a video or a posed voice has,
/// the sound alone tells it: print the result beside the `audio-only` control.
#[derive(Debug, Clone)]
pub struct FusedClassifier {
    head: Head,
}

impl FusedClassifier {
    /// Adds `classifier.0` and `classifier.3`; `width` is that of the fusion module.
    ///
    /// # Errors
    /// [`Error::Config`] for no class or an impossible dropout.
    pub fn new(params: &mut Params, width: usize, classes: usize, dropout: f32) -> Result<Self> {
        if classes == 0 {
            return Err(Error::config("classes", classes, "at least 1"));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(Error::config("dropout", dropout, "0 or more and below 1"));
        }
        Ok(Self {
            head: Head::new(params, width, classes, dropout)?,
        })
    }

    /// Scores [B, classes] of projected EEG and projected sounds [B, width], pair by pair, with the
    /// kind of each sound.
    ///
    /// # Errors
    /// Those of [`Fusion::forward`].
    pub fn scores(
        &self,
        eeg: &Tensor,
        audio: &Tensor,
        types: &[u32],
        fusion: &Fusion,
        mode: Mode,
    ) -> Result<Tensor> {
        let (eeg, _) = fusion.forward(eeg, audio, types, mode)?;
        self.head.forward(&eeg, mode)
    }
}
