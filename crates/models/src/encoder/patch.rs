//! From samples to tokens: three small convolutions over each patch of 200 samples.
//!
//! The weights are shared by all channels and patches; the group norms' statistics are taken over
//! all channels and patches of a sample (as published), so a padded channel would change every
//! token: where a batch is padded, the statistics are taken over the real channels alone.

use candle_core::Tensor;

use super::config::{PATCH, PATCH_GROUPS};
use crate::error::Result;
use crate::ops::{self, TimeConv};
use crate::params::{Init, Params};

const EPS: f64 = 1e-5;

#[derive(Debug, Clone)]
struct Stage {
    weight: Tensor,
    bias: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    conv: TimeConv,
}

/// The patch encoder.
#[derive(Debug, Clone)]
pub(crate) struct PatchEncoder {
    stages: Vec<Stage>,
}

impl PatchEncoder {
    /// Adds `{prefix}conv1..3` and `{prefix}norm1..3`.
    pub(crate) fn new(params: &mut Params, prefix: &str, channels: usize) -> Result<Self> {
        let shapes = [
            (1, 15, TimeConv::padded(8, 7, 1)),
            (channels, 3, TimeConv::padded(1, 1, 1)),
            (channels, 3, TimeConv::padded(1, 1, 1)),
        ];
        let mut stages = Vec::with_capacity(shapes.len());
        for (i, (n_in, kernel, conv)) in (1..).zip(shapes) {
            let init = Init::torch_default(n_in * kernel);
            stages.push(Stage {
                weight: params.weight(
                    &format!("{prefix}conv{i}.weight"),
                    (channels, n_in, 1, kernel),
                    init,
                )?,
                bias: params.weight(&format!("{prefix}conv{i}.bias"), channels, init)?,
                norm_weight: params.weight(
                    &format!("{prefix}norm{i}.weight"),
                    channels,
                    Init::Const(1.0),
                )?,
                norm_bias: params.weight(
                    &format!("{prefix}norm{i}.bias"),
                    channels,
                    Init::Const(0.0),
                )?,
                conv,
            });
        }
        Ok(Self { stages })
    }

    /// [B, R, 200] (R = channels × patches) → [B, R, 25·conv_channels], a token's values in the
    /// order time, then convolution channel. With `rows`, the first `rows[i]` rows of sample i are
    /// real and the rest is padding.
    pub(crate) fn forward(&self, x: &Tensor, rows: Option<&[usize]>) -> Result<Tensor> {
        let (n, r, _) = x.dims3()?;
        let mut x = x.reshape((n, r, 1, PATCH))?;
        for s in &self.stages {
            let weight = s.weight.squeeze(2)?;
            let y = ops::conv_time(&x, &weight, Some(&s.bias), &s.conv)?;
            let (w, b) = (&s.norm_weight, &s.norm_bias);
            x = ops::group_norm_gelu(&y, PATCH_GROUPS, w, b, EPS, rows)?;
        }
        Ok(ops::turn(&x)?)
    }
}
