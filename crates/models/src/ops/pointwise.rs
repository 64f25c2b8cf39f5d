//! Kernels without weights: GELU, ReLU, softmax, dropout and the maximum of three.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::cpu::{Values, values};
use crate::kernels::vector;
use crate::rng::Stream;

/// Elements one task works through.
const CHUNK: usize = 16 * 1024;

/// GELU.
pub(super) struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .for_each(|(o, x)| vector::gelu(x, o));
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (xs, g) = (Values::of(x)?, Values::of(&grad)?);
        let mut out = vec![0.0; xs.len()];
        out.par_chunks_mut(CHUNK)
            .zip(xs.par_chunks(CHUNK))
            .zip(g.par_chunks(CHUNK))
            .for_each(|((o, x), g)| vector::gelu_grad(x, g, o));
        Tensor::from_vec(out, x.shape(), x.device()).map(Some)
    }
}

/// Softmax over the last dimension.
pub(super) struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = values(storage, layout)?.to_vec();
        let n = layout.dims().last().copied().unwrap_or(1).max(1);
        out.par_chunks_mut(n)
            .with_min_len(CHUNK.div_ceil(n))
            .for_each(vector::softmax);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (ys, g) = (Values::of(y)?, Values::of(&grad)?);
        let n = y.dims().last().copied().unwrap_or(1).max(1);
        let mut out = vec![0.0; ys.len()];
        out.par_chunks_mut(n)
            .zip(ys.par_chunks(n))
            .zip(g.par_chunks(n))
            .with_min_len(CHUNK.div_ceil(n))
            .for_each(|((o, y), g)| vector::softmax_grad(y, g, o));
        Tensor::from_vec(out, y.shape(), y.device()).map(Some)
    }
}

/// Dropout with a mask that is recomputed, not stored.
pub(super) struct Dropout {
    pub(super) p: f32,
    pub(super) stream: Stream,
}

impl Dropout {
    /// What `n` values are multiplied by.
    pub(super) fn mask(&self, n: usize) -> Vec<f32> {
        self.apply(&vec![1.0; n])
    }

    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        let chunks = out
            .par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .enumerate();
        chunks
            .for_each(|(c, (o, x))| vector::dropout(x, self.p, self.stream, (c * CHUNK) as u64, o));
        out
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((
            CpuStorage::F32(self.apply(values(storage, layout)?)),
            layout.shape().clone(),
        ))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let out = self.apply(&Values::of(&grad)?);
        Tensor::from_vec(out, x.shape(), x.device()).map(Some)
    }
}

/// ReLU, with slope zero at zero.
pub(super) struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .for_each(|(o, x)| vector::relu(x, o));
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (ys, g) = (Values::of(y)?, Values::of(&grad)?);
        let mut out = vec![0.0; ys.len()];
        out.par_chunks_mut(CHUNK)
            .zip(ys.par_chunks(CHUNK))
            .zip(g.par_chunks(CHUNK))
            .for_each(|((o, y), g)| vector::relu_grad(y, g, o));
        Tensor::from_vec(out, y.shape(), y.device()).map(Some)
    }
}

/// Maximum of each sample of the last dimension and its two neighbours.
pub(super) struct MaxPool3;

impl CustomOp1 for MaxPool3 {
    fn name(&self) -> &'static str {
        "max-pool-3"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let t = layout.dims().last().copied().unwrap_or(1).max(1);
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(t)
            .zip(x.par_chunks(t))
            .for_each(|(o, x)| vector::max3(x, o));
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (xs, g) = (Values::of(x)?, Values::of(&grad)?);
        let t = x.dims().last().copied().unwrap_or(1).max(1);
        let mut out = vec![0.0; xs.len()];
        out.par_chunks_mut(t)
            .zip(xs.par_chunks(t))
            .zip(g.par_chunks(t))
            .for_each(|((o, x), g)| vector::max3_grad(x, g, o));
        Tensor::from_vec(out, x.shape(), x.device()).map(Some)
    }
}
