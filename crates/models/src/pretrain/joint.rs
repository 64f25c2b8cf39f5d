//! The MindMix paper's stage 1, one step for all of it: patch embeddings are quantised (L_Q); the
//! quantised tokens, some hidden, go through the encoder, which names the hidden codes (L_M); the
//! same tokens with nothing hidden go through a smaller transformer, which gives amplitude and phase
//! of each patch (L_S). No code was released.
//!
//! Decisions where the paper is silent: two linear maps lead between the tokens' width and the
//! codes' (`to_code`, `from_code`); the encoder's `fc_norm` stands before the head, so that the later
//! stages find every variable of an encoder behind `encoder.`; codes that are labels carry no
//! gradient; mask, weights, codebook and losses as [`super::MaskedConfig`] and LaBraM have them.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::codebook::{Codebook, CodebookConfig, Usage};
use super::masked::{check_mask, cross_entropy, hide, random_mask, select};
use super::reconstruct::{Heads, Reconstruction, ReconstructionLoss};
use super::tokeniser::{Decoder, check_weight};
use crate::encoder::{
    EPS, EncoderConfig, INIT_STD, Layout, PATCH, PatchEncoder, Size, Trunk, patches_of,
};
use crate::error::{Error, Result};
use crate::layers::{LayerNorm, Linear};
use crate::model::Mode;
use crate::params::{Init, Params};
use crate::rng::Stream;

/// Shape and weights of the joint objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointConfig {
    /// The encoder that is kept.
    pub encoder: EncoderConfig,
    /// Blocks of the smaller transformer.
    pub decoder_depth: usize,
    /// The codebook.
    pub codebook: CodebookConfig,
    /// Share of the tokens of a sample that are hidden.
    pub mask_ratio: f64,
    /// Predicts the complement of the mask in a second pass too.
    pub symmetric: bool,
    /// Targets and losses of the spectra.
    pub reconstruction: Reconstruction,
    /// Weights of L_Q, L_M and L_S.
    pub weights: [f64; 3],
}

impl JointConfig {
    /// A named size with the paper's losses and LaBraM's settings where the paper is silent.
    pub fn new(size: Size) -> Self {
        Self {
            encoder: EncoderConfig::new(size),
            decoder_depth: 3,
            codebook: CodebookConfig::default(),
            mask_ratio: 0.5,
            symmetric: true,
            reconstruction: Reconstruction {
                loss: ReconstructionLoss::Paper,
                ..Reconstruction::default()
            },
            weights: [1.0; 3],
        }
    }
}

/// Losses of one batch.
#[derive(Debug, Clone)]
pub struct JointLoss {
    /// The weighted sum.
    pub total: Tensor,
    /// L_Q.
    pub commitment: Tensor,
    /// L_M, both passes together.
    pub masked: Tensor,
    /// Amplitude's part of L_S.
    pub amplitude: Tensor,
    /// Phase's part of L_S.
    pub phase: Tensor,
    /// Share of right guesses, first pass.
    pub accuracy: f64,
    /// Codes [B, C·A], u32.
    pub codes: Tensor,
    /// Statistics of the codebook.
    pub usage: Usage,
}

/// The network of the joint objective.
#[derive(Debug, Clone)]
pub struct Joint {
    config: JointConfig,
    params: Params,
    patch: PatchEncoder,
    trunk: Trunk,
    norm: LayerNorm,
    mask_token: Tensor,
    to_code: Linear,
    from_code: Linear,
    codebook: Codebook,
    head: Linear,
    decoder: Decoder,
    heads: Heads,
}

