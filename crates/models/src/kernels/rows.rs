//! Normalisation of rows: layer norm and the channel-wise pass of batch norm with ELU and pooling.

use multiversion::{multiversion, target::target_cfg_f};

use super::vector::{exp, mul_add, sum, sum_of};

/// Mean and 1 / sqrt(population variance + eps) of a row.
#[inline(always)]
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum(row) / n;
    let var = sum_of(row, row, |a, _| (a - mean) * (a - mean)) / n;
    (mean, 1.0 / (var + eps).sqrt())
}

/// Layer norm of one row.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let fused = target_cfg_f!(target_feature = "fma");
    let (mean, scale) = moments(x, eps);
    for (((o, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
        *o = mul_add(fused, (x - mean) * scale, *w, *b);
    }
}

/// Gradient of one row of layer norm: writes `dx`, adds to `dw` and `db`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn layer_norm_grad(
    x: &[f32],
    weight: &[f32],
    g: &[f32],
    eps: f32,
    dx: &mut [f32],
    dw: &mut [f32],
    db: &mut [f32],
) {
    let (mean, scale) = moments(x, eps);
    let n = x.len() as f32;
    // dx holds g·w while the two means are taken.
    for ((d, g), w) in dx.iter_mut().zip(g).zip(weight) {
        *d = g * w;
    }
    let m1 = sum(dx) / n;
    let m2 = sum_of(dx, x, |d, x| d * (x - mean)) * scale / n;
    for ((((d, x), g), dw), db) in dx.iter_mut().zip(x).zip(g).zip(dw).zip(db) {
        let hat = (x - mean) * scale;
        *dw += g * hat;
        *db += g;
        *d = scale * (*d - m1 - hat * m2);
    }
}

/// Sum of a row, and sum of squared distances from `centre`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn row_sums(x: &[f32], centre: f32) -> (f32, f32) {
    (sum(x), sum_of(x, x, |a, _| (a - centre) * (a - centre)))
}

/// What happens to a row after it is scaled and shifted: nothing, or ELU and the mean of `pool`
/// neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The scaled row itself.
    Nothing,
    /// ELU, then means of so many neighbours (1 for none).
    EluPool(usize),
}

/// z = x·scale + shift, then `after`. `out` has x.len() / pool values.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn affine(
    x: &[f32],
    scale: f32,
    shift: f32,
    after: After,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let fused = target_cfg_f!(target_feature = "fma");
    match after {
        After::Nothing => {
            for (o, x) in out.iter_mut().zip(x) {
                *o = mul_add(fused, *x, scale, shift);
            }
        }
        After::EluPool(pool) => {
            for (s, x) in scratch.iter_mut().zip(x) {
                let z = mul_add(fused, *x, scale, shift);
                let e = exp(fused, z.min(0.0)) - 1.0;
                *s = if z > 0.0 { z } else { e };
            }
            let share = 1.0 / pool as f32;
            for (o, s) in out.iter_mut().zip(scratch.chunks_exact(pool)) {
                *o = s.iter().sum::<f32>() * share;
            }
        }
    }
}

/// Gradient with respect to z = x·scale + shift of what [`affine`] does after it, from the
/// gradient `g` of its output; `dz` has x.len() values.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn affine_grad(
    x: &[f32],
    scale: f32,
    shift: f32,
    after: After,
    g: &[f32],
    dz: &mut [f32],
) {
    let fused = target_cfg_f!(target_feature = "fma");
    match after {
        After::Nothing => dz.copy_from_slice(g),
        After::EluPool(pool) => {
            let share = 1.0 / pool as f32;
            let whole = (x.len() / pool) * pool;
            for (d, g) in dz.chunks_exact_mut(pool).zip(g) {
                d.fill(g * share);
            }
            dz[whole..].fill(0.0);
            for (d, x) in dz.iter_mut().zip(x) {
                let z = mul_add(fused, *x, scale, shift);
                let e = exp(fused, z.min(0.0));
                *d *= if z > 0.0 { 1.0 } else { e };
            }
        }
    }
}

/// Σ dz and Σ dz·(x − mean).
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn grad_sums(dz: &[f32], x: &[f32], mean: f32) -> (f32, f32) {
    (sum(dz), sum_of(dz, x, |d, x| d * (x - mean)))
}

/// dz ← scale·(dz − offset − (x − mean)·slope), the last step of batch norm's gradient.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn norm_grad(dz: &mut [f32], x: &[f32], mean: f32, scale: f32, offset: f32, slope: f32) {
    for (d, x) in dz.iter_mut().zip(x) {
        *d = scale * (*d - offset - (x - mean) * slope);
    }
}
