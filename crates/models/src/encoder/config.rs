//! Shapes of the encoder.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Samples of one patch: a second at 200 Hz.
pub const PATCH: usize = 200;
/// Rows of the temporal embedding, so the most patches a channel can have.
pub const MAX_PATCHES: usize = 16;
/// Samples of a patch after the first convolution (kernel 15, stride 8, padding 7).
pub(super) const PATCH_STEPS: usize = 25;
/// Groups of the patch encoder's group norms.
pub(super) const PATCH_GROUPS: usize = 4;

/// Named sizes. `base`, `large` and `huge` are LaBraM's (only `base` was released); `tiny` is
/// ours, for tests and small data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// 4 blocks, width 100, 5 heads.
    Tiny,
    /// 12 blocks, width 200, 10 heads.
    Base,
    /// 24 blocks, width 400, 16 heads.
    Large,
    /// 48 blocks, width 800, 16 heads.
    Huge,
}

/// Shape of the EEG encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Transformer blocks.
    pub depth: usize,
    /// Attention heads; divide the width.
    pub heads: usize,
    /// Channels of the patch encoder's convolutions, a multiple of 4; the width of the
    /// transformer is 25 times this.
    pub conv_channels: usize,
    /// Hidden width of the feed-forward network.
    pub mlp: usize,
    /// Adds the embedding of each electrode's name. On by default, as the paper says; off is what
    /// the released code does, and makes the encoder blind to the order of electrodes.
    pub spatial_embedding: bool,
    /// Learned biases for queries and values (keys have none).
    pub qkv_bias: bool,
    /// Layer norm of queries and keys, over each head.
    pub qk_norm: bool,
    /// Start of the layer scales; none leaves them out.
    pub layer_scale: Option<f64>,
    /// Drop-path rate of the last block; rises linearly from 0 in the first.
    pub drop_path: f32,
    /// Activation checkpointing: the backward pass makes what is inside a block again, from the
    /// block's input, instead of keeping it. A third less speed for a fraction of the memory; the
    /// results are the same bits, so it is no part of what is stored of a network. (Where there is no
    /// kernel for a block, all is kept.)
    #[serde(skip)]
    pub recompute: bool,
}

impl EncoderConfig {
    /// A named size with the paper's and the released code's settings.
    pub fn new(size: Size) -> Self {
        let (conv_channels, depth, heads) = match size {
            Size::Tiny => (4, 4, 5),
            Size::Base => (8, 12, 10),
            Size::Large => (16, 24, 16),
            Size::Huge => (32, 48, 16),
        };
        Self {
            depth,
            heads,
            conv_channels,
            mlp: 4 * PATCH_STEPS * conv_channels,
            spatial_embedding: true,
            qkv_bias: true,
            qk_norm: true,
            layer_scale: Some(0.1),
            drop_path: 0.1,
            recompute: false,
        }
    }

    /// A named size as the released code runs it: no spatial embedding.
    pub fn released(size: Size) -> Self {
        Self {
            spatial_embedding: false,
            ..Self::new(size)
        }
    }

    /// A named size with LaBraM's settings of masked pre-training, and so of its published
    /// weights: no biases of queries and values, no drop path.
    pub fn labram(size: Size) -> Self {
        Self {
            qkv_bias: false,
            drop_path: 0.0,
            ..Self::new(size)
        }
    }

    /// A named size with the settings of LaBraM's tokeniser: biases of queries and values, neither
    /// q/k norm nor layer scale.
    pub fn tokeniser(size: Size) -> Self {
        Self {
            qk_norm: false,
            layer_scale: None,
            drop_path: 0.0,
            ..Self::new(size)
        }
    }

    /// Width of a token.
    pub fn width(&self) -> usize {
        PATCH_STEPS * self.conv_channels
    }

    /// Width of one head.
    pub fn head_width(&self) -> usize {
        self.width() / self.heads.max(1)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.depth == 0 {
            return Err(Error::config("depth", self.depth, "at least 1"));
        }
        if self.mlp == 0 {
            return Err(Error::config("mlp", self.mlp, "at least 1"));
        }
        if self.conv_channels == 0 || !self.conv_channels.is_multiple_of(PATCH_GROUPS) {
            return Err(Error::config(
                "conv_channels",
                self.conv_channels,
                "a multiple of 4, at least 4",
            ));
        }
        if self.heads == 0 || !self.width().is_multiple_of(self.heads) {
            return Err(Error::config(
                "heads",
                self.heads,
                format!("a divisor of the width {}", self.width()),
            ));
        }
        if !(0.0..1.0).contains(&self.drop_path) {
            return Err(Error::config(
                "drop_path",
                self.drop_path,
                "0 or more and below 1",
            ));
        }
        Ok(())
    }
}

/// Shape of the encoder with its projection and classification head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// Classes.
    pub classes: usize,
    /// Dropout after the projection.
    pub projection_dropout: f32,
    /// Dropout inside the head.
    pub head_dropout: f32,
}

impl ClassifierConfig {
    /// A named size with the released code's dropout rates.
    pub fn new(size: Size, classes: usize) -> Self {
        Self {
            encoder: EncoderConfig::new(size),
            classes,
            projection_dropout: 0.1,
            head_dropout: 0.2,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.classes == 0 {
            return Err(Error::config("classes", self.classes, "at least 1"));
        }
        for (field, p) in [
            ("projection_dropout", self.projection_dropout),
            ("head_dropout", self.head_dropout),
        ] {
            if !(0.0..1.0).contains(&p) {
                return Err(Error::config(field, p, "0 or more and below 1"));
            }
        }
        Ok(())
    }
}
