//! Batch norm of [B, C, T], alone or followed by ELU and mean pooling in the same pass.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::composite;
use super::cpu::{Values, has_kernel, values};
use crate::kernels::rows::{self, After};

/// Elements one task works through.
const CHUNK: usize = 16 * 1024;

/// Means and population variances of the channels of a batch.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// [C].
    pub mean: Tensor,
    /// [C].
    pub var: Tensor,
}

/// What batch norm normalises with.
#[derive(Debug, Clone, Copy)]
pub enum Norm<'a> {
    /// The batch's own statistics, through which the gradient flows.
    Batch,
    /// Given statistics [C], taken as constants.
    Fixed {
        /// Means.
        mean: &'a Tensor,
        /// Population variances.
        var: &'a Tensor,
    },
}

/// Batch norm of `x` [B, C, T] with `weight` and `bias` [C]; statistics over batch and time.
/// With `elu_pool` the result goes through ELU and the mean of so many neighbours. Returns the
/// batch's statistics when they were taken.
pub fn batch_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    norm: Norm<'_>,
    elu_pool: Option<usize>,
) -> Result<(Tensor, Option<Statistics>)> {
    if !has_kernel(&[x, weight, bias]) {
        let (y, statistics) = match norm {
            Norm::Batch => {
                let (mean, var) = composite::channel_statistics(x)?;
                let y = composite::normalise_channels(x, &mean, &var, weight, bias, eps)?;
                (
                    y,
                    Some(Statistics {
                        mean: mean.detach(),
                        var: var.detach(),
                    }),
                )
            }
            Norm::Fixed { mean, var } => (
                composite::normalise_channels(x, mean, var, weight, bias, eps)?,
                None,
            ),
        };
        let y = match elu_pool {
            Some(pool) => composite::avg_pool_time(&composite::elu(&y)?, pool)?,
            None => y,
        };
        return Ok((y, statistics));
    }
    let x = x.contiguous()?;
    let (b, c, t) = x.dims3()?;
    let (mean, var, statistics) = match norm {
        Norm::Batch => {
            let (mean, var) = channel_statistics(&Values::of(&x)?, b, c, t);
            let tensor = |v: &[f32]| Tensor::from_slice(v, c, x.device());
            let statistics = Statistics {
                mean: tensor(&mean)?,
                var: tensor(&var)?,
            };
            (mean, var, Some(statistics))
        }
        Norm::Fixed { mean, var } => {
            let read =
                |v: &Tensor| -> Result<Vec<f32>> { Ok(Values::of(&v.contiguous()?)?.to_vec()) };
            (read(mean)?, read(var)?, None)
        }
    };
    let op = BatchNorm {
        mean,
        inv: var
            .iter()
            .map(|v| 1.0 / (f64::from(*v) + eps).sqrt() as f32)
            .collect(),
        batch: statistics.is_some(),
        after: elu_pool.map_or(After::Nothing, After::EluPool),
    };
    Ok((
        x.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?,
        statistics,
    ))
}

/// Means and population variances, sums of rows in f64 and in order.
fn channel_statistics(x: &[f32], b: usize, c: usize, t: usize) -> (Vec<f32>, Vec<f32>) {
    let n = (b * t).max(1) as f64;
    (0..c)
        .into_par_iter()
        .map(|ch| {
            let rows = || (0..b).map(|s| &x[(s * c + ch) * t..(s * c + ch + 1) * t]);
            let mean = (rows()
                .map(|r| f64::from(rows::row_sums(r, 0.0).0))
                .sum::<f64>()
                / n) as f32;
            let var = rows()
                .map(|r| f64::from(rows::row_sums(r, mean).1))
                .sum::<f64>()
                / n;
            (mean, var as f32)
        })
        .unzip()
}

struct BatchNorm {
    mean: Vec<f32>,
    /// 1 / sqrt(var + eps).
    inv: Vec<f32>,
    /// Whether mean and variance are the batch's own.
    batch: bool,
    after: After,
}

