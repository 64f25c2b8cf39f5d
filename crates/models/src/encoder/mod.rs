//! The MindMix EEG encoder (LaBraM's network, Jiang et al. 2024, arXiv:2405.18765) and the
//! classifier built on it.
//!
//! Variable names equal the published state dicts: `patch_embed.conv1.weight`, `cls_token`,
//! `blocks.0.attn.qkv.weight` and so on for the encoder; the classifier uses MindMix's prefixes
//! `eeg_model.model.` (encoder) and `eeg_proj.0`, `eeg_proj.2` (projection).
//!
//! Batches hold samples of one montage, or samples padded to the widest montage: then group norm,
//! attention and pooling see the real channels of each sample alone ([`Encoder::forward_padded`]).

mod block;
mod classifier;
mod config;
pub mod electrodes;
mod patch;
mod trunk;

use candle_core::Tensor;

pub(crate) use self::block::{EPS, INIT_STD};
pub use self::classifier::Classifier;
pub(crate) use self::classifier::Head;
pub use self::config::{ClassifierConfig, EncoderConfig, MAX_PATCHES, PATCH, Size};
pub(crate) use self::patch::PatchEncoder;
pub(crate) use self::trunk::Trunk;
pub use self::trunk::{ClassRow, Layout};
use crate::error::{Error, Result};
use crate::layers::LayerNorm;
use crate::model::Mode;
use crate::ops;
use crate::params::Params;

/// Width of the space that EEG and sound are projected to.
pub const PROJECTION: usize = 256;

/// EEG of any montage to one vector.
#[derive(Debug, Clone)]
pub struct Encoder {
    config: EncoderConfig,
    patch: PatchEncoder,
    trunk: Trunk,
    fc_norm: LayerNorm,
}

impl Encoder {
    /// Adds the encoder's variables, each name behind `prefix`.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &EncoderConfig, params: &mut Params, prefix: &str) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config: config.clone(),
            patch: PatchEncoder::new(
                params,
                &format!("{prefix}patch_embed."),
                config.conv_channels,
            )?,
            trunk: Trunk::new(config, params, prefix)?,
            fc_norm: LayerNorm::new(params, &format!("{prefix}fc_norm"), config.width(), EPS)?,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// `x` [B, C, A·200] with one electrode name a channel → [B, width]: the mean of the C·A patch
    /// tokens after the last block, layer-normalised.
    ///
    /// # Errors
    /// [`Error::Shape`] unless times is a multiple of 200, at most 16 patches, and there is a name
    /// for each channel; [`Error::UnknownElectrode`] with the spatial embedding on.
    pub fn forward(&self, x: &Tensor, ch_names: &[String], mode: Mode) -> Result<Tensor> {
        let (_, c, a) = patches_of(x)?;
        let at = Layout::new(&self.config, ch_names, c, a)?;
        self.pool(x, &at, mode)
    }

    /// Samples of different montages padded with any values to the most channels: `x`
    /// [B, C, A·200] and one list of names a sample, whose length is its number of real channels.
    /// Each row of the result [B, width] is what [`Encoder::forward`] gives for the sample alone.
    ///
    /// # Errors
    /// As [`Encoder::forward`], and [`Error::Shape`] for a montage that does not fit.
    pub fn forward_padded(&self, x: &Tensor, montages: &[&[String]], mode: Mode) -> Result<Tensor> {
        let (b, c, a) = patches_of(x)?;
        if montages.len() != b {
            return Err(Error::Shape {
                what: "montages",
                found: vec![montages.len()],
                expected: format!("{b}, one a sample"),
            });
        }
        let at = Layout::padded(&self.config, montages, c, a)?;
        self.pool(x, &at, mode)
    }

    /// All patch tokens [B, C·A, width] after the last block and `fc_norm`, none pooled: what the
    /// tokeniser quantises.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn tokens(&self, x: &Tensor, ch_names: &[String], mode: Mode) -> Result<Tensor> {
        let (_, c, a) = patches_of(x)?;
        let at = Layout::new(&self.config, ch_names, c, a)?;
        self.fc_norm
            .forward(&self.run(&self.embed(x, &at)?, &at, mode)?)
    }

    /// EEG [B, C, A·200] → patch embeddings [B, C·A, width], before spatial and temporal embedding.
    ///
    /// # Errors
    /// [`Error::Shape`] for EEG that is not whole patches.
    pub(crate) fn embed(&self, x: &Tensor, at: &Layout) -> Result<Tensor> {
        let (b, c, a) = patches_of(x)?;
        self.patch
            .forward(&x.reshape((b, c * a, PATCH))?, at.lengths().as_deref())
    }

    /// Patch embeddings → patch tokens after the last block, both [B, C·A, width].
    pub(crate) fn run(&self, tokens: &Tensor, at: &Layout, mode: Mode) -> Result<Tensor> {
        let n = at.channels * at.patches;
        Ok(self.trunk.forward(tokens, at, mode)?.narrow(1, 1, n)?)
    }

    /// Mean over the real patch tokens after the last block, then the norm: [B, width].
    fn pool(&self, x: &Tensor, at: &Layout, mode: Mode) -> Result<Tensor> {
        let tokens = self.trunk.forward(&self.embed(x, at)?, at, mode)?;
        let mean = ops::mean_of_patches(&tokens, at.lengths().as_deref())?;
        self.fc_norm.forward(&mean)
    }
}

/// Batch, channels and patches of EEG [B, C, A·200].
pub(crate) fn patches_of(x: &Tensor) -> Result<(usize, usize, usize)> {
    match *x.dims() {
        [b, c, t] if b > 0 && c > 0 && t > 0 && t % PATCH == 0 && t / PATCH <= MAX_PATCHES => {
            Ok((b, c, t / PATCH))
        }
        _ => Err(Error::Shape {
            what: "eeg",
            found: x.dims().to_vec(),
            expected: format!(
                "[batch, channels, times], times a multiple of {PATCH} up to {}",
                PATCH * MAX_PATCHES
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn parameter_counts_are_the_published_ones() {
        for (spatial, count) in [(false, 5_798_936), (true, 5_824_736)] {
            let config = EncoderConfig {
                spatial_embedding: spatial,
                ..EncoderConfig::new(Size::Base)
            };
            let mut params = Params::new(0, &Device::Cpu);
            Encoder::new(&config, &mut params, "").unwrap();
            assert_eq!(params.count(), count);
            let block: usize = params
                .trainable()
                .filter(|p| p.name.starts_with("blocks.3.") && !p.name.ends_with("_bias"))
                .map(|p| p.var.elem_count())
                .sum();
            assert_eq!(block, 482_480);
        }
    }

    #[test]
    fn released_has_no_spatial_table() {
        let released = EncoderConfig::released(Size::Base);
        assert!(!released.spatial_embedding && EncoderConfig::new(Size::Base).spatial_embedding);
        let mut params = Params::new(0, &Device::Cpu);
        Encoder::new(&released, &mut params, "").unwrap();
        assert!(params.get("pos_embed").is_none() && params.get("time_embed").is_some());
    }

    #[test]
    fn tables_and_vectors_are_not_decayed() {
        let net = Classifier::new(
            &ClassifierConfig::new(Size::Tiny, 2),
            Params::new(0, &Device::Cpu),
        )
        .unwrap();
        for p in crate::Model::params(&net).iter() {
            let table = ["cls_token", "pos_embed", "time_embed"]
                .iter()
                .any(|t| p.name.ends_with(t));
            assert_eq!(p.decay, p.var.rank() > 1 && !table, "{}", p.name);
        }
    }
}
