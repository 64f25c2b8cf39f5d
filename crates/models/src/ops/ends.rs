//! What stands before and behind the transformer blocks: patches become rows of values, embeddings and a
//! class token are put to them, and tokens are averaged. Each is one operation, because for every operation
//! that tokens go through a graph adds their whole gradient to zeros.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{Values, values};
use crate::kernels::tokens::add_columns;

/// Elements one task works through.
const CHUNK: usize = 16 * 1024;
/// Samples whose sum is taken before it is added to the others': rounding does not grow with the batch.
const BLOCK: usize = 16;

/// Argument [..., A, C]; gives [..., C·A], the last two dimensions in the other order as one.
pub(super) struct Turn;

/// Each `rows` × `columns` matrix of `x`, transposed.
fn turned(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let size = (rows * columns).max(1);
    let mut out = vec![0.0; x.len()];
    out.par_chunks_exact_mut(size)
        .zip(x.par_chunks_exact(size))
        .with_min_len(CHUNK.div_ceil(size))
        .for_each(|(out, x)| {
            for (i, row) in x.chunks_exact(columns).enumerate() {
                for (o, x) in out[i..].iter_mut().step_by(rows).zip(row) {
                    *o = *x;
                }
            }
        });
    out
}

impl CustomOp1 for Turn {
    fn name(&self) -> &'static str {
        "turn"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let [before @ .., rows, columns] = layout.dims() else {
            bail!("nothing to turn in {:?}", layout.dims());
        };
        let out = turned(values(x, layout)?, *rows, *columns);
        let dims = [before, &[rows * columns]].concat();
        Ok((CpuStorage::F32(out), dims.into()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let &[.., rows, columns] = x.dims() else {
            bail!("nothing to turn in {:?}", x.dims());
        };
        let out = turned(&Values::of(&grad)?, columns, rows);
        Tensor::from_vec(out, x.shape(), x.device()).map(Some)
    }
}

/// Arguments tokens [B, N, D], what is added to them [B or 1, N, D], and the class token [B or 1, 1, D];
/// gives [B, 1 + N, D].
pub(super) struct ClassToken;

/// Sum over samples of the values `at..at + n` of each, `stride` apart.
fn over_samples(g: &[f32], stride: usize, at: usize, n: usize) -> Vec<f32> {
    let mut out = vec![0.0; n];
    out.par_chunks_mut(CHUNK).enumerate().for_each(|(i, out)| {
        let first = at + i * CHUNK;
        let mut part = vec![0.0; out.len()];
        for block in g.chunks(BLOCK * stride) {
            part.fill(0.0);
            for sample in block.chunks_exact(stride) {
                for (p, g) in part.iter_mut().zip(&sample[first..]) {
                    *p += g;
                }
            }
            for (o, p) in out.iter_mut().zip(&part) {
                *o += p;
            }
        }
    });
    out
}

/// Values `at..at + n` of each sample, `stride` apart.
fn of_samples(g: &[f32], stride: usize, at: usize, n: usize) -> Vec<f32> {
    let mut out = vec![0.0; g.len() / stride * n];
    out.par_chunks_exact_mut(n)
        .zip(g.par_chunks_exact(stride))
        .for_each(|(out, g)| out.copy_from_slice(&g[at..at + n]));
    out
}

impl CustomOp3 for ClassToken {
    fn name(&self) -> &'static str {
        "class-token"
    }

