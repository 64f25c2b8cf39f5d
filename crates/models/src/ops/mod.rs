//! Differentiable operations. Each has a composite form ([`composite`]) that runs anywhere, and
//! where it pays a CPU kernel with its own backward pass for f32.

mod attention;
mod batch_norm;
mod block;
mod bound;
pub mod composite;
mod conv;
pub(crate) mod cpu;
mod ends;
mod frames;
mod group_norm;
mod grouped;
mod layer;
mod layer_norm;
mod linear;
mod pointwise;

use candle_core::{D, Device, Result, Shape, Tensor, bail};

pub use self::batch_norm::{Norm, Statistics, batch_norm};
pub(crate) use self::block::{Factors as BlockFactors, Given as BlockGiven, Shape as BlockShape};
pub use self::bound::gradients;
use self::cpu::has_kernel;
pub(crate) use self::layer::{PAIRS as LAYER_PAIRS, Shape as LayerShape};

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

/// y = x·Wᵀ + b: `x` [rows, n_in], `weight` [n_out, n_in], `bias` [n_out].
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if has_kernel(&[x, weight]) && x.elem_count() > 0 {
        let (x, weight) = (x.contiguous()?, weight.contiguous()?);
        return match bias {
            Some(b) => x.apply_op3(&weight, &b.contiguous()?, linear::Linear),
            None => x.apply_op2(&weight, linear::Linear),
        };
    }
    composite::linear(x, weight, bias)
}

/// Product of matrices [..., n, k] and [..., k, m], of equal leading dimensions.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    composite::matmul(a, b)
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

/// GELU of the group normalisation (Wu and He 2018) of `x` [B, R, C, L]: statistics over all rows R, the
/// channels of a group and all of L. `weight` and `bias` [C]. With `rows`, sample i holds `rows[i]` rows, and
/// those after them, which are padding, become zero.
pub fn group_norm_gelu(
    x: &Tensor,
    groups: usize,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    rows: Option<&[usize]>,
) -> Result<Tensor> {
    let (b, r, _, _) = x.dims4()?;
    if let Some(rows) = rows
        && (rows.len() != b || rows.iter().any(|n| *n == 0 || *n > r))
    {
        bail!("rows {rows:?} for {b} samples of {r} rows");
    }
    if has_kernel(&[x, weight, bias]) {
        let op = group_norm::GroupNormGelu {
            groups,
            eps: eps as f32,
            rows: rows.map(Into::into),
        };
        return x
            .contiguous()?
            .apply_op3(&weight.contiguous()?, &bias.contiguous()?, op);
    }
    composite::gelu(&match rows {
        None => composite::group_norm(x, groups, weight, bias, eps)?,
        Some(rows) => composite::group_norm_padded(x, groups, weight, bias, eps, rows)?,
    })
}

/// Correlation over time (what deep-learning libraries call convolution): `x` [..., Cin, T],
/// `weight` [Cout, Cin / groups, K], `bias` [Cout] → [..., Cout, T'].
pub fn conv_time(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &TimeConv,
) -> Result<Tensor> {
    let op = conv::ConvTime { conv: *conv };
    let (n_in, t, groups) = (x.dim(D::Minus2)?, x.dim(D::Minus1)?, conv.groups);
    let fits = has_kernel(&[x, weight]) && op.fits(n_in, weight.dim(1)?, weight.dim(2)?);
    if !fits && x.rank() != 3 {
        let y = conv_time(&x.reshape(((), n_in, t))?, weight, bias, conv)?;
        let before = &x.dims()[..x.rank() - 2];
        return y.reshape([before, &y.dims()[1..]].concat());
    }
    if has_kernel(&[x, weight]) && groups > 1 && groups < n_in && n_in % groups == 0 {
        let y = x
            .contiguous()?
            .apply_op2(&weight.contiguous()?, grouped::GroupConv(op))?;
        return match bias {
            Some(b) => y.broadcast_add(&b.reshape((1, (), 1))?),
            None => Ok(y),
        };
    }
    if !fits {
        return composite::conv_time(x, weight, bias, conv);
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(b) => x.apply_op3(&weight, &b.contiguous()?, op),
        None => x.apply_op2(&weight, op),
    }
}

/// [`conv_time`] of channels-last signals without padding and bias, with GELU behind it where `gelu`: `x`
/// [B, T, Cin], `weight` [Cout, Cin, K] → [B, T', Cout]. `keep` holds what GELU was given until the
/// backward pass, which else makes it again.
pub fn conv_frames(
    x: &Tensor,
    weight: &Tensor,
    stride: usize,
    gelu: bool,
    keep: bool,
) -> Result<Tensor> {
    if has_kernel(&[x, weight]) {
        let op = frames::FrameConv::new(stride, gelu, keep);
        return x.contiguous()?.apply_op2(&weight.contiguous()?, op);
    }
    let conv = TimeConv::padded(stride, 0, 1);
    let y = composite::conv_time(&x.transpose(1, 2)?.contiguous()?, weight, None, &conv)?;
    let y = if gelu { composite::gelu(&y)? } else { y };
    y.transpose(1, 2)?.contiguous()
}

/// [..., A, C] → [..., C·A]: the last two dimensions change places and become one.
pub fn turn(x: &Tensor) -> Result<Tensor> {
    if has_kernel(&[x]) && x.rank() > 1 {
        return x.contiguous()?.apply_op1(ends::Turn);
    }
    composite::turn(x)
}

