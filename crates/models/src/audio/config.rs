//! Shapes of the sound encoders.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Shape of wav2vec 2.0 and HuBERT, with the names of Hugging Face's `config.json`; what is not
/// needed here is passed over when such a file is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wav2Vec2Config {
    /// Width of a frame's vector.
    pub hidden_size: usize,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads; divide the width.
    pub num_attention_heads: usize,
    /// Hidden width of the feed-forward networks.
    pub intermediate_size: usize,
    /// Epsilon of all layer norms.
    pub layer_norm_eps: f64,
    /// Channels of the convolutions over the waveform.
    pub conv_dim: Vec<usize>,
    /// Their kernels.
    pub conv_kernel: Vec<usize>,
    /// Their strides.
    pub conv_stride: Vec<usize>,
    /// Whether they have biases; false is what is supported.
    pub conv_bias: bool,
    /// `group`: group norm after the first convolution alone; all that is supported.
    pub feat_extract_norm: String,
    /// Post-norm layers when false; all that is supported.
    pub do_stable_layer_norm: bool,
    /// Taps of the positional convolution.
    pub num_conv_pos_embeddings: usize,
    /// Its groups; divide the width.
    pub num_conv_pos_embedding_groups: usize,
    /// Dropout of hidden vectors.
    pub hidden_dropout: f32,
    /// Dropout of attention weights.
    pub attention_dropout: f32,
    /// Dropout inside the feed-forward networks.
    pub activation_dropout: f32,
    /// Dropout after the feature projection.
    pub feat_proj_dropout: f32,
    /// Chance that a layer is left out in a training step.
    pub layerdrop: f32,
    /// Hides spans of frames in training (SpecAugment).
    pub apply_spec_augment: bool,
    /// Share of frames that begin a hidden span, times the span.
    pub mask_time_prob: f32,
    /// Frames of a hidden span.
    pub mask_time_length: usize,
    /// Fewest hidden spans.
    pub mask_time_min_masks: usize,
}

impl Default for Wav2Vec2Config {
    fn default() -> Self {
        Self::wav2vec2_base()
    }
}

impl Wav2Vec2Config {
    /// `facebook/wav2vec2-base`.
    pub fn wav2vec2_base() -> Self {
        Self {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            layer_norm_eps: 1e-5,
            conv_dim: vec![512; 7],
            conv_kernel: vec![10, 3, 3, 3, 3, 2, 2],
            conv_stride: vec![5, 2, 2, 2, 2, 2, 2],
            conv_bias: false,
            feat_extract_norm: "group".to_string(),
            do_stable_layer_norm: false,
            num_conv_pos_embeddings: 128,
            num_conv_pos_embedding_groups: 16,
            hidden_dropout: 0.1,
            attention_dropout: 0.1,
            activation_dropout: 0.0,
            feat_proj_dropout: 0.1,
            layerdrop: 0.0,
            apply_spec_augment: true,
            mask_time_prob: 0.05,
            mask_time_length: 10,
            mask_time_min_masks: 2,
        }
    }

    /// `facebook/hubert-base-ls960`: the same network with other rates of dropout.
    pub fn hubert_base() -> Self {
        Self {
            activation_dropout: 0.1,
            layerdrop: 0.1,
            ..Self::wav2vec2_base()
        }
    }

    /// A small network of the same kind for tests and small data: 2 s make 49 frames.
    pub fn tiny() -> Self {
        Self {
            hidden_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 64,
            conv_dim: vec![16; 4],
            conv_kernel: vec![10, 8, 4, 4],
            conv_stride: vec![5, 8, 4, 4],
            num_conv_pos_embeddings: 8,
            num_conv_pos_embedding_groups: 4,
            ..Self::wav2vec2_base()
        }
    }

