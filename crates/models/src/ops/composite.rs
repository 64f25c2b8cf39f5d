//! Every operation written in candle's own differentiable primitives.
//!
//! These run on any device and floating type. They are the definition that the CPU kernels are
//! tested against, and the fallback where there is no kernel. `candle_nn`'s fused layer norm,
//! RMS norm and last-dimension softmax have no backward and are not used.

use candle_core::{D, DType, Device, Result, Tensor, bail};

use super::TimeConv;
use crate::compute::{Compute, Precision};

/// The type that a product's factors are rounded to, where it is another than their own.
fn narrow_type(x: &Tensor) -> Option<DType> {
    (Compute::now().precision == Precision::Bf16 && x.dtype() == DType::F32).then_some(DType::BF16)
}

/// See [`super::matmul`]. The gradients go back through products of the same precision.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match narrow_type(a) {
        Some(narrow) => a
            .to_dtype(narrow)?
            .matmul(&b.to_dtype(narrow)?)?
            .to_dtype(a.dtype()),
        None => a.matmul(b),
    }
}

/// See [`super::linear`].
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = match narrow_type(x) {
        Some(narrow) => x
            .to_dtype(narrow)?
            .matmul(&weight.to_dtype(narrow)?.t()?)?
            .to_dtype(x.dtype())?,
        None => x.matmul(&weight.t()?)?,
    };
    match bias {
        Some(b) => y.broadcast_add(b),
        None => Ok(y),
    }
}

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

/// x·Φ(x); see [`super::gelu`]. Candle's own `gelu_erf` is not used: its gradient has a constant
/// of six digits.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    let cdf = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? * 0.5)? + 0.5;
    x * cdf?
}

/// x above zero, exp(x) − 1 below; see [`super::elu`].
pub fn elu(x: &Tensor) -> Result<Tensor> {
    // The exponent's argument is never positive, so nothing overflows on either side.
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

/// Group norm of [B, R, C, L]; see [`super::group_norm_gelu`].
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

/// As [`group_norm`], for samples that hold `rows[i]` rows each; those after them become zero.
pub fn group_norm_padded(
    x: &Tensor,
    groups: usize,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    rows: &[usize],
) -> Result<Tensor> {
    let (b, r, c, l) = x.dims4()?;
    let (inside, _) = prefix_mask(rows, r, x.dtype(), x.device())?;
    let inside = inside.reshape((b, r, 1, 1))?;
    let share: Vec<f64> = rows
        .iter()
        .map(|n| 1.0 / (n * (c / groups) * l) as f64)
        .collect();
    let share = super::constants(share, (b, 1, 1, 1), x)?;
    let mean = |t: &Tensor| t.sum_keepdim(3)?.sum_keepdim(1)?.broadcast_mul(&share);
    let g = x
        .reshape((b, r, groups, (c / groups) * l))?
        .broadcast_mul(&inside)?;
    let centred = g.broadcast_sub(&mean(&g)?)?.broadcast_mul(&inside)?;
    let var = mean(&centred.sqr()?)?;
    centred
        .broadcast_div(&(var + eps)?.sqrt()?)?
        .reshape((b, r, c, l))?
        .broadcast_mul(&weight.reshape((c, 1))?)?
        .broadcast_add(&bias.reshape((c, 1))?)?
        .broadcast_mul(&inside)
}

/// Correlation over time of [B, Cin, T]; see [`super::conv_time`]. Windows are laid side by side, a
/// shifted view a tap, and multiplied. Candle 0.11's own `conv1d` is not used: for more than one
/// sample the gradient of its input is wrong. Nor are windows gathered by index: the gradient of
/// that is a loop over all indices a row on a GPU.
pub fn conv_time(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &TimeConv,
) -> Result<Tensor> {
    let ((b, n_in, t), (n_out, per_group, k)) = (x.dims3()?, weight.dims3()?);
    let t_out = conv.output_len(t, k).unwrap_or(0);
    let g = conv.groups;
    if g == 0 || k == 0 || t_out == 0 || per_group * g != n_in || n_out % g != 0 {
        bail!(
            "convolution over time of [{b}, {n_in}, {t}] with {:?} in {g} groups",
            weight.dims()
        );
    }
    let windows = windows(x, k, t_out, conv)?;
    let y = if g == 1 {
        let filters = weight.reshape((1, n_out, n_in * k))?;
        let filters = filters.broadcast_as((b, n_out, n_in * k))?;
        matmul(&filters, &windows.reshape((b, n_in * k, t_out))?)?
    } else {
        let filters = weight.reshape((1, g, n_out / g, per_group * k))?;
        let filters = filters.broadcast_as((b, g, n_out / g, per_group * k))?;
        matmul(
            &filters.contiguous()?,
            &windows.reshape((b, g, per_group * k, t_out))?,
        )?
        .reshape((b, n_out, t_out))?
    };
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1))?),
        None => Ok(y),
    }
}

