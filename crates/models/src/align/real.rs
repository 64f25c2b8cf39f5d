//! Stage 3's `multimodal_real` for classes (emotion): EEG refined by the sound that was heard.

use std::collections::HashMap;

use candle_core::{DType, Tensor};

use super::config::Pairs;
use super::contrast::{Sounds, info_nce, logits};
use super::matcher::types;
use super::model::{AlignConfig, Aligner};
use super::tasks::FusedClassifier;
use crate::error::{Error, Result};
use crate::model::{Batch, Mode, Model, Needs};
use crate::params::Params;

/// A class of the EEG refined by the sound that was heard with it.
///
/// The sound is an input in testing too. Where a sound has one label, as a video or a posed voice has,
/// the sound alone tells it: a score says nothing of the EEG before it is held against that of the same
/// network without EEG (control `audio-only`).
///
/// In training the loss may have InfoNCE beside it, as released (weight 0.1): each EEG against the
/// sounds of the batch, pair by pair (`crossed`), sounds of the same content left out.
#[derive(Debug, Clone)]
pub struct RealClassifier {
    params: Params,
    aligner: Aligner,
    head: FusedClassifier,
    contrast: f64,
}

impl RealClassifier {
    /// Builds the network in `params` (an empty set): all of stage 2, and `classifier.0` and
    /// `classifier.3` behind its fusion module. `dropout` is the head's; `contrast` is the weight of
    /// InfoNCE, 0 for none.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network, and for a weight that is none.
    pub fn new(
        config: &AlignConfig,
        classes: usize,
        dropout: f32,
        contrast: f64,
        params: Params,
    ) -> Result<Self> {
        if !(contrast.is_finite() && contrast >= 0.0) {
            return Err(Error::config("contrast", contrast, "0 or more"));
        }
        let aligner = Aligner::new(config, params)?;
        let mut params = aligner.params().clone();
        let head = FusedClassifier::new(&mut params, config.fusion.width, classes, dropout)?;
        Ok(Self {
            params,
            aligner,
            head,
            contrast,
        })
    }

    /// Projected EEG and projected sounds [B, width], and the sounds as they came in.
    fn embed<'a>(&self, batch: &'a Batch, mode: Mode) -> Result<(Tensor, Tensor, &'a Tensor)> {
        let (b, ..) = batch.dims()?;
        let sounds = batch.sounds.as_ref().ok_or(Error::MissingInput {
            model: self.name(),
            what: "sounds that were heard",
        })?;
        let flat = match sounds.dims() {
            [n, 1, rest @ ..] if *n == b && !rest.is_empty() => {
                sounds.reshape([&[b], rest].concat())?
            }
            found => {
                return Err(Error::Shape {
                    what: "sounds that were heard",
                    found: found.to_vec(),
                    expected: format!("[{b}, 1, ...], one a row"),
                });
            }
        };
        let a = match &batch.sound_ids {
            Some(ids) => self.aligner.embed_audio_once(&flat, ids, mode)?,
            None => self.aligner.embed_audio(&flat, mode)?,
        };
        let e = self
            .aligner
            .embed_eeg(&[(&batch.eeg, &batch.ch_names)], mode)?;
        Ok((e, a, sounds))
    }
}

/// Rows of the same content have the same number.
fn contents(sounds: &Tensor) -> Result<Vec<u64>> {
    let rows = sounds
        .detach()
        .flatten_from(1)?
        .to_dtype(DType::F64)?
        .to_vec2::<f64>()?;
    let mut known: HashMap<Vec<u64>, u64> = HashMap::with_capacity(rows.len());
    let bits = |row: Vec<f64>| row.iter().map(|x| x.to_bits()).collect::<Vec<u64>>();
    Ok(rows
        .into_iter()
        .zip(0..)
        .map(|(row, at)| *known.entry(bits(row)).or_insert(at))
        .collect())
}

impl Model for RealClassifier {
    fn name(&self) -> &'static str {
        "mindmix-real"
    }

    fn needs(&self) -> Needs {
        Needs::EegAndHeard
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensor> {
        let (e, a, _) = self.embed(batch, mode)?;
        let types = types(batch, 1)?;
        self.head
            .scores(&e, &a, &types, self.aligner.fusion(), mode)
    }

    fn forward_with_loss(&self, batch: &Batch, mode: Mode) -> Result<(Tensor, Option<Tensor>)> {
        if self.contrast == 0.0 || !mode.is_train() {
            return Ok((self.forward(batch, mode)?, None));
        }
        let (e, a, heard) = self.embed(batch, mode)?;
        let types = types(batch, 1)?;
        let fusion = self.aligner.fusion();
        let scores = self.head.scores(&e, &a, &types, fusion, mode)?;
        let sounds = Sounds {
            audio: a,
            types,
            ids: contents(heard)?,
            others: None,
        };
        let temperature = self.aligner.temperature();
        let pairs = logits(fusion, &e, &sounds, Pairs::Crossed, temperature, mode)?;
        Ok((scores, Some((info_nce(&pairs, false)? * self.contrast)?)))
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn constrain(&self) -> Result<()> {
        self.aligner.constrain()
    }
}
