//! The MindMix EEG encoder (LaBraM's network, Jiang et al. 2024, arXiv:2405.18765) and the
//! classifier built on it.
//!
//! Variable names equal the published state dicts: `patch_embed.conv1.weight`, `cls_token`,
//! `blocks.0.attn.qkv.weight` and so on for the encoder; the classifier uses MindMix's prefixes
//! `eeg_model.model.` (encoder) and `eeg_proj.0`, `eeg_proj.2` (projection).

mod block;
mod config;
pub mod electrodes;
mod patch;

use candle_core::Tensor;

use self::block::{Block, EPS, INIT_STD};
pub use self::config::{ClassifierConfig, EncoderConfig, MAX_PATCHES, PATCH, Size};
use self::patch::PatchEncoder;
use crate::error::{Error, Result};
use crate::layers::{LayerNorm, Linear};
use crate::model::{Batch, Mode, Model, Needs};
use crate::ops;
use crate::params::{Init, Params};

/// Width of the space that EEG and sound are projected to.
pub const PROJECTION: usize = 256;
/// Hidden width of the classification head.
const HEAD: usize = 128;
/// Epsilon of the projection's layer norm (PyTorch's default).
const PROJECTION_EPS: f64 = 1e-5;

/// EEG of any montage to one vector.
#[derive(Debug, Clone)]
pub struct Encoder {
    config: EncoderConfig,
    patch: PatchEncoder,
    cls_token: Tensor,
    pos_embed: Option<Tensor>,
    time_embed: Tensor,
    blocks: Vec<Block>,
    fc_norm: LayerNorm,
}

