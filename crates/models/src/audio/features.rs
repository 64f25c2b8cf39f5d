//! The waveform to frames: strided convolutions with GELU, group norm after the first.

use candle_core::Tensor;

use super::config::Wav2Vec2Config;
use crate::error::Result;
use crate::ops::{self, Norm, TimeConv};
use crate::params::{Init, Params};

/// PyTorch's default epsilon of group norm.
const EPS: f64 = 1e-5;

/// The convolutions.
#[derive(Debug, Clone)]
pub(super) struct Features {
    convs: Vec<(Tensor, TimeConv)>,
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
            convs.push((weight, TimeConv::padded(*stride, 0, 1)));
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
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.unsqueeze(1)?;
        for (i, (weight, conv)) in self.convs.iter().enumerate() {
            x = ops::conv_time(&x, weight, None, conv)?;
            if i == 0 {
                x = instance_norm(&x, &self.norm.0, &self.norm.1)?;
            }
            x = ops::gelu(&x)?;
        }
        Ok(x.transpose(1, 2)?.contiguous()?)
    }
}

/// Group norm with as many groups as channels: each channel of each sample over its own time. To
/// batch norm that is one sample of B·C channels.
fn instance_norm(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (b, c, t) = x.dims3()?;
    let repeat = |v: &Tensor| v.broadcast_as((b, c))?.contiguous()?.reshape(b * c);
    let flat = x.reshape((1, b * c, t))?;
    let (y, _) = ops::batch_norm(
        &flat,
        &repeat(weight)?,
        &repeat(bias)?,
        EPS,
        Norm::Batch,
        None,
    )?;
    Ok(y.reshape((b, c, t))?)
}
