//! Fused layer norm with its backward pass.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::cpu::{Values, add_up, values};
use crate::kernels::rows;

/// Elements one task works through; partial weight gradients are one a task.
const CHUNK: usize = 16 * 1024;

/// Layer norm of the last dimension: arguments x [..., D], weight [D], bias [D].
pub(super) struct LayerNorm {
    pub(super) eps: f32,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
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
        let (x, w, b) = (values(x, lx)?, values(w, lw)?, values(b, lb)?);
        let d = w.len().max(1);
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(d)
            .zip(x.par_chunks(d))
            .with_min_len(CHUNK.div_ceil(d))
            .for_each(|(o, x)| rows::layer_norm(x, w, b, self.eps, o));
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _b: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (xs, ws, g) = (Values::of(x)?, Values::of(w)?, Values::of(&grad)?);
        let d = ws.len().max(1);
        let many = CHUNK.div_ceil(d) * d;
        let mut dx = vec![0.0; xs.len()];
        let (xs, ws, g): (&[f32], &[f32], &[f32]) = (&xs, &ws, &g);
        let (dw, db): (Vec<_>, Vec<_>) = dx
            .par_chunks_mut(many)
            .zip(xs.par_chunks(many))
            .zip(g.par_chunks(many))
            .map(|((dx, x), g)| {
                let (mut dw, mut db) = (vec![0.0; d], vec![0.0; d]);
                for ((dx, x), g) in dx.chunks_mut(d).zip(x.chunks(d)).zip(g.chunks(d)) {
                    rows::layer_norm_grad(x, ws, g, self.eps, dx, &mut dw, &mut db);
                }
                (dw, db)
            })
            .unzip();
        let device = x.device();
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), device)?),
            Some(Tensor::from_vec(add_up(&dw, d), d, device)?),
            Some(Tensor::from_vec(add_up(&db, d), d, device)?),
        ))
    }
}
