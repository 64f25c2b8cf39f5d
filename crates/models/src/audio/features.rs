//! The waveform to frames: strided convolutions with GELU, group norm after the first.

use candle_core::Tensor;

use super::config::Wav2Vec2Config;
use crate::error::Result;
use crate::model::Mode;
use crate::ops;
use crate::params::{Init, Params};

/// PyTorch's default epsilon of group norm.
const EPS: f64 = 1e-5;

/// The convolutions.
#[derive(Debug, Clone)]
pub(super) struct Features {
    /// Weights and strides.
    convs: Vec<(Tensor, usize)>,
    norm: (Tensor, Tensor),
}

impl Features {
    /// Adds `{prefix}feature_extractor.conv_layers.*`.
    pub(super) fn new(c: &Wav2Vec2Config, params: &mut Params, prefix: &str) -> Result<Self> {
        let at = |i: usize| format!("{prefix}feature_extractor.conv_layers.{i}");
        let mut convs = Vec::with_capacity(c.conv_dim.len());
        let mut n_in = 1;
        for (i, ((n_out, k), stride)) in c
            .conv_dim
            .iter()
            .zip(&c.conv_kernel)
            .zip(&c.conv_stride)
            .enumerate()
        {
            // He's normal (He et al. 2015), as published.
            let init = Init::Normal((2.0 / (n_in * k) as f64).sqrt());
            let weight =
                params.weight(&format!("{}.conv.weight", at(i)), (*n_out, n_in, *k), init)?;
            convs.push((weight, *stride));
            n_in = *n_out;
        }
        let first = c.conv_dim.first().copied().unwrap_or(1);
        let name = format!("{}.layer_norm", at(0));
        Ok(Self {
            convs,
            norm: (
                params.weight(&format!("{name}.weight"), first, Init::Const(1.0))?,
                params.weight(&format!("{name}.bias"), first, Init::Const(0.0))?,
            ),
        })
    }

    /// [B, T] → [B, frames, channels].
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = x.unsqueeze(2)?;
        let (norm_weight, norm_bias) = &self.norm;
        for (i, (weight, stride)) in self.convs.iter().enumerate() {
            // GELU follows the norm after the first, and the convolution itself after the others.
            x = ops::conv_frames(&x, weight, *stride, i > 0, mode.is_train())?;
            if i == 0 {
                // As many groups as channels: each over its own time.
                let (x4, c) = (x.unsqueeze(3)?, x.dim(2)?);
                x = ops::group_norm_gelu(&x4, c, norm_weight, norm_bias, EPS, None)?.squeeze(3)?;
            }
        }
        Ok(x)
    }
}
