//! Group norm over rows with GELU behind it, in one pass each way.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{Values, add_up, values};
use crate::kernels::columns::{Columns, column_sums, norm_gelu, norm_gelu_grad, norm_grad};

/// Arguments x [B, R, C, L], weight and bias [C].
pub(super) struct GroupNormGelu {
    pub(super) groups: usize,
    pub(super) eps: f32,
    /// Rows of each sample; what follows them is padding: not read, and zero in the result.
    pub(super) rows: Option<Arc<[usize]>>,
}

/// One batch: a column is one of the C·L values of a row.
struct Batch<'a> {
    rows: Option<&'a [usize]>,
    eps: f32,
    all_rows: usize,
    /// Columns of a row.
    width: usize,
    /// Columns that share their moments.
    of_group: usize,
    /// Columns that share weight and bias.
    of_weight: usize,
    /// A value a column.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Of every `size` neighbours of `x` the sum times `scale`, as `then` makes it, `size` times over.
fn share(x: &[f64], size: usize, scale: f64, then: impl Fn(f64) -> f64) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for part in x.chunks_exact(size) {
        let mean = part.iter().sum::<f64>() * scale;
        out.extend(std::iter::repeat_n(then(mean) as f32, size));
    }
    out
}

impl GroupNormGelu {
    fn batch<'a>(&'a self, x: &[usize], w: &[f32], b: &[f32]) -> Result<Batch<'a>> {
        match x {
            &[n, r, c, l]
                if n * r * c * l > 0
                    && self.groups > 0
                    && c % self.groups == 0
                    && [w.len(), b.len()] == [c, c]
                    && self.rows.as_ref().is_none_or(|rows| rows.len() == n) =>
            {
                let spread =
                    |v: &[f32]| v.iter().flat_map(|v| std::iter::repeat_n(*v, l)).collect();
                Ok(Batch {
                    rows: self.rows.as_deref(),
                    eps: self.eps,
                    all_rows: r,
                    width: c * l,
                    of_group: c / self.groups * l,
                    of_weight: l,
                    weight: spread(w),
                    bias: spread(b),
                })
            }
            _ => bail!(
                "norm of {x:?} in {} groups with {} weights",
                self.groups,
                w.len()
            ),
        }
    }
}

impl Batch<'_> {
    fn size(&self) -> usize {
        self.all_rows * self.width
    }

    /// Values of sample `i` that are no padding, and what the moments divide by.
    fn real(&self, i: usize) -> (usize, f64) {
        let rows = self.rows.map_or(self.all_rows, |r| r[i].min(self.all_rows));
        (
            rows * self.width,
            1.0 / (rows * self.of_group).max(1) as f64,
        )
    }

    /// Mean and 1 / sqrt(population variance + eps) of each column's group.
    fn moments(&self, x: &[f32], scale: f64) -> [Vec<f32>; 2] {
        let mut sums = vec![0.0; self.width];
        // Sums about zero, then squares about the mean.
        column_sums(x, &vec![0.0; self.width], false, &mut sums);
        let mean = share(&sums, self.of_group, scale, |v| v);
        column_sums(x, &mean, true, &mut sums);
        let eps = f64::from(self.eps);
        let inv = share(&sums, self.of_group, scale, |v| 1.0 / (v + eps).sqrt());
        [mean, inv]
    }

    fn columns<'a>(&'a self, [mean, inv]: &'a [Vec<f32>; 2]) -> Columns<'a> {
        Columns {
            mean,
            inv,
            weight: &self.weight,
            bias: &self.bias,
        }
    }

    fn forward(&self, i: usize, x: &[f32], out: &mut [f32]) {
        let (real, scale) = self.real(i);
        let moments = self.moments(&x[..real], scale);
        norm_gelu(&x[..real], self.columns(&moments), &mut out[..real]);
    }

    /// Writes `dx`; gives the gradients of weight and bias, one after the other, a value a column.
    fn backward(&self, i: usize, x: &[f32], g: &[f32], dx: &mut [f32]) -> Vec<f32> {
        let (real, scale) = self.real(i);
        let (x, dx) = (&x[..real], &mut dx[..real]);
        let moments = self.moments(x, scale);
        let columns = self.columns(&moments);
        let mut sums = vec![0.0; 2 * self.width];
        let (by_hat, plain) = sums.split_at_mut(self.width);
        norm_gelu_grad(x, columns, &g[..real], dx, [&mut *plain, &mut *by_hat]);
        let mean = |sums: &[f64]| {
            let own = sums.iter().zip(&self.weight);
            let own: Vec<f64> = own.map(|(s, w)| s * f64::from(*w)).collect();
            share(&own, self.of_group, scale, |v| v)
        };
        norm_grad(x, columns, [&mean(plain), &mean(by_hat)], dx);
        sums.into_iter().map(|s| s as f32).collect()
    }
}

impl CustomOp3 for GroupNormGelu {
    fn name(&self) -> &'static str {
        "group-norm-gelu"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = values(x, lx)?;
        let batch = self.batch(lx.dims(), values(w, lw)?, values(b, lb)?)?;
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(batch.size())
            .zip(x.par_chunks(batch.size()))
            .enumerate()
            .for_each(|(i, (out, x))| batch.forward(i, x, out));
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (xs, gs) = (Values::of(x)?, Values::of(&grad)?);
        let batch = self.batch(x.dims(), &Values::of(w)?, &Values::of(b)?)?;
        let mut dx = vec![0.0; xs.len()];
        let parts: Vec<Vec<f32>> = dx
            .par_chunks_mut(batch.size())
            .zip(xs.par_chunks(batch.size()))
            .zip(gs.par_chunks(batch.size()))
            .enumerate()
            .map(|(i, ((dx, x), g))| batch.backward(i, x, g, dx))
            .collect();
        let sums = add_up(&parts, 2 * batch.width);
        let mut sums = sums.chunks_exact(batch.of_weight);
        let mut of = |t: &Tensor| {
            let own: Vec<f32> = sums
                .by_ref()
                .take(t.elem_count())
                .map(|p| p.iter().sum())
                .collect();
            Tensor::from_vec(own, t.shape(), t.device()).map(Some)
        };
        let (dw, db) = (of(w)?, of(b)?);
        let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
        Ok((Some(dx), dw, db))
    }
}
