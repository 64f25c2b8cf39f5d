//! EEGNet's first block in a cheaper order.
//!
//! Published: filter every electrode with F1 kernels of K taps, normalise each filter's output
//! over the batch, then mix electrodes. Convolution over time and mixing over electrodes commute,
//! and batch norm is an affine map a filter, so mixing first leaves F1·D rows to filter instead
//! of C·F1. What the normalisation needs are the mean and variance of filter outputs that are
//! never computed; both follow from the windows of the recording: with m the mean window and R
//! the mean outer product of windows (K × K), the output of filter w has mean m·w and variance
//! w·R·w − (m·w)². R is Toeplitz up to its edges: its first row is an autocorrelation, and going
//! down a diagonal drops the product that leaves the window and adds the one that enters. The
//! result is exact, not an approximation, and the gradient flows through both statistics.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::kernels::gemm::{Mat, matmul};
use crate::kernels::slide::correlate;
use crate::ops::TimeConv;
use crate::ops::cpu::{Values, chunk, has_kernel, values};

/// Whether the reordered block can be used: the kernels exist, windows are no longer than the
/// recording, and nobody asks for the gradient of the recording itself.
pub(super) fn applies(x: &Tensor, weight: &Tensor) -> bool {
    let short = x.dims().last() >= weight.dims().last();
    short && has_kernel(&[x, weight]) && !x.track_op()
}

/// Mean and population variance [F] of the outputs of filters `w` [F, K] over all rows and times
/// of `x` [B, C, T] with "same" padding.
pub(super) fn filter_statistics(x: &Tensor, w: &Tensor) -> Result<(Tensor, Tensor)> {
    let x = x.contiguous()?;
    let k = w.dim(1)?;
    let t = x.dim(2)?;
    let windows = Arc::new(Windows::of(&Values::of(&x)?, t, k));
    let moments = w.contiguous()?.apply_op1(FilterMoments { windows })?;
    Ok((moments.get(0)?, moments.get(1)?))
}

/// First and second moments of all windows of K samples, zeros beyond the ends.
struct Windows {
    k: usize,
    /// Mean window [K].
    mean: Vec<f64>,
    /// Mean outer product [K, K].
    outer: Vec<f64>,
}

/// Sums over some rows.
struct Sums {
    /// Σ x[t] for each t.
    columns: Vec<f32>,
    /// Σ_t window[t][0]·window[t][lag].
    lags: Vec<f64>,
    /// Products of the first samples of each row, `head` × `head`.
    head: Vec<f32>,
    /// Products of the last samples, `tail` × `tail`.
    tail: Vec<f32>,
}

impl Windows {
    /// Rows of `t` samples, windows of `k <= t`.
    fn of(x: &[f32], t: usize, k: usize) -> Self {
        let TimeConv { pad_left: left, .. } = TimeConv::same(k, 1);
        // A window starts `left` before its sample. Of the first k − 1 samples of a padded row,
        // `left` are zeros; of the last k − 1, the first `left` are samples.
        let (head, tail) = (k - 1 - left, left);
        let rows = x.len() / t;
        let parts: Vec<Sums> = x
            .par_chunks(chunk(rows) * t)
            .map(|x| Sums::of(x, t, k, head, tail))
            .collect();
        let n = (rows * t) as f64;
        let mut columns = vec![0.0f64; t];
        let mut lags = vec![0.0f64; k];
        let (mut heads, mut tails) = (vec![0.0f64; head * head], vec![0.0f64; tail * tail]);
        let add = |total: &mut Vec<f64>, part: &[f32]| {
            total
                .iter_mut()
                .zip(part)
                .for_each(|(t, p)| *t += f64::from(*p));
        };
        for p in &parts {
            add(&mut columns, &p.columns);
            add(&mut heads, &p.head);
            add(&mut tails, &p.tail);
            lags.iter_mut().zip(&p.lags).for_each(|(t, p)| *t += p);
        }
        // Sample i of all windows together covers times i − left .. i − left + t, cut at the ends.
        let mut sums = vec![0.0f64];
        sums.extend(columns.iter().scan(0.0, |s, c| {
            *s += c;
            Some(*s)
        }));
        let mean = (0..k)
            .map(|i| {
                let (from, to) = (i.saturating_sub(left), t - left.saturating_sub(i));
                (sums[to] - sums[from]) / n
            })
            .collect();
        let mut outer = vec![0.0f64; k * k];
        for (lag, first) in lags.iter().enumerate() {
            let mut value = *first;
            for i in 0..k - lag {
                let j = i + lag;
                outer[i * k + j] = value / n;
                outer[j * k + i] = value / n;
                // From (i, j) to (i + 1, j + 1): one product leaves at the front, one enters.
                if i >= left && j < k - 1 {
                    value -= heads[(i - left) * head + (j - left)];
                }
                if j < left {
                    value += tails[i * tail + j];
                }
            }
        }
        Self { k, mean, outer }
    }
}

