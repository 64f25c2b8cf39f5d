//! Attention of all heads in one operation; probabilities are recomputed in the backward pass,
//! so no [N, N] matrix outlives its head. Samples of a batch may be shorter than its N.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{Values, values};
use crate::kernels::heads::{Head, Part, Room, Target};

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

    /// Head `i` of the batch.
    fn head(&self, i: usize, heads: usize, n: usize, d: usize) -> Head {
        Head {
            width: d,
            tokens: self.length(i, heads, n),
            scale: self.scale,
            drop: None,
        }
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
                || Room::new(n, d),
                |room, (i, (out, ((q, k), v)))| {
                    let parts = [q, k, v].map(|data| Part { data, stride: d });
                    let out = Target {
                        data: out,
                        stride: d,
                    };
                    self.head(i, h, n, d).forward(parts, out, room);
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
            || Room::new(n, d),
            |room, (i, (((dq, dk), dv), (((q, k), v), g)))| {
                let parts = [q, k, v].map(|data| Part { data, stride: d });
                let g = Part { data: g, stride: d };
                let into = [dq, dk, dv].map(|data| Target { data, stride: d });
                self.head(i, h, n, d).backward(parts, g, into, room);
            },
        );
        let tensor = |values: Vec<f32>| Tensor::from_vec(values, q.shape(), q.device()).map(Some);
        Ok((tensor(dq)?, tensor(dk)?, tensor(dv)?))
    }
}