impl BatchNorm {
    fn output_times(&self, t: usize) -> usize {
        match self.after {
            After::Nothing => t,
            After::EluPool(pool) => t / pool.max(1),
        }
    }

    /// Scale and shift of channel `c`.
    fn affine(&self, c: usize, w: &[f32], b: &[f32]) -> (f32, f32) {
        let scale = w[c] * self.inv[c];
        (scale, b[c] - self.mean[c] * scale)
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch-norm"
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
        let (n, c, t) = lx.shape().dims3()?;
        let (x, w, b) = (values(x, lx)?, values(w, lw)?, values(b, lb)?);
        let to = self.output_times(t);
        if w.len() != c || b.len() != c || self.mean.len() != c || self.inv.len() != c || to == 0 {
            bail!("batch norm of {c} channels and {t} samples does not fit its weights or pooling");
        }
        let mut out = vec![0.0; n * c * to];
        out.par_chunks_mut(to)
            .zip(x.par_chunks(t))
            .enumerate()
            .with_min_len(CHUNK.div_ceil(t))
            .for_each_init(
                || vec![0.0; t],
                |scratch, (row, (o, x))| {
                    let (scale, shift) = self.affine(row % c, w, b);
                    rows::affine(x, scale, shift, self.after, scratch, o);
                },
            );
        Ok((CpuStorage::F32(out), Shape::from((n, c, to))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (n, c, t) = x.dims3()?;
        let grad = grad.contiguous()?;
        let (xs, ws, bs, g) = (
            Values::of(x)?,
            Values::of(w)?,
            Values::of(b)?,
            Values::of(&grad)?,
        );
        let (xs, ws, bs, g): (&[f32], &[f32], &[f32], &[f32]) = (&xs, &ws, &bs, &g);
        let to = self.output_times(t);
        let min = CHUNK.div_ceil(t);
        let mut dx = vec![0.0; xs.len()];
        let sums: Vec<(f32, f32)> = dx
            .par_chunks_mut(t)
            .zip(xs.par_chunks(t))
            .zip(g.par_chunks(to))
            .enumerate()
            .with_min_len(min)
            .map(|(row, ((dz, x), g))| {
                let (scale, shift) = self.affine(row % c, ws, bs);
                rows::affine_grad(x, scale, shift, self.after, g, dz);
                rows::grad_sums(dz, x, self.mean[row % c])
            })
            .collect();
        // Sums over the batch in f64 and in order.
        let mut total = vec![(0.0f64, 0.0f64); c];
        for (row, (dz, dzx)) in sums.iter().enumerate() {
            total[row % c].0 += f64::from(*dz);
            total[row % c].1 += f64::from(*dzx);
        }
        let count = (n * t) as f64;
        dx.par_chunks_mut(t)
            .zip(xs.par_chunks(t))
            .enumerate()
            .with_min_len(min)
            .for_each(|(row, (dz, x))| {
                let ch = row % c;
                let (mean, inv) = (self.mean[ch], f64::from(self.inv[ch]));
                let (offset, slope) = match self.batch {
                    true => (total[ch].0 / count, total[ch].1 * inv * inv / count),
                    false => (0.0, 0.0),
                };
                rows::norm_grad(
                    dz,
                    x,
                    mean,
                    ws[ch] * self.inv[ch],
                    offset as f32,
                    slope as f32,
                );
            });
        let dw: Vec<f32> = total
            .iter()
            .zip(&self.inv)
            .map(|(s, inv)| (s.1 * f64::from(*inv)) as f32)
            .collect();
        let db: Vec<f32> = total.iter().map(|s| s.0 as f32).collect();
        let device = x.device();
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), device)?),
            Some(Tensor::from_vec(dw, c, device)?),
            Some(Tensor::from_vec(db, c, device)?),
        ))
    }
}
