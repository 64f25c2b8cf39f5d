//! Passes over the rows of a matrix whose rows are tokens: layer norm of a part of each row, all of it
//! or head by head, residuals, and sums of columns. One call does all rows, as a call a row would
//! take longer than a short row does.

use multiversion::{multiversion, target::target_cfg_f};

use super::vector::{mul_add, sum, sum_of};

/// A part of each row of a matrix.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    data: &'a [f32],
    stride: usize,
    from: usize,
    width: usize,
}

impl<'a> Rows<'a> {
    /// Columns `from..from + width` of rows of `stride` values.
    pub(crate) fn part(data: &'a [f32], stride: usize, from: usize, width: usize) -> Self {
        Self {
            data,
            stride,
            from,
            width,
        }
    }

    #[inline(always)]
    fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        let part = self.from..self.from + self.width;
        self.data
            .chunks_exact(self.stride)
            .map(move |row| &row[part.clone()])
    }
}

/// Mean and 1 / sqrt(population variance + eps).
#[inline(always)]
fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum(x) / n;
    let var = sum_of(x, x, |a, _| (a - mean) * (a - mean)) / n;
    (mean, 1.0 / (var + eps).sqrt())
}

/// Mean and 1 / sqrt(population variance + eps) of every `size` values of each row, one after the other.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn row_moments(x: Rows<'_>, size: usize, eps: f32, out: &mut [f32]) {
    let rows = out.chunks_exact_mut(2 * (x.width / size));
    for (out, x) in rows.zip(x.iter()) {
        for ([mean, scale], x) in out.as_chunks_mut().0.iter_mut().zip(x.chunks_exact(size)) {
            (*mean, *scale) = moments(x, eps);
        }
    }
}

/// Layer norm of every `size` values of each row, from their moments ([`row_moments`]), into `out`, whose
/// rows are the part alone.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn norm_rows(
    x: Rows<'_>,
    size: usize,
    moments: &[f32],
    [weight, bias]: [&[f32]; 2],
    out: &mut [f32],
) {
    let fused = target_cfg_f!(target_feature = "fma");
    let moments = moments.chunks_exact(2 * (x.width / size));
    for ((out, x), moments) in out.chunks_exact_mut(x.width).zip(x.iter()).zip(moments) {
        let parts = out.chunks_exact_mut(size).zip(x.chunks_exact(size));
        for ((out, x), [mean, scale]) in parts.zip(moments.as_chunks().0) {
            for (((o, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *o = mul_add(fused, (x - mean) * scale, *w, *b);
            }
        }
    }
}

/// Gradient of [`norm_rows`] from that of its result, `g`: written to the columns from `from` of the
/// rows of `into` (data, stride, from), or added to what is there, and added to those of weight and
/// bias.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
#[expect(
    clippy::too_many_arguments,
    reason = "a kernel: what it reads and what it writes"
)]
pub(crate) fn norm_rows_grad(
    x: Rows<'_>,
    size: usize,
    moments: &[f32],
    weight: &[f32],
    g: &[f32],
    into: (&mut [f32], usize, usize),
    add: bool,
    grads: [&mut [f32]; 2],
) {
    let n = size as f32;
    let (data, stride, from) = into;
    let [dw, db] = grads;
    let width = x.width;
    let rows = data.chunks_exact_mut(stride).zip(x.iter());
    let moments = moments.chunks_exact(2 * (width / size));
    for (((row, x), g), moments) in rows.zip(g.chunks_exact(width)).zip(moments) {
        let dx = row[from..from + width].chunks_exact_mut(size);
        let parts = dx.zip(x.chunks_exact(size)).zip(g.chunks_exact(size));
        for (((dx, x), g), &[mean, scale]) in parts.zip(moments.as_chunks().0) {
            let m1 = sum_of(g, weight, |g, w| g * w) / n;
            let m2 = sum_of3(g, weight, x, mean) * scale / n;
            for (((((d, x), g), w), dw), db) in dx
                .iter_mut()
                .zip(x)
                .zip(g)
                .zip(weight)
                .zip(dw.iter_mut())
                .zip(db.iter_mut())
            {
                let hat = (x - mean) * scale;
                *dw += g * hat;
                *db += g;
                let found = scale * (g * w - m1 - hat * m2);
                *d = if add { *d + found } else { found };
            }
        }
    }
}

/// Σ g·w·(x − mean) in sixteen lanes.
#[inline(always)]
fn sum_of3(g: &[f32], w: &[f32], x: &[f32], mean: f32) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let (g, w, x) = (
        g.as_chunks::<LANES>(),
        w.as_chunks::<LANES>(),
        x.as_chunks::<LANES>(),
    );
    for ((g, w), x) in g.0.iter().zip(w.0).zip(x.0) {
        for (((l, g), w), x) in lanes.iter_mut().zip(g).zip(w).zip(x) {
            *l += g * w * (x - mean);
        }
    }
    let rest = g.1.iter().zip(w.1).zip(x.1);
    lanes.iter().sum::<f32>() + rest.map(|((g, w), x)| g * w * (x - mean)).sum::<f32>()
}

/// Every row of `out` becomes `row`.
pub(crate) fn fill_rows(row: &[f32], out: &mut [f32]) {
    for out in out.chunks_exact_mut(row.len()) {
        out.copy_from_slice(row);
    }
}

/// out ← x + factor·γ·y, γ a row of `width` values or nothing.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn residual(
    x: &[f32],
    y: &[f32],
    gamma: &[f32],
    factor: f32,
    width: usize,
    out: &mut [f32],
) {
    let fused = target_cfg_f!(target_feature = "fma");
    let rows = out
        .chunks_exact_mut(width)
        .zip(x.chunks_exact(width))
        .zip(y.chunks_exact(width));
    for ((out, x), y) in rows {
        if gamma.is_empty() {
            for ((o, x), y) in out.iter_mut().zip(x).zip(y) {
                *o = mul_add(fused, factor, *y, *x);
            }
        } else {
            for (((o, x), y), c) in out.iter_mut().zip(x).zip(y).zip(gamma) {
                *o = mul_add(fused, factor * c, *y, *x);
            }
        }
    }
}

/// out ← factor·γ·x, γ a row of `width` values or nothing.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn scaled(x: &[f32], gamma: &[f32], factor: f32, width: usize, out: &mut [f32]) {
    let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
    for (out, x) in rows {
        if gamma.is_empty() {
            for (o, x) in out.iter_mut().zip(x) {
                *o = factor * x;
            }
        } else {
            for ((o, x), c) in out.iter_mut().zip(x).zip(gamma) {
                *o = factor * c * x;
            }
        }
    }
}

/// Rows whose sums are taken by themselves before they are added to the others, so that rounding does
/// not grow with the number of rows.
const BLOCK: usize = 16;

/// Adds every row of `x` to `out`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn add_columns(x: &[f32], out: &mut [f32]) {
    let width = out.len();
    let mut part = vec![0.0; width];
    for block in x.chunks(BLOCK * width) {
        part.fill(0.0);
        for row in block.chunks_exact(width) {
            for (p, x) in part.iter_mut().zip(row) {
                *p += x;
            }
        }
        for (o, p) in out.iter_mut().zip(&part) {
            *o += p;
        }
    }
}