impl Encoder {
    /// Adds the encoder's variables, each name behind `prefix`.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &EncoderConfig, params: &mut Params, prefix: &str) -> Result<Self> {
        config.check()?;
        let d = config.width();
        let init = Init::TruncNormal(INIT_STD);
        let cls_token = params.embedding(&format!("{prefix}cls_token"), (1, 1, d), init)?;
        let pos_embed = if config.spatial_embedding {
            Some(params.embedding(
                &format!("{prefix}pos_embed"),
                (1, electrodes::ROWS, d),
                init,
            )?)
        } else {
            None
        };
        let time_embed =
            params.embedding(&format!("{prefix}time_embed"), (1, MAX_PATCHES, d), init)?;
        let patch = PatchEncoder::new(
            params,
            &format!("{prefix}patch_embed."),
            config.conv_channels,
        )?;
        let blocks = (0..config.depth)
            .map(|i| Block::new(params, prefix, i, config))
            .collect::<Result<_>>()?;
        let fc_norm = LayerNorm::new(params, &format!("{prefix}fc_norm"), d, EPS)?;
        Ok(Self {
            config: config.clone(),
            patch,
            cls_token,
            pos_embed,
            time_embed,
            blocks,
            fc_norm,
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
        let (b, c, t) = match *x.dims() {
            [b, c, t] if b > 0 && c > 0 && t > 0 && t % PATCH == 0 && t / PATCH <= MAX_PATCHES => {
                (b, c, t)
            }
            _ => {
                return Err(Error::Shape {
                    what: "eeg",
                    found: x.dims().to_vec(),
                    expected: format!(
                        "[batch, channels, times], times a multiple of {PATCH} up to {}",
                        PATCH * MAX_PATCHES
                    ),
                });
            }
        };
        let (a, d) = (t / PATCH, self.config.width());
        let tokens = self.patch.forward(&x.reshape((b, c * a, PATCH))?)?;
        let time = self.time_embed.narrow(1, 0, a)?;
        let (embedding, cls) = match &self.pos_embed {
            Some(table) => {
                if ch_names.len() != c {
                    return Err(Error::Shape {
                        what: "ch_names",
                        found: vec![ch_names.len()],
                        expected: format!("{c} names, one a channel"),
                    });
                }
                let rows = Tensor::new(electrodes::rows(ch_names)?, x.device())?;
                let table = table.squeeze(0)?;
                let space = table.index_select(&rows, 0)?.unsqueeze(1)?;
                // [C, 1, D] + [1, A, D]: channel-major, then patch.
                let cls = self
                    .cls_token
                    .broadcast_add(&table.narrow(0, 0, 1)?.unsqueeze(0)?)?;
                (space.broadcast_add(&time)?.reshape((1, c * a, d))?, cls)
            }
            None => (
                time.broadcast_as((c, a, d))?
                    .contiguous()?
                    .reshape((1, c * a, d))?,
                self.cls_token.clone(),
            ),
        };
        let tokens = tokens.broadcast_add(&embedding)?;
        let mut x = Tensor::cat(&[cls.broadcast_as((b, 1, d))?.contiguous()?, tokens], 1)?;
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        self.fc_norm.forward(&x.narrow(1, 1, c * a)?.mean(1)?)
    }
}

/// The encoder with MindMix's projection to 256 and a two-layer head.
#[derive(Debug, Clone)]
pub struct Classifier {
    config: ClassifierConfig,
    params: Params,
    encoder: Encoder,
    projection: Linear,
    projection_norm: LayerNorm,
    head: (Linear, Linear),
}

impl Classifier {
    /// Builds the network in `params` (an empty set).
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &ClassifierConfig, mut params: Params) -> Result<Self> {
        config.check()?;
        let p = &mut params;
        let encoder = Encoder::new(&config.encoder, p, "eeg_model.model.")?;
        let init = Init::TruncNormal(INIT_STD);
        let projection = Linear::new(
            p,
            "eeg_proj.0",
            config.encoder.width(),
            PROJECTION,
            true,
            init,
        )?;
        let projection_norm = LayerNorm::new(p, "eeg_proj.2", PROJECTION, PROJECTION_EPS)?;
        let head = (
            Linear::new(p, "classifier.0", PROJECTION, HEAD, true, init)?,
            Linear::new(p, "classifier.3", HEAD, config.classes, true, init)?,
        );
        Ok(Self {
            config: config.clone(),
            params,
            encoder,
            projection,
            projection_norm,
            head,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &ClassifierConfig {
        &self.config
    }

    /// The encoder inside.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The projected EEG [B, 256] before dropout and head.
    ///
    /// # Errors
    /// Those of [`Encoder::forward`].
    pub fn embed(&self, x: &Tensor, ch_names: &[String], mode: Mode) -> Result<Tensor> {
        let x = self.encoder.forward(x, ch_names, mode)?;
        self.projection_norm
            .forward(&ops::gelu(&self.projection.forward(&x)?)?)
    }
}

impl Model for Classifier {
    fn name(&self) -> &'static str {
        "mindmix"
    }

    fn needs(&self) -> Needs {
        Needs::Eeg
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensor> {
        let x = self.embed(&batch.eeg, &batch.ch_names, mode)?;
        let x = ops::dropout(
            &x,
            self.config.projection_dropout,
            mode.stream("eeg_proj.dropout"),
        )?;
        let x = ops::gelu(&self.head.0.forward(&x)?)?;
        let x = ops::dropout(
            &x,
            self.config.head_dropout,
            mode.stream("classifier.dropout"),
        )?;
        self.head.1.forward(&x)
    }

    fn params(&self) -> &Params {
        &self.params
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
    fn tables_and_vectors_are_not_decayed() {
        let net = Classifier::new(
            &ClassifierConfig::new(Size::Tiny, 2),
            Params::new(0, &Device::Cpu),
        )
        .unwrap();
        for p in net.params().iter() {
            let table = ["cls_token", "pos_embed", "time_embed"]
                .iter()
                .any(|t| p.name.ends_with(t));
            assert_eq!(p.decay, p.var.rank() > 1 && !table, "{}", p.name);
        }
    }
}