/// All windows of [B, C, T]: [B, C, K, T_out].
fn windows(x: &Tensor, k: usize, t_out: usize, conv: &TimeConv) -> Result<Tensor> {
    let (b, n_in, t) = x.dims3()?;
    let step = conv.stride;
    // As rows of `step` samples the signal has the sample of tap i in column i % step, from row
    // i / step on.
    let rows = t_out + (k - 1) / step;
    let padded = t + conv.pad_left + conv.pad_right;
    let wanted = rows * step;
    let x = x.pad_with_zeros(
        2,
        conv.pad_left,
        conv.pad_right + wanted.saturating_sub(padded),
    )?;
    let x = match padded > wanted {
        true => x.narrow(2, 0, wanted)?,
        false => x,
    };
    let x = x.contiguous()?.reshape((b, n_in, rows, step))?;
    let taps = (0..k)
        .map(|i| {
            let column = x.narrow(3, i % step, 1)?.squeeze(3)?;
            column.narrow(2, i / step, t_out)?.contiguous()
        })
        .collect::<Result<Vec<_>>>()?;
    Tensor::stack(&taps, 2)
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

/// Logarithm of the softmax over the last dimension.
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    // The maximum is a constant shift: it needs no gradient.
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// Unit vectors of the last dimension; see [`super::l2_normalise`].
pub fn l2_normalise(x: &Tensor, eps: f64) -> Result<Tensor> {
    let squares = x.sqr()?.sum_keepdim(D::Minus1)?;
    // The square is held above eps², so that a row of zeros has a slope that is finite. What is
    // added is a constant: rows above the limit keep their length to the last bit.
    let lift = (squares.affine(-1.0, eps * eps)?.relu()?).detach();
    x.broadcast_div(&(squares + lift)?.sqrt()?)
}

/// See [`super::turn`].
pub fn turn(x: &Tensor) -> Result<Tensor> {
    let turned = x.transpose(D::Minus2, D::Minus1)?.contiguous()?;
    turned.flatten(D::Minus2, D::Minus1)
}

/// See [`super::with_class_token`].
pub fn with_class_token(tokens: &Tensor, added: &Tensor, class: &Tensor) -> Result<Tensor> {
    let (b, _, d) = tokens.dims3()?;
    let class = class.broadcast_as((b, 1, d))?.contiguous()?;
    Tensor::cat(&[class, tokens.broadcast_add(added)?], 1)
}

/// See [`super::mean_of_patches`].
pub fn mean_of_patches(x: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
    let (b, all, _) = x.dims3()?;
    let n = all.saturating_sub(1);
    let patches = x.narrow(1, 1, n)?;
    let Some(lengths) = lengths else {
        return patches.mean(1);
    };
    let (inside, _) = prefix_mask(lengths, n, x.dtype(), x.device())?;
    let share = inside.broadcast_div(&inside.sum_keepdim(1)?)?;
    patches.broadcast_mul(&share.reshape((b, n, 1))?)?.sum(1)
}

/// For samples of which the first `counts[i]` of `n` places are real: ones inside and zeros
/// outside [B, n], and zeros inside and a very negative number outside [B, n].
pub fn prefix_mask(
    counts: &[usize],
    n: usize,
    dtype: DType,
    device: &Device,
) -> Result<(Tensor, Tensor)> {
    let inside: Vec<f32> = counts
        .iter()
        .flat_map(|c| (0..n).map(move |i| if i < *c { 1.0 } else { 0.0 }))
        .collect();
    let inside = Tensor::from_vec(inside, (counts.len(), n), device)?.to_dtype(dtype)?;
    let outside = ((&inside - 1.0)? * 1e30)?;
    Ok((inside, outside))
}