/// `class` [B or 1, 1, D] before `tokens` [B, N, D], to which `added` [B or 1, N, D] is added: [B, 1 + N, D].
pub fn with_class_token(tokens: &Tensor, added: &Tensor, class: &Tensor) -> Result<Tensor> {
    if has_kernel(&[tokens, added, class]) {
        let (added, class) = (added.contiguous()?, class.contiguous()?);
        let tokens = tokens.contiguous()?;
        return tokens.apply_op3(&added, &class, ends::ClassToken);
    }
    composite::with_class_token(tokens, added, class)
}

/// Mean of the tokens behind the class token, or of the first `lengths[i]` of them: [B, 1 + N, D] → [B, D].
pub fn mean_of_patches(x: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
    let mean = ends::Mean {
        lengths: lengths.map(Into::into),
    };
    let _ = mean.sizes(x.dims())?;
    if has_kernel(&[x]) {
        return x.contiguous()?.apply_op1(mean);
    }
    composite::mean_of_patches(x, lengths)
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
    let op = pointwise::Dropout { p, stream };
    if has_kernel(&[x]) {
        return x.contiguous()?.apply_op1(op);
    }
    let mask = Tensor::from_vec(op.mask(x.elem_count()), x.dims(), x.device())?;
    x * mask.to_dtype(x.dtype())?
}

/// Transformer blocks one after the other: `x` [B, N, width]. With `lengths`, sample i has so many tokens and
/// padding behind them. `None` where there is no kernel for these tensors.
pub(crate) fn blocks(
    x: &Tensor,
    given: Vec<BlockGiven<'_>>,
    lengths: Option<&[usize]>,
) -> Result<Option<Tensor>> {
    if !has_kernel(&[x]) || !given.iter().all(|g| has_kernel(&g.weights)) {
        return Ok(None);
    }
    block::blocks(x, given, lengths).map(Some)
}

/// A post-norm transformer layer: `x` [B, N, width], the weights in the order of [`layer`]. `None` where
/// there is no kernel for these tensors.
pub(crate) fn layer(
    x: &Tensor,
    weights: [[&Tensor; 2]; LAYER_PAIRS],
    shape: LayerShape,
    keep: bool,
) -> Result<Option<Tensor>> {
    if !has_kernel(&[x]) || !has_kernel(weights.as_flattened()) {
        return Ok(None);
    }
    layer::layer(x, weights, shape, keep).map(Some)
}

/// Factors of drop path for a batch of `b`: 0 with probability `p`, else 1 / (1 − p).
pub(crate) fn drop_path_factors(b: usize, p: f32, stream: Stream) -> Vec<f32> {
    let scale = 1.0 / (1.0 - p);
    (0..b as u64)
        .map(|i| if stream.uniform(i) < p { 0.0 } else { scale })
        .collect()
}

/// Stochastic depth (Huang et al. 2016): zeroes whole samples (first dimension) with probability
/// `p` and divides the rest by 1 − p.
pub fn drop_path(x: &Tensor, p: f32, stream: Option<Stream>) -> Result<Tensor> {
    let Some(stream) = stream.filter(|_| p > 0.0) else {
        return Ok(x.clone());
    };
    let b = x.dim(0)?;
    let mask = drop_path_factors(b, p, stream);
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
            lengths: None,
        };
        return q
            .contiguous()?
            .apply_op3(&k.contiguous()?, &v.contiguous()?, op);
    }
    let logits = matmul(&(q.contiguous()? * scale)?, &k.t()?.contiguous()?)?;
    matmul(&softmax(&logits)?, &v.contiguous()?)
}

/// As [`attention`], for samples of different lengths: sample i holds `lengths[i]` tokens, and
/// what follows them is padding that no other token sees. Its own result is zero.
pub fn attention_padded(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    scale: f64,
    lengths: &[usize],
) -> Result<Tensor> {
    let (b, _, n, _) = q.dims4()?;
    if lengths.len() != b || lengths.iter().any(|l| *l == 0 || *l > n) {
        bail!("lengths {lengths:?} for {b} samples of {n} tokens");
    }
    if has_kernel(&[q, k, v]) {
        let op = attention::Attention {
            scale: scale as f32,
            lengths: Some(lengths.into()),
        };
        return q
            .contiguous()?
            .apply_op3(&k.contiguous()?, &v.contiguous()?, op);
    }
    let (inside, outside) = composite::prefix_mask(lengths, n, q.dtype(), q.device())?;
    let logits = matmul(&(q.contiguous()? * scale)?, &k.t()?.contiguous()?)?;
    let logits = logits.broadcast_add(&outside.reshape((b, 1, 1, n))?)?;
    matmul(&softmax(&logits)?, &v.contiguous()?)?.broadcast_mul(&inside.reshape((b, 1, n, 1))?)
}

/// Constants in the type and on the device of `like`. Rounded on the CPU: not every device has f64.
pub(crate) fn constants(
    values: Vec<f64>,
    shape: impl Into<Shape>,
    like: &Tensor,
) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)?
        .to_dtype(like.dtype())?
        .to_device(like.device())
}

/// Logarithm of the softmax over the last dimension.
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    composite::log_softmax(x)
}

/// `x` divided by its Euclidean length over the last dimension, the length not below `eps`
/// (PyTorch's `normalize`).
pub fn l2_normalise(x: &Tensor, eps: f64) -> Result<Tensor> {
    composite::l2_normalise(x, eps)
}
