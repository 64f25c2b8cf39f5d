//! LaBraM's neural tokeniser: encoder, codebook, decoder, spectra. Variable names equal the
//! published `vqnsp.pth`.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::codebook::{Codebook, CodebookConfig, Usage};
use super::reconstruct::{Heads, Reconstruction, TanhHead};
use crate::encoder::{
    EPS, Encoder, EncoderConfig, INIT_STD, Layout, PATCH, Size, Trunk, patches_of,
};
use crate::error::{Error, Result};
use crate::layers::LayerNorm;
use crate::model::Mode;
use crate::ops;
use crate::params::{Init, Params};

/// Shape of the tokeniser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokeniserConfig {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// Blocks of the decoder, which else is shaped like the encoder.
    pub decoder_depth: usize,
    /// The codebook.
    pub codebook: CodebookConfig,
    /// Targets and losses.
    pub reconstruction: Reconstruction,
}

impl TokeniserConfig {
    /// A named size with LaBraM's settings.
    pub fn new(size: Size) -> Self {
        Self {
            encoder: EncoderConfig::tokeniser(size),
            decoder_depth: 3,
            codebook: CodebookConfig::default(),
            reconstruction: Reconstruction::default(),
        }
    }
}

/// Losses of one batch.
#[derive(Debug, Clone)]
pub struct TokeniserLoss {
    /// commitment + amplitude + phase.
    pub total: Tensor,
    /// Commitment to the codes.
    pub commitment: Tensor,
    /// Error of the amplitudes.
    pub amplitude: Tensor,
    /// Error of the phases.
    pub phase: Tensor,
    /// Codes [B, C·A], u32.
    pub codes: Tensor,
    /// Statistics of the codebook.
    pub usage: Usage,
}

/// Codes to tokens: a 1 × 1 convolution and a trunk. Shared with the joint objective.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    weight: Tensor,
    bias: Tensor,
    trunk: Trunk,
    norm: LayerNorm,
}

impl Decoder {
    /// Adds `{prefix}patch_embed.proj` (from `dim` values a token), the trunk and `{prefix}fc_norm`.
    pub(super) fn new(
        config: &EncoderConfig,
        params: &mut Params,
        prefix: &str,
        dim: usize,
    ) -> Result<Self> {
        let d = config.width();
        let init = Init::TruncNormal(INIT_STD);
        let name = format!("{prefix}patch_embed.proj");
        Ok(Self {
            weight: params.weight(&format!("{name}.weight"), (d, dim, 1, 1), init)?,
            bias: params.weight(&format!("{name}.bias"), d, Init::Const(0.0))?,
            trunk: Trunk::new(config, params, prefix)?,
            norm: LayerNorm::new(params, &format!("{prefix}fc_norm"), d, EPS)?,
        })
    }

    /// [B, N, dim] → [B, N, width].
    pub(super) fn forward(&self, x: &Tensor, at: &Layout, mode: Mode) -> Result<Tensor> {
        let (b, n, dim) = x.dims3()?;
        let d = self.weight.dim(0)?;
        let weight = self.weight.reshape((d, dim))?;
        let tokens = ops::linear(&x.reshape((b * n, dim))?, &weight, Some(&self.bias))?;
        let tokens = tokens.reshape((b, n, d))?;
        let y = self.trunk.forward(&tokens, at, mode)?.narrow(1, 1, n)?;
        self.norm.forward(&y)
    }
}

/// The tokeniser.
#[derive(Debug, Clone)]
pub struct Tokeniser {
    config: TokeniserConfig,
    params: Params,
    encoder: Encoder,
    to_code: TanhHead,
    codebook: Codebook,
    decoder: Decoder,
    heads: Heads,
}

impl Tokeniser {
    /// Builds the network in `params` (an empty set).
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &TokeniserConfig, mut params: Params) -> Result<Self> {
        let p = &mut params;
        let (d, dim) = (config.encoder.width(), config.codebook.dim);
        let decoder = EncoderConfig {
            depth: config.decoder_depth,
            ..config.encoder.clone()
        };
        let encoder = Encoder::new(&config.encoder, p, "encoder.")?;
        Ok(Self {
            encoder,
            to_code: TanhHead::new(p, "encode_task_layer", d, dim)?,
            codebook: Codebook::new(&config.codebook, p, "quantize.")?,
            decoder: Decoder::new(&decoder, p, "decoder.", dim)?,
            heads: Heads::new(p, d, config.reconstruction)?,
            config: config.clone(),
            params,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &TokeniserConfig {
        &self.config
    }

    /// The variables.
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
    /// Those of [`Encoder::forward`].
    pub fn code_vectors(&self, x: &Tensor, ch_names: &[String], mode: Mode) -> Result<Tensor> {
        let tokens = self.encoder.tokens(x, ch_names, mode)?;
        let z = self.to_code.forward(&tokens)?;
        Ok(z.reshape(((), self.config.codebook.dim))?)
    }

    /// Codes [B, C·A] (u32) of EEG, the labels of masked prediction. Nothing is learnt.
    ///
    /// # Errors
    /// Those of [`Encoder::forward`].
    pub fn codes(&self, x: &Tensor, ch_names: &[String]) -> Result<Tensor> {
        let (b, c, a) = patches_of(x)?;
        let z = self.code_vectors(x, ch_names, Mode::Eval)?.detach();
        let codes = self.codebook.quantise(&z, Mode::Eval)?.codes;
        Ok(codes.reshape((b, c * a))?)
    }

    /// Losses of `x` [B, C, A·200]; in training mode the codes move.
    ///
    /// # Errors
    /// Those of [`Encoder::forward`].
    pub fn loss(&self, x: &Tensor, ch_names: &[String], mode: Mode) -> Result<TokeniserLoss> {
        let (b, c, a) = patches_of(x)?;
        let at = Layout::new(&self.config.encoder, ch_names, c, a)?;
        let z = self.code_vectors(x, ch_names, mode)?;
        let q = self.codebook.quantise(&z, mode)?;
        let vectors = q.vectors.reshape((b, c * a, self.config.codebook.dim))?;
        let tokens = self.decoder.forward(&vectors, &at, mode)?;
        let patches = x.reshape((b, c * a, PATCH))?;
        let spectral = self.heads.loss(&tokens, &patches)?;
        Ok(TokeniserLoss {
            total: ((&q.commitment + &spectral.amplitude)? + &spectral.phase)?,
            commitment: q.commitment,
            amplitude: spectral.amplitude,
            phase: spectral.phase,
            codes: q.codes.reshape((b, c * a))?,
            usage: q.usage,
        })
    }
}

/// Refuses a weight of a loss that is negative or no number.
pub(super) fn check_weight(field: &'static str, value: f64) -> Result<()> {
    match value.is_finite() && value >= 0.0 {
        true => Ok(()),
        false => Err(Error::config(field, value, "0 or more")),
    }
}