    /// The same shape with this rate in the place of every rate of dropout that is not 0. At 0 no layer
    /// is left out either.
    pub fn with_dropout(self, rate: f32) -> Self {
        let of = |old: f32| if old > 0.0 { rate } else { old };
        Self {
            hidden_dropout: of(self.hidden_dropout),
            attention_dropout: of(self.attention_dropout),
            activation_dropout: of(self.activation_dropout),
            feat_proj_dropout: of(self.feat_proj_dropout),
            layerdrop: if rate > 0.0 { self.layerdrop } else { 0.0 },
            ..self
        }
    }

    /// What alone decides the answer of a network that does not learn: all rates and masks as those of
    /// every other.
    pub fn when_frozen(self) -> Self {
        let base = Self::wav2vec2_base();
        Self {
            mask_time_prob: base.mask_time_prob,
            mask_time_length: base.mask_time_length,
            mask_time_min_masks: base.mask_time_min_masks,
            ..self.deterministic()
        }
    }

    /// The same shape without anything random: no dropout, no left-out layers, no hidden spans.
    pub fn deterministic(self) -> Self {
        Self {
            hidden_dropout: 0.0,
            attention_dropout: 0.0,
            activation_dropout: 0.0,
            feat_proj_dropout: 0.0,
            layerdrop: 0.0,
            apply_spec_augment: false,
            ..self
        }
    }

    /// Frames that `samples` samples give; none where a kernel does not fit.
    pub fn frames(&self, samples: usize) -> Option<usize> {
        self.conv_kernel
            .iter()
            .zip(&self.conv_stride)
            .try_fold(samples, |n, (k, s)| {
                n.checked_sub(*k)?.checked_div(*s).map(|n| n + 1)
            })
    }

    pub(super) fn check(&self) -> Result<()> {
        let layers = self.conv_dim.len();
        if layers == 0 || self.conv_kernel.len() != layers || self.conv_stride.len() != layers {
            return Err(Error::config(
                "conv_dim",
                (layers, self.conv_kernel.len(), self.conv_stride.len()),
                "as many channels as kernels and strides, at least one",
            ));
        }
        for (field, values) in [
            ("conv_dim", &self.conv_dim),
            ("conv_kernel", &self.conv_kernel),
            ("conv_stride", &self.conv_stride),
        ] {
            if values.contains(&0) {
                return Err(Error::config(field, values, "none zero"));
            }
        }
        if self.conv_bias {
            return Err(Error::config(
                "conv_bias",
                true,
                "false, as the base models have it",
            ));
        }
        if self.feat_extract_norm != "group" {
            return Err(Error::config(
                "feat_extract_norm",
                &self.feat_extract_norm,
                "\"group\", as the base models have it",
            ));
        }
        if self.do_stable_layer_norm {
            return Err(Error::config(
                "do_stable_layer_norm",
                true,
                "false, as the base models have it",
            ));
        }
        for (field, divisor) in [
            ("num_attention_heads", self.num_attention_heads),
            (
                "num_conv_pos_embedding_groups",
                self.num_conv_pos_embedding_groups,
            ),
        ] {
            if divisor == 0 || self.hidden_size == 0 || !self.hidden_size.is_multiple_of(divisor) {
                return Err(Error::config(
                    field,
                    divisor,
                    format!("a divisor of the width {}", self.hidden_size),
                ));
            }
        }
        for (field, value) in [
            ("intermediate_size", self.intermediate_size),
            ("num_conv_pos_embeddings", self.num_conv_pos_embeddings),
            ("mask_time_length", self.mask_time_length),
        ] {
            if value == 0 {
                return Err(Error::config(field, value, "at least 1"));
            }
        }
        for (field, p) in [
            ("hidden_dropout", self.hidden_dropout),
            ("attention_dropout", self.attention_dropout),
            ("activation_dropout", self.activation_dropout),
            ("feat_proj_dropout", self.feat_proj_dropout),
            ("layerdrop", self.layerdrop),
            ("mask_time_prob", self.mask_time_prob),
        ] {
            if !(0.0..1.0).contains(&p) {
                return Err(Error::config(field, p, "0 or more and below 1"));
            }
        }
        Ok(())
    }
}
