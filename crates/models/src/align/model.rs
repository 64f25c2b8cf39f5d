//! The whole of stage 2: both encoders, both projections, fusion and temperature. Variable names
//! equal the released checkpoint's.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::config::{FusionConfig, FusionKind, Pairs};
use super::contrast::{
    CHUNK, Logits, Sounds, Temperature, crossed, info_nce, logits, own_candidates,
};
use super::fusion::Fusion;
use super::score;
use super::tasks::Prototypes;
use crate::audio::{AudioConfig, AudioEncoder, Wav2Vec2Config};
use crate::encoder::{Encoder, EncoderConfig, Size};
use crate::error::{Error, Result};
use crate::layers::Projection;
use crate::model::Mode;
use crate::params::Params;

/// Shape of the network and of its contrast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlignConfig {
    /// The EEG encoder.
    pub eeg: EncoderConfig,
    /// The sound encoder.
    pub audio: AudioConfig,
    /// The sound encoder does not learn.
    pub frozen_audio: bool,
    /// What stands between projections and score.
    pub fusion: FusionConfig,
    /// Which pairs of a batch are fused for the contrast.
    pub pairs: Pairs,
    /// The contrast runs both ways; the released code has EEG → sound alone.
    pub symmetric: bool,
    /// Temperature at the start.
    pub temperature: f64,
}

impl AlignConfig {
    /// A named size with the paper's sound encoder and module, and honest pairs.
    pub fn new(size: Size) -> Self {
        Self {
            eeg: EncoderConfig::new(size),
            audio: AudioConfig::Wav2Vec2(Wav2Vec2Config::wav2vec2_base()),
            frozen_audio: false,
            fusion: FusionConfig::new(FusionKind::CalraPaper),
            pairs: Pairs::Crossed,
            symmetric: false,
            temperature: 0.07,
        }
    }

    /// A named size as the released code runs it: no spatial embedding, its module, and pairs whose
    /// EEG has seen the answer.
    pub fn released(size: Size) -> Self {
        Self {
            eeg: EncoderConfig::released(size),
            fusion: FusionConfig::new(FusionKind::CalraReleased),
            pairs: Pairs::Diagonal,
            ..Self::new(size)
        }
    }
}

/// The network.
#[derive(Debug, Clone)]
pub struct Aligner {
    config: AlignConfig,
    params: Params,
    encoder: Encoder,
    eeg_proj: Projection,
    audio: AudioEncoder,
    audio_proj: Projection,
    fusion: Fusion,
    temperature: Temperature,
}

