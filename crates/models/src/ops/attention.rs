//! Attention of all heads in one operation; probabilities are recomputed in the backward pass,
//! so no [N, N] matrix outlives its head. Samples of a batch may be shorter than its N.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{Values, values};
use crate::kernels::gemm::{Mat, matmul};
use crate::kernels::vector;

/// Arguments q, k, v [B, H, N, D].
pub(super) struct Attention {
    pub(super) scale: f32,
    /// Tokens of each sample; what follows them is neither read nor written (zeros).
    pub(super) lengths: Option<Arc<[usize]>>,
}

impl Attention {
    /// Tokens of the sample that head `i` of the batch belongs to.
    fn length(&self, i: usize, heads: usize, n: usize) -> usize {
        self.lengths
            .as_ref()
            .and_then(|l| l.get(i / heads.max(1)))
            .map_or(n, |l| (*l).min(n))
    }

    /// softmax(q·kᵀ·scale) of one head into `p` [N, N].
    fn probabilities(&self, q: &[f32], k: &[f32], n: usize, d: usize, p: &mut [f32]) {
        matmul(
            (n, d, n),
            self.scale,
            Mat::new(q, d, 1),
            Mat::new(k, d, 1).t(),
            false,
            p,
            n,
        );
        p.chunks_exact_mut(n).for_each(vector::softmax);
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        lq: &Layout,
        k: &CpuStorage,
        lk: &Layout,
        v: &CpuStorage,
        lv: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, h, n, d) = lq.shape().dims4()?;
        if lk.dims() != lq.dims() || lv.dims() != lq.dims() || n * d == 0 {
            bail!(
                "attention of shapes {:?}, {:?} and {:?}",
                lq.dims(),
                lk.dims(),
                lv.dims()
            );
        }
        let (q, k, v) = (values(q, lq)?, values(k, lk)?, values(v, lv)?);
        let mut out = vec![0.0; q.len()];
        let heads = q
            .par_chunks(n * d)
            .zip(k.par_chunks(n * d))
            .zip(v.par_chunks(n * d));
        out.par_chunks_mut(n * d)
            .zip(heads)
            .enumerate()
            .for_each_init(
                || vec![0.0; n * n],
                |p, (i, (out, ((q, k), v)))| {
                    let n = self.length(i, h, n);
                    let p = &mut p[..n * n];
                    if n == 0 {
                        return;
                    }
                    self.probabilities(q, k, n, d, p);
                    matmul(
                        (n, n, d),
                        1.0,
                        Mat::new(p, n, 1),
                        Mat::new(v, d, 1),
                        false,
                        out,
                        d,
                    );
                },
            );
        Ok((CpuStorage::F32(out), lq.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (_, h, n, d) = q.dims4()?;
        let grad = grad.contiguous()?;
        let (qs, ks, vs, g) = (
            Values::of(q)?,
            Values::of(k)?,
            Values::of(v)?,
            Values::of(&grad)?,
        );
        let (mut dq, mut dk, mut dv) = (
            vec![0.0; qs.len()],
            vec![0.0; qs.len()],
            vec![0.0; qs.len()],
        );
        let size = n * d;
        let arguments = qs
            .par_chunks(size)
            .zip(ks.par_chunks(size))
            .zip(vs.par_chunks(size))
            .zip(g.par_chunks(size));
        let results = dq
            .par_chunks_mut(size)
            .zip(dk.par_chunks_mut(size))
            .zip(dv.par_chunks_mut(size));
        results.zip(arguments).enumerate().for_each_init(
            || (vec![0.0; n * n], vec![0.0; n * n], vec![0.0; n]),
            |(p, dp, row), (i, (((dq, dk), dv), (((q, k), v), g)))| {
                let n = self.length(i, h, n);
                let (p, dp, row) = (&mut p[..n * n], &mut dp[..n * n], &mut row[..n]);
                if n == 0 {
                    return;
                }
                self.probabilities(q, k, n, d, p);
                let g = Mat::new(g, d, 1);
                matmul((n, n, d), 1.0, Mat::new(p, n, 1).t(), g, false, dv, d);
                matmul((n, d, n), 1.0, g, Mat::new(v, d, 1).t(), false, dp, n);
                for (dp, p) in dp.chunks_exact_mut(n).zip(p.chunks_exact(n)) {
                    row.copy_from_slice(dp);
                    vector::softmax_grad(p, row, dp);
                }
                let dp = Mat::new(dp, n, 1);
                matmul((n, n, d), self.scale, dp, Mat::new(k, d, 1), false, dq, d);
                matmul(
                    (n, n, d),
                    self.scale,
                    dp.t(),
                    Mat::new(q, d, 1),
                    false,
                    dk,
                    d,
                );
            },
        );
        let tensor = |values: Vec<f32>| Tensor::from_vec(values, q.shape(), q.device()).map(Some);
        Ok((tensor(dq)?, tensor(dk)?, tensor(dv)?))
    }
}