    fn cpu_fwd(
        &self,
        tokens: &CpuStorage,
        lt: &Layout,
        added: &CpuStorage,
        la: &Layout,
        class: &CpuStorage,
        lc: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (b, n, d) = lt.shape().dims3()?;
        let fits = |l: &Layout, n: usize| [[b, n, d], [1, n, d]].iter().any(|s| l.dims() == s);
        if !fits(la, n) || !fits(lc, 1) || b * n * d == 0 {
            bail!(
                "class token {:?} and embedding {:?} of tokens [{b}, {n}, {d}]",
                lc.dims(),
                la.dims()
            );
        }
        let tokens = values(tokens, lt)?;
        let (added, class) = (values(added, la)?, values(class, lc)?);
        let mut out = vec![0.0; b * (1 + n) * d];
        out.par_chunks_exact_mut((1 + n) * d)
            .zip(tokens.par_chunks_exact(n * d))
            .enumerate()
            .for_each(|(i, (out, tokens))| {
                // One for all, or one each.
                let of = |all: &[f32], size: usize| (i * size) % all.len();
                let added = &added[of(added, n * d)..];
                let (first, rest) = out.split_at_mut(d);
                first.copy_from_slice(&class[of(class, d)..][..d]);
                for ((o, t), a) in rest.iter_mut().zip(tokens).zip(added) {
                    *o = t + a;
                }
            });
        Ok((CpuStorage::F32(out), (b, 1 + n, d).into()))
    }

    fn bwd(
        &self,
        tokens: &Tensor,
        added: &Tensor,
        class: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (b, n, d) = tokens.dims3()?;
        let g = Values::of(&grad)?;
        let of = |t: &Tensor, at: usize, n: usize| {
            let values = match t.dim(0)? {
                1 if b > 1 => over_samples(&g, grad.elem_count() / b, at, n),
                _ => of_samples(&g, grad.elem_count() / b, at, n),
            };
            Tensor::from_vec(values, t.shape(), t.device()).map(Some)
        };
        Ok((
            of(tokens, d, n * d)?,
            of(added, d, n * d)?,
            of(class, 0, d)?,
        ))
    }
}

/// Argument tokens [B, 1 + N, D], the class token first; gives the mean [B, D] of the others, or of the first
/// `lengths[i]` of them.
pub(super) struct Mean {
    pub(super) lengths: Option<Arc<[usize]>>,
}

impl Mean {
    /// Batch, patch tokens and width, and how many of sample `i` count.
    ///
    /// # Errors
    /// Where they do not fit one another.
    pub(super) fn sizes(
        &self,
        dims: &[usize],
    ) -> Result<([usize; 3], impl Fn(usize) -> usize + Sync)> {
        let lengths = self.lengths.as_deref();
        let &[b, all, d] = dims else {
            bail!("mean of tokens {dims:?}");
        };
        let n = all.saturating_sub(1);
        let fits = lengths.is_none_or(|l| l.len() == b && l.iter().all(|l| (1..=n).contains(l)));
        if !fits || b * n * d == 0 {
            bail!("mean of tokens {dims:?}, of each {lengths:?} behind a class token");
        }
        Ok(([b, n, d], move |i: usize| lengths.map_or(n, |l| l[i])))
    }
}

impl CustomOp1 for Mean {
    fn name(&self) -> &'static str {
        "mean-of-patches"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let ([b, n, d], length) = self.sizes(layout.dims())?;
        let mut out = vec![0.0; b * d];
        out.par_chunks_exact_mut(d)
            .zip(values(x, layout)?.par_chunks_exact((1 + n) * d))
            .enumerate()
            .for_each(|(i, (out, x))| {
                let count = length(i);
                add_columns(&x[d..(1 + count) * d], out);
                out.iter_mut().for_each(|o| *o /= count as f32);
            });
        Ok((CpuStorage::F32(out), (b, d).into()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let ([_, n, d], length) = self.sizes(x.dims())?;
        let mut out = vec![0.0; x.elem_count()];
        out.par_chunks_exact_mut((1 + n) * d)
            .zip(Values::of(&grad)?.par_chunks_exact(d))
            .enumerate()
            .for_each(|(i, (out, g))| {
                let count = length(i);
                for row in out[d..(1 + count) * d].chunks_exact_mut(d) {
                    for (o, g) in row.iter_mut().zip(g) {
                        *o = g / count as f32;
                    }
                }
            });
        Tensor::from_vec(out, x.shape(), x.device()).map(Some)
    }
}