impl Joint {
    /// Builds the network in `params` (an empty set).
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &JointConfig, mut params: Params) -> Result<Self> {
        config.encoder.check()?;
        if !(config.mask_ratio > 0.0 && config.mask_ratio < 1.0) {
            return Err(Error::config(
                "mask_ratio",
                config.mask_ratio,
                "above 0 and below 1",
            ));
        }
        for w in config.weights {
            check_weight("weights", w)?;
        }
        let (p, c) = (&mut params, &config.encoder);
        let (d, dim) = (c.width(), config.codebook.dim);
        let init = Init::TruncNormal(INIT_STD);
        let small = EncoderConfig {
            depth: config.decoder_depth,
            ..c.clone()
        };
        Ok(Self {
            patch: PatchEncoder::new(p, "encoder.patch_embed.", c.conv_channels)?,
            trunk: Trunk::new(c, p, "encoder.")?,
            norm: LayerNorm::new(p, "encoder.fc_norm", d, EPS)?,
            mask_token: p.embedding("mask_token", (1, 1, d), init)?,
            to_code: Linear::new(p, "to_code", d, dim, true, init)?,
            codebook: Codebook::new(&config.codebook, p, "quantize.")?,
            from_code: Linear::new(p, "from_code", dim, d, true, init)?,
            head: Linear::new(p, "lm_head", d, config.codebook.codes, true, init)?,
            decoder: Decoder::new(&small, p, "decoder.", d)?,
            heads: Heads::new(p, d, config.reconstruction)?,
            config: config.clone(),
            params,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &JointConfig {
        &self.config
    }

    /// The variables; those of the encoder stand behind `encoder.`.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The codebook, to place its codes before the first step.
    pub fn codebook(&self) -> &Codebook {
        &self.codebook
    }

    /// What the codebook quantises: `x` [B, C, A·200] → [B·C·A, dim].
    ///
    /// # Errors
    /// [`Error::Shape`] for EEG that is not whole patches.
    pub fn code_vectors(&self, x: &Tensor) -> Result<Tensor> {
        let (b, c, a) = patches_of(x)?;
        let tokens = self.patch.forward(&x.reshape((b, c * a, PATCH))?, None)?;
        let z = self.to_code.forward(&tokens)?;
        Ok(z.reshape(((), self.config.codebook.dim))?)
    }

    /// The mask of a training step.
    pub fn mask(&self, seed: u64, step: u64, b: usize, n: usize) -> Vec<bool> {
        let stream = Stream::named(seed, "mask").child(step);
        random_mask(stream, b, n, self.config.mask_ratio)
    }

    /// Losses of `x` [B, C, A·200], hidden where `mask` [B·C·A] says; in training mode the codes
    /// move.
    ///
    /// # Errors
    /// [`Error::Shape`] where the mask does not fit.
    pub fn loss(
        &self,
        x: &Tensor,
        ch_names: &[String],
        mask: &[bool],
        mode: Mode,
    ) -> Result<JointLoss> {
        let (b, c, a) = patches_of(x)?;
        let n = c * a;
        let at = Layout::new(&self.config.encoder, ch_names, c, a)?;
        let q = self.codebook.quantise(&self.code_vectors(x)?, mode)?;
        let codes = q.codes.reshape((b, n))?;
        check_mask(&codes, mask, b, n)?;
        let tokens = self.from_code.forward(&q.vectors)?;
        let tokens = tokens.reshape((b, n, self.config.encoder.width()))?;
        let pass = |mask: &[bool]| -> Result<Option<(Tensor, f64)>> {
            let hidden = hide(&tokens, &self.mask_token, mask)?;
            let y = self.trunk.forward(&hidden, &at, mode)?.narrow(1, 1, n)?;
            let Some((rows, labels)) = select(&self.norm.forward(&y)?, &codes, mask, true)? else {
                return Ok(None);
            };
            cross_entropy(&self.head.forward(&rows)?, &labels).map(Some)
        };
        let (mut masked, accuracy) = match pass(mask)? {
            Some(f) => f,
            // The check above holds this off.
            None => return Err(Error::config("mask", "nothing hidden", "a hidden token")),
        };
        if self.config.symmetric {
            let other: Vec<bool> = mask.iter().map(|m| !m).collect();
            if let Some((loss, _)) = pass(&other)? {
                masked = (masked + loss)?;
            }
        }
        let decoded = self.decoder.forward(&tokens, &at, mode)?;
        let spectral = self.heads.loss(&decoded, &x.reshape((b, n, PATCH))?)?;
        let [w_q, w_m, w_s] = self.config.weights;
        let reconstruction = (&spectral.amplitude + &spectral.phase)?;
        let total = (((&q.commitment * w_q)? + (&masked * w_m)?)? + (reconstruction * w_s)?)?;
        Ok(JointLoss {
            total,
            commitment: q.commitment,
            masked,
            amplitude: spectral.amplitude,
            phase: spectral.phase,
            accuracy,
            codes,
            usage: q.usage,
        })
    }
}
