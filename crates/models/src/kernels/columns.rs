//! The norm of columns of a matrix over its rows with GELU behind it. What belongs to a column (moment,
//! weight, bias) comes as a row of values; which columns share theirs is the caller's matter.

use multiversion::{multiversion, target::target_cfg_f};

use super::vector::{gelu_slope, mul_add, normal_cdf};

/// Rows whose sums are taken in f32 before they are added to the others in f64, so that rounding does
/// not grow with the length.
const BLOCK: usize = 16;

/// What the norm takes away, what it multiplies by, weight and bias, each a value a column.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) mean: &'a [f32],
    pub(crate) inv: &'a [f32],
    pub(crate) weight: &'a [f32],
    pub(crate) bias: &'a [f32],
}

#[inline(always)]
fn add(part: &[f32], total: &mut [f64]) {
    for (t, p) in total.iter_mut().zip(part) {
        *t += f64::from(*p);
    }
}

/// Σ (x − centre)^power of every column, the power 1 or 2; rows are as wide as `out`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn column_sums(x: &[f32], centre: &[f32], squares: bool, out: &mut [f64]) {
    let width = out.len();
    let mut part = vec![0.0f32; width];
    out.fill(0.0);
    for block in x.chunks(BLOCK * width) {
        part.fill(0.0);
        for row in block.chunks_exact(width) {
            if squares {
                for ((p, x), c) in part.iter_mut().zip(row).zip(centre) {
                    *p += (x - c) * (x - c);
                }
            } else {
                for ((p, x), c) in part.iter_mut().zip(row).zip(centre) {
                    *p += x - c;
                }
            }
        }
        add(&part, out);
    }
}

/// out ← gelu((x − mean)·inv·weight + bias).
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn norm_gelu(x: &[f32], c: Columns<'_>, out: &mut [f32]) {
    let fused = target_cfg_f!(target_feature = "fma");
    let width = c.mean.len();
    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let columns = c.mean.iter().zip(c.inv).zip(c.weight).zip(c.bias);
        for ((o, x), (((m, i), w), b)) in out.iter_mut().zip(x).zip(columns) {
            let y = mul_add(fused, (x - m) * i, *w, *b);
            *o = y * normal_cdf(fused, y);
        }
    }
}

/// From the gradient of [`norm_gelu`]'s result, `g`: out ← that before GELU, and its sums over rows, plain
/// and by the normed value.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn norm_gelu_grad(
    x: &[f32],
    c: Columns<'_>,
    g: &[f32],
    out: &mut [f32],
    [plain, by_hat]: [&mut [f64]; 2],
) {
    let fused = target_cfg_f!(target_feature = "fma");
    let width = c.mean.len();
    let size = BLOCK * width;
    let (mut some, mut some_hat) = (vec![0.0f32; width], vec![0.0f32; width]);
    plain.fill(0.0);
    by_hat.fill(0.0);
    for ((out, x), g) in out.chunks_mut(size).zip(x.chunks(size)).zip(g.chunks(size)) {
        some.fill(0.0);
        some_hat.fill(0.0);
        let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
        for ((out, x), g) in rows.zip(g.chunks_exact(width)) {
            let columns = c.mean.iter().zip(c.inv).zip(c.weight).zip(c.bias);
            let sums = some.iter_mut().zip(some_hat.iter_mut());
            let values = out.iter_mut().zip(x).zip(g);
            for ((((o, x), g), (((m, i), w), b)), (s, h)) in values.zip(columns).zip(sums) {
                let hat = (x - m) * i;
                *o = g * gelu_slope(fused, mul_add(fused, hat, *w, *b));
                *s += *o;
                *h += *o * hat;
            }
        }
        add(&some, plain);
        add(&some_hat, by_hat);
    }
}

/// d ← inv·(weight·d − first − hat·second): the gradient of a normed value's argument from that of its
/// result, with the two means that the moments depend through.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn norm_grad(x: &[f32], c: Columns<'_>, [first, second]: [&[f32]; 2], d: &mut [f32]) {
    let width = c.mean.len();
    for (d, x) in d.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let columns = c.mean.iter().zip(c.inv).zip(c.weight);
        let means = first.iter().zip(second);
        for (((d, x), ((m, i), w)), (f, s)) in d.iter_mut().zip(x).zip(columns).zip(means) {
            *d = i * (w * *d - f - (x - m) * i * s);
        }
    }
}
