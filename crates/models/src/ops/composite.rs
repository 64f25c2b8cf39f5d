//! Every operation written in candle's own differentiable primitives.
//!
//! These run on any device and floating type. They are the definition that the CPU kernels are
//! tested against, and the fallback where there is no kernel. `candle_nn`'s fused layer norm,
//! RMS norm and last-dimension softmax have no backward and are not used.

use candle_core::{D, Result, Tensor};

use super::TimeConv;

/// Normalises the last dimension; see [`super::layer_norm`].
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let var = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let scaled = centred.broadcast_div(&(var + eps)?.sqrt()?)?;
    scaled.broadcast_mul(weight)?.broadcast_add(bias)
}

/// Softmax over the last dimension; see [`super::softmax`].
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    // The maximum is a constant shift: it needs no gradient.
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?;
    let e = shifted.exp()?;
    e.broadcast_div(&e.sum_keepdim(D::Minus1)?)
}

/// x·Φ(x); see [`super::gelu`].
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.gelu_erf()
}

/// x above zero, exp(x) − 1 below; see [`super::elu`].
pub fn elu(x: &Tensor) -> Result<Tensor> {
    // Candle's own gradient of elu divides the work in the same way; the two-sided form keeps
    // the exponent's argument non-positive so that its gradient stays finite.
    let negative = (x - x.relu()?)?;
    x.relu()? + (negative.exp()? - 1.0)?
}

/// Normalises each channel of [B, C, T] with given statistics [C].
pub fn normalise_channels(
    x: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let column = |t: &Tensor| t.reshape((1, (), 1));
    let scale = (weight / (var + eps)?.sqrt()?)?;
    let shift = (bias - (mean * &scale)?)?;
    x.broadcast_mul(&column(&scale)?)?
        .broadcast_add(&column(&shift)?)
}

/// Mean and population variance of each channel of [B, C, T].
pub fn channel_statistics(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let mean = x.mean_keepdim(2)?.mean_keepdim(0)?;
    let var = x
        .broadcast_sub(&mean)?
        .sqr()?
        .mean_keepdim(2)?
        .mean_keepdim(0)?;
    Ok((mean.flatten_all()?, var.flatten_all()?))
}

/// Group norm of [B, R, C, L]; see [`super::group_norm`].
pub fn group_norm(
    x: &Tensor,
    groups: usize,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let (b, r, c, l) = x.dims4()?;
    let mean = |t: &Tensor| t.mean_keepdim(3)?.mean_keepdim(1);
    let g = x.reshape((b, r, groups, (c / groups) * l))?;
    let centred = g.broadcast_sub(&mean(&g)?)?;
    let var = mean(&centred.sqr()?)?;
    let scaled = centred
        .broadcast_div(&(var + eps)?.sqrt()?)?
        .reshape((b, r, c, l))?;
    scaled
        .broadcast_mul(&weight.reshape((c, 1))?)?
        .broadcast_add(&bias.reshape((c, 1))?)
}

/// Correlation over time of [B, Cin, T]; see [`super::conv_time`].
pub fn conv_time(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &TimeConv,
) -> Result<Tensor> {
    let x = x.pad_with_zeros(2, conv.pad_left, conv.pad_right)?;
    let y = x.conv1d(weight, 0, conv.stride, 1, conv.groups)?;
    match bias {
        Some(b) => y.broadcast_add(&b.reshape((1, (), 1))?),
        None => Ok(y),
    }
}

/// Means of `size` neighbours of the last dimension; see [`super::avg_pool_time`].
pub fn avg_pool_time(x: &Tensor, size: usize) -> Result<Tensor> {
    let (b, c, t) = x.dims3()?;
    let n = t / size;
    x.narrow(2, 0, n * size)?
        .contiguous()?
        .reshape((b, c, n, size))?
        .mean(3)
}
