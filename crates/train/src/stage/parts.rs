//! Cutting a batch, and adding up the gradients of its parts.

use std::ops::Range;

use candle_core::backprop::GradStore;
use mmpipe_models::{Batch, Params};

use crate::Result;
use crate::data::LoadedBatch;

/// A part of a batch that goes through the network at once.
pub(crate) struct Part {
    pub(crate) groups: Vec<Batch>,
    /// Rows of the batch.
    pub(crate) rows: Range<usize>,
}

/// The whole batch, or parts of at most `most` rows of one montage each.
pub(crate) fn parts(batch: &LoadedBatch, most: usize) -> Result<Vec<Part>> {
    let n = batch.targets.len();
    if most == 0 || n <= most {
        return Ok(vec![Part {
            groups: batch.groups.clone(),
            rows: 0..n,
        }]);
    }
    let mut parts = Vec::new();
    let mut first = 0;
    for group in &batch.groups {
        for (rows, part) in slices(group, most)? {
            parts.push(Part {
                groups: vec![part],
                rows: first + rows.start..first + rows.end,
            });
        }
        first += group.dims()?.0;
    }
    Ok(parts)
}

/// A group in slices of at most `most` rows; 0 = whole.
pub(crate) fn slices(group: &Batch, most: usize) -> Result<Vec<(Range<usize>, Batch)>> {
    let (rows, ..) = group.dims()?;
    if most == 0 || rows <= most {
        return Ok(vec![(0..rows, group.clone())]);
    }
    let mut slices = Vec::with_capacity(rows.div_ceil(most));
    for start in (0..rows).step_by(most) {
        let len = most.min(rows - start);
        slices.push((start..start + len, group.rows(start, len)?));
    }
    Ok(slices)
}

/// Sum of two gradients.
pub(super) fn add(mut all: GradStore, mut new: GradStore, params: &Params) -> Result<GradStore> {
    for p in params.trainable() {
        let var = p.var.as_tensor();
        let sum = match (all.remove(var), new.remove(var)) {
            (Some(a), Some(b)) => (a + b)?,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => continue,
        };
        all.insert(var, sum);
    }
    Ok(all)
}
