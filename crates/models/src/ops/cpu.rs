//! The door between tensors and slices, shared by all CPU kernels.

use std::ops::{Deref, Range};

use rayon::prelude::*;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, StorageRef, Tensor, bail};

use crate::compute::Compute;

/// Whether the CPU kernels can take these tensors, f32 on the CPU, and may be used now.
pub(crate) fn has_kernel(tensors: &[&Tensor]) -> bool {
    Compute::now().kernels()
        && tensors
            .iter()
            .all(|t| t.device().is_cpu() && t.dtype() == DType::F32)
}

/// The values of an argument of a custom operation; it must be contiguous f32.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(v), Some((start, end))) if end <= v.len() => Ok(&v[start..end]),
        _ => bail!("kernel wants a contiguous f32 tensor on the cpu"),
    }
}

/// Borrowed values of a tensor.
pub(crate) struct Values<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl<'a> Values<'a> {
    /// Values of a contiguous f32 tensor on the CPU.
    pub(crate) fn of(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let range = match (&*storage, layout.contiguous_offsets()) {
            (Storage::Cpu(CpuStorage::F32(v)), Some((start, end))) if end <= v.len() => start..end,
            _ => bail!("kernel wants a contiguous f32 tensor on the cpu"),
        };
        Ok(Self { storage, range })
    }
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(v)) => &v[self.range.clone()],
            // `of` let no other storage through.
            _ => &[],
        }
    }
}

/// Samples of a batch that one task works through when it sums gradients of shared weights. The
/// partial sums are added in order, so the size must not depend on the number of threads.
pub(crate) fn chunk(batch: usize) -> usize {
    batch.div_ceil(16).max(1)
}

/// Adds vectors of `n` values in the order given, whatever the number of threads.
pub(crate) fn add_up<P: AsRef<[f32]> + Sync>(parts: &[P], n: usize) -> Vec<f32> {
    const AT_ONCE: usize = 1 << 14;
    let Some((first, rest)) = parts.split_first() else {
        return vec![0.0; n];
    };
    let mut total = first.as_ref().to_vec();
    total
        .par_chunks_mut(AT_ONCE)
        .enumerate()
        .for_each(|(i, total)| {
            for part in rest {
                let part = part.as_ref().get(i * AT_ONCE..).unwrap_or_default();
                for (t, p) in total.iter_mut().zip(part) {
                    *t += p;
                }
            }
        });
    total
}
