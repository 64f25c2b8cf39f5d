//! Differentiable operations. Each has a composite form ([`composite`]) that runs anywhere, and
//! where it pays a CPU kernel with its own backward pass for f32.

mod attention;
mod batch_norm;
pub mod composite;
mod conv;
pub(crate) mod cpu;
mod layer_norm;
mod pointwise;

use candle_core::{Result, Tensor};

pub use self::batch_norm::{Norm, Statistics, batch_norm};
use self::cpu::has_kernel;

use crate::rng::Stream;

/// How a convolution over time walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeConv {
    /// Step between output samples.
    pub stride: usize,
    /// Zeros before the first sample.
    pub pad_left: usize,
    /// Zeros after the last sample.
    pub pad_right: usize,
    /// Channel groups that do not see each other; the number of channels makes it depthwise.
    pub groups: usize,
}

impl TimeConv {
    /// Stride 1 with as many output as input samples, the Keras and TensorFlow way: (k − 1) / 2
    /// zeros on the left, k / 2 on the right, so an even kernel has the extra zero on the right.
    pub fn same(kernel: usize, groups: usize) -> Self {
        Self {
            stride: 1,
            pad_left: kernel.saturating_sub(1) / 2,
            pad_right: kernel / 2,
            groups,
        }
    }

    /// Equal zeros on both sides.
    pub fn padded(stride: usize, pad: usize, groups: usize) -> Self {
        Self {
            stride,
            pad_left: pad,
            pad_right: pad,
            groups,
        }
    }

    /// Output samples for `times` input samples; none where the kernel does not fit.
    pub fn output_len(&self, times: usize, kernel: usize) -> Option<usize> {
        (times + self.pad_left + self.pad_right)
            .checked_sub(kernel)
            .map(|r| r / self.stride + 1)
    }
}

/// Layer normalisation of the last dimension with population variance (Ba et al. 2016).
/// `x` [..., D], `weight` and `bias` [D].
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    if has_kernel(&[x, weight, bias]) {
        let op = layer_norm::LayerNorm { eps: eps as f32 };
        return x
            .contiguous()?
            .apply_op3(&weight.contiguous()?, &bias.contiguous()?, op);
    }
    composite::layer_norm(x, weight, bias, eps)
}

/// Softmax over the last dimension.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if has_kernel(&[x]) {
        return x.contiguous()?.apply_op1(pointwise::Softmax);
    }
    composite::softmax(x)
}

/// max(x, 0), with slope zero at zero.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if has_kernel(&[x]) {
        return x.contiguous()?.apply_op1(pointwise::Relu);
    }
    x.relu()
}

/// Gaussian error linear unit with the exact error function (Hendrycks and Gimpel 2016).
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if has_kernel(&[x]) {
        return x.contiguous()?.apply_op1(pointwise::Gelu);
    }
    composite::gelu(x)
}

/// Exponential linear unit with α = 1 (Clevert et al. 2015).
pub fn elu(x: &Tensor) -> Result<Tensor> {
    composite::elu(x)
}

/// Group normalisation (Wu and He 2018) of `x` [B, R, C, L]: statistics over all rows R, the
/// channels of a group and all of L. `weight` and `bias` [C].
pub fn group_norm(
    x: &Tensor,
    groups: usize,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    composite::group_norm(x, groups, weight, bias, eps)
}

/// Correlation over time (what deep-learning libraries call convolution): `x` [B, Cin, T],
/// `weight` [Cout, Cin / groups, K], `bias` [Cout] → [B, Cout, T'].
pub fn conv_time(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &TimeConv,
) -> Result<Tensor> {
    let op = conv::ConvTime { conv: *conv };
    if !has_kernel(&[x, weight]) || !op.fits(x.dim(1)?, weight.dim(1)?, weight.dim(2)?) {
        return composite::conv_time(x, weight, bias, conv);
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(b) => x.apply_op3(&weight, &b.contiguous()?, op),
        None => x.apply_op2(&weight, op),
    }
}

/// Mean of each `size` neighbours over time, no overlap; a rest shorter than `size` is left out.
/// [B, C, T] → [B, C, T / size].
pub fn avg_pool_time(x: &Tensor, size: usize) -> Result<Tensor> {
    composite::avg_pool_time(x, size)
}

/// Maximum over each sample and its two neighbours, stride 1: [B, C, T] → [B, C, T]. At the ends
/// the missing neighbour does not count.
pub fn max_pool3_time(x: &Tensor) -> Result<Tensor> {
    if has_kernel(&[x]) {
        return x.contiguous()?.apply_op1(pointwise::MaxPool3);
    }
    let t = x.dim(2)?;
    if t == 1 {
        return Ok(x.clone());
    }
    // Repeating the end samples changes no maximum, as they are in their own window.
    let left = Tensor::cat(&[x.narrow(2, 0, 1)?, x.narrow(2, 0, t - 1)?], 2)?;
    let right = Tensor::cat(&[x.narrow(2, 1, t - 1)?, x.narrow(2, t - 1, 1)?], 2)?;
    x.maximum(&left)?.maximum(&right)
}

/// Dropout (Srivastava et al. 2014): zeroes each element with probability `p` and divides the
/// rest by 1 − p. The mask is a function of `stream` and the element's index.
pub fn dropout(x: &Tensor, p: f32, stream: Option<Stream>) -> Result<Tensor> {
    let Some(stream) = stream.filter(|_| p > 0.0) else {
        return Ok(x.clone());
    };
    if has_kernel(&[x]) {
        return x.contiguous()?.apply_op1(pointwise::Dropout { p, stream });
    }
    let scale = 1.0 / (1.0 - p);
    let mask: Vec<f32> = (0..x.elem_count() as u64)
        .map(|i| if stream.uniform(i) < p { 0.0 } else { scale })
        .collect();
    x * Tensor::from_vec(mask, x.dims(), x.device())?.to_dtype(x.dtype())?
}

/// Stochastic depth (Huang et al. 2016): zeroes whole samples (first dimension) with probability
/// `p` and divides the rest by 1 − p.
pub fn drop_path(x: &Tensor, p: f32, stream: Option<Stream>) -> Result<Tensor> {
    let Some(stream) = stream.filter(|_| p > 0.0) else {
        return Ok(x.clone());
    };
    let scale = 1.0 / (1.0 - p);
    let b = x.dim(0)?;
    let mask: Vec<f32> = (0..b as u64)
        .map(|i| if stream.uniform(i) < p { 0.0 } else { scale })
        .collect();
    let mut shape = vec![1; x.rank()];
    if let Some(first) = shape.first_mut() {
        *first = b;
    }
    x.broadcast_mul(&Tensor::from_vec(mask, shape, x.device())?.to_dtype(x.dtype())?)
}

/// Scaled dot-product attention: `q`, `k`, `v` [B, H, N, D] → [B, H, N, D], softmax(q·kᵀ·scale)·v.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    if has_kernel(&[q, k, v]) {
        let op = attention::Attention {
            scale: scale as f32,
        };
        return q
            .contiguous()?
            .apply_op3(&k.contiguous()?, &v.contiguous()?, op);
    }
    let logits = (q.contiguous()? * scale)?.matmul(&k.t()?.contiguous()?)?;
    softmax(&logits)?.matmul(&v.contiguous()?)
}