impl Aligner {
    /// Builds the network in `params` (an empty set).
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &AlignConfig, mut params: Params) -> Result<Self> {
        let p = &mut params;
        let width = config.fusion.width;
        let encoder = Encoder::new(&config.eeg, p, "eeg_model.model.")?;
        let eeg_proj = Projection::new(p, "eeg_proj", config.eeg.width(), width)?;
        let audio = AudioEncoder::new(&config.audio, config.frozen_audio, p, "audio_model.")?;
        let audio_proj = Projection::new(p, "audio_proj", audio.width(), width)?;
        let fusion = Fusion::new(&config.fusion, p, "fusion_module.")?;
        let temperature = Temperature::new(p, "logit_scale", config.temperature)?;
        Ok(Self {
            config: config.clone(),
            params,
            encoder,
            eeg_proj,
            audio,
            audio_proj,
            fusion,
            temperature,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &AlignConfig {
        &self.config
    }

    /// The variables.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The module between projections and score.
    pub fn fusion(&self) -> &Fusion {
        &self.fusion
    }

    pub(super) fn temperature(&self) -> &Temperature {
        &self.temperature
    }

    /// Projected EEG [B, width] of groups of one montage each, one after the other: a batch may mix
    /// montages of any numbers of channels, and none is padded.
    ///
    /// # Errors
    /// Those of [`Encoder::forward`]; [`Error::Shape`] for no group at all.
    pub fn embed_eeg(&self, groups: &[(&Tensor, &[String])], mode: Mode) -> Result<Tensor> {
        let parts = groups
            .iter()
            .map(|(x, names)| self.encoder.forward(x, names, mode))
            .collect::<Result<Vec<_>>>()?;
        if parts.is_empty() {
            return Err(Error::Shape {
                what: "groups of eeg",
                found: vec![0],
                expected: "at least one".to_string(),
            });
        }
        self.eeg_proj.forward(&Tensor::cat(&parts, 0)?)
    }

    /// Projected sound [B, width] of waveforms [B, T], or of embeddings where that is what the
    /// configuration says.
    ///
    /// # Errors
    /// Those of [`AudioEncoder::forward`].
    pub fn embed_audio(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.audio_proj.forward(&self.audio.forward(x, mode)?)
    }

    /// As [`Aligner::embed_audio`] of sounds that are known by `ids`, one a row: those of one number
    /// are one sound, and it goes through the network once, where it comes first.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of `ids` than rows.
    pub fn embed_audio_once(&self, x: &Tensor, ids: &[u64], mode: Mode) -> Result<Tensor> {
        let rows = x.dim(0)?;
        if ids.len() != rows {
            return Err(Error::Shape {
                what: "what sounds are known by",
                found: vec![ids.len()],
                expected: format!("[{rows}], one a sound"),
            });
        }
        let mut known: HashMap<u64, u32> = HashMap::with_capacity(rows);
        let (mut first, mut places) = (Vec::<u32>::new(), Vec::with_capacity(rows));
        for (row, id) in (0..).zip(ids) {
            places.push(*known.entry(*id).or_insert_with(|| {
                first.push(row);
                first.len() as u32 - 1
            }));
        }
        if first.len() == rows {
            return self.embed_audio(x, mode);
        }
        let index = |v: Vec<u32>| Tensor::new(v, x.device());
        let heard = self.embed_audio(&x.index_select(&index(first)?, 0)?, mode)?;
        Ok(heard.index_select(&index(places)?, 0)?)
    }

    /// InfoNCE of projected EEG [B, width] with the batch's sounds.
    ///
    /// # Errors
    /// [`Error::Shape`] when counts do not fit.
    pub fn loss(&self, eeg: &Tensor, sounds: &Sounds, mode: Mode) -> Result<Tensor> {
        info_nce(&self.logits(eeg, sounds, mode)?, self.config.symmetric)
    }

    /// What [`Aligner::loss`] contrasts: the logits of every EEG with every sound of the batch.
    ///
    /// # Errors
    /// [`Error::Shape`] when counts do not fit.
    pub fn logits(&self, eeg: &Tensor, sounds: &Sounds, mode: Mode) -> Result<Logits> {
        let pairs = self.config.pairs;
        logits(&self.fusion, eeg, sounds, pairs, &self.temperature, mode)
    }

    /// Logits [N, M] of every EEG [N, width] with every sound [M, width], one type a sound, each pair
    /// scored by itself whatever the configuration's pairs are.
    ///
    /// # Errors
    /// [`Error::Shape`] when counts do not fit.
    pub fn crossed_logits(&self, eeg: &Tensor, audio: &Tensor, types: &[u32]) -> Result<Tensor> {
        let cosines = crossed(&self.fusion, eeg, audio, types, CHUNK, Mode::Eval)?;
        Ok(cosines.broadcast_mul(&self.temperature.factor()?)?)
    }

    /// The temperature's factor: what cosines are multiplied by.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn scale(&self) -> Result<f64> {
        let factor = self.temperature.factor()?.to_device(&Device::Cpu)?;
        Ok(factor.to_dtype(DType::F64)?.to_scalar()?)
    }

    /// Logits [B, K] of each EEG with its own candidates [B, K, width]: cosines of [`score::candidate`]
    /// times the temperature's factor, in training too.
    ///
    /// # Errors
    /// [`Error::Shape`] when counts do not fit.
    pub fn candidate_logits(
        &self,
        eeg: &Tensor,
        candidates: &Tensor,
        types: &[u32],
        mode: Mode,
    ) -> Result<Tensor> {
        let cosines = own_candidates(&self.fusion, eeg, candidates, types, mode)?;
        Ok(cosines.broadcast_mul(&self.temperature.factor()?)?)
    }

    /// Logits [B, classes] of projected EEG [B, width] with every class prototype.
    ///
    /// # Errors
    /// Those of [`Prototypes::scores`].
    pub fn prototype_logits(
        &self,
        eeg: &Tensor,
        prototypes: &Prototypes,
        mode: Mode,
    ) -> Result<Tensor> {
        prototypes.scores(eeg, &self.audio_proj, &self.fusion, &self.temperature, mode)
    }

    /// Scores of candidates, see [`score::candidate`].
    ///
    /// # Errors
    /// [`Error::Shape`] when counts do not fit.
    pub fn score(&self, eeg: &Tensor, candidates: &Tensor, types: &[u32]) -> Result<Tensor> {
        score::candidate(&self.fusion, eeg, candidates, types)
    }

    /// Scores as the released evaluator gives them, **with the label in the input**: see
    /// [`score::paper`].
    ///
    /// # Errors
    /// [`Error::Shape`] when counts do not fit.
    pub fn score_paper(
        &self,
        eeg: &Tensor,
        candidates: &Tensor,
        types: &[u32],
        attended: &[usize],
    ) -> Result<Tensor> {
        let factor = self.scale()?;
        score::paper(&self.fusion, eeg, candidates, types, attended, factor)
    }

    /// Holds the temperature's limit; to be called after every optimiser step.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn constrain(&self) -> Result<()> {
        self.temperature.constrain()
    }
}