impl Sums {
    fn of(x: &[f32], t: usize, k: usize, head: usize, tail: usize) -> Self {
        let left = tail;
        let rows = x.len() / t;
        let mut columns = vec![0.0f32; t];
        let mut lags = vec![0.0f64; k];
        let mut padded = vec![0.0f32; t + head];
        let mut own = vec![0.0f32; k];
        for row in x.chunks_exact(t) {
            columns.iter_mut().zip(row).for_each(|(c, v)| *c += v);
            padded[..t].copy_from_slice(row);
            own.fill(0.0);
            // Windows that start in the zeros have a zero first sample and add nothing.
            correlate(&padded, &row[..t - left], &mut own);
            lags.iter_mut()
                .zip(&own)
                .for_each(|(l, v)| *l += f64::from(*v));
        }
        let gram = |first: usize, n: usize| {
            let mut out = vec![0.0f32; n * n];
            let m = Mat::new(&x[first..], 1, t);
            matmul((n, rows, n), 1.0, m, m.t(), false, &mut out, n);
            out
        };
        Self {
            columns,
            lags,
            head: gram(0, head),
            tail: gram(t - tail, tail),
        }
    }
}

/// [F, K] → [2, F]: mean and variance of each filter's output.
struct FilterMoments {
    windows: Arc<Windows>,
}

impl FilterMoments {
    /// For each filter: R·w, mean, variance.
    fn evaluate(&self, w: &[f32]) -> Vec<(Vec<f64>, f64, f64)> {
        let Windows { k, mean, outer } = &*self.windows;
        w.chunks_exact(*k)
            .map(|w| {
                let rw: Vec<f64> = outer
                    .chunks_exact(*k)
                    .map(|r| r.iter().zip(w).map(|(r, w)| r * f64::from(*w)).sum())
                    .collect();
                let mu: f64 = mean.iter().zip(w).map(|(m, w)| m * f64::from(*w)).sum();
                let second: f64 = rw.iter().zip(w).map(|(r, w)| r * f64::from(*w)).sum();
                (rw, mu, (second - mu * mu).max(0.0))
            })
            .collect()
    }
}

impl CustomOp1 for FilterMoments {
    fn name(&self) -> &'static str {
        "filter-moments"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (f, k) = layout.shape().dims2()?;
        if k != self.windows.k {
            bail!(
                "filters of {k} taps, moments of windows of {}",
                self.windows.k
            );
        }
        let moments = self.evaluate(values(storage, layout)?);
        let out = moments
            .iter()
            .map(|m| m.1 as f32)
            .chain(moments.iter().map(|m| m.2 as f32))
            .collect();
        Ok((CpuStorage::F32(out), Shape::from((2, f))))
    }

    fn bwd(&self, w: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let g = Values::of(&grad)?;
        let (g_mean, g_var) = g.split_at(g.len() / 2);
        let moments = self.evaluate(&Values::of(w)?);
        let mut out = Vec::with_capacity(w.elem_count());
        for (((rw, mu, _), g_mean), g_var) in moments.iter().zip(g_mean).zip(g_var) {
            let (g_mean, g_var) = (f64::from(*g_mean), f64::from(*g_var));
            out.extend(
                rw.iter()
                    .zip(&self.windows.mean)
                    .map(|(r, m)| (g_mean * m + 2.0 * g_var * (r - mu * m)) as f32),
            );
        }
        Tensor::from_vec(out, w.shape(), w.device()).map(Some)
    }
}
