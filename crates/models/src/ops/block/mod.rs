//! Whole pre-norm transformer blocks, one after the other, as one operation ([`blocks`]). Each is
//!
//! ```text
//! y = x + s₁·γ₁·(proj(attention(norm(q), norm(k), v)) + b)      q, k, v = qkv(norm₁(x)) + bias
//! z = y + s₂·γ₂·(fc₂(gelu(fc₁(norm₂(y)))))
//! ```
//!
//! with s the drop-path factor of a sample. Between forward and backward pass it keeps q, k, v, the
//! heads' result, y and the hidden layer before GELU, 9 times the width and twice the hidden width
//! a token at most, or nothing: then the backward pass makes them again. All else is
//! recomputed where it is needed, so nothing of the size tokens × tokens outlives a head, and the kept
//! values of a block are freed as the backward pass leaves it.
//!
//! Its weights are bound to it (`bound`). Samples are worked through in groups whose number does not
//! depend on the threads, and sums are taken in order: the same bits for any number of threads.

mod backward;
mod forward;
mod slots;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape as Dims, Tensor, bail};
use rayon::prelude::*;

use self::slots::{Slots, Weights};
use super::bound::{self, Bound};
use super::cpu::{Values, chunk, values};
use crate::kernels::scratch::Scratch;

/// Shape of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shape {
    /// Width of a token.
    pub(crate) width: usize,
    /// Heads; divide the width.
    pub(crate) heads: usize,
    /// Width of the hidden layer.
    pub(crate) hidden: usize,
    /// Biases of queries and values.
    pub(crate) qv_bias: bool,
    /// Layer norms of queries and keys.
    pub(crate) qk_norm: bool,
    /// Layer scales.
    pub(crate) scaled: bool,
    /// Epsilon of all layer norms.
    pub(crate) eps: f32,
}

impl Shape {
    fn head(&self) -> usize {
        self.width / self.heads
    }
}

/// What a group of samples keeps for its backward pass; rows are tokens.
#[derive(Debug)]
struct Kept {
    /// Queries, keys and values before their norms, [rows, 3·width].
    qkv: Scratch,
    /// The heads' result, [rows, width].
    heads: Scratch,
    /// Tokens after attention, [rows, width].
    middle: Scratch,
    /// The hidden layer before GELU, [rows, hidden].
    hidden: Scratch,
    /// Moments of both norms, [rows, 2] each.
    norms: [Scratch; 2],
    /// Moments of queries and of keys, [rows, heads, 2] each, where they are normed.
    qk_norms: [Scratch; 2],
}

/// Rows that pay for packing the weights, and for adding a group's gradients to the others'.
const ROWS: usize = 512;
/// Groups of a batch that is large enough, at least.
const GROUPS: usize = 8;

/// Samples of a group.
fn group_size(batch: usize, tokens: usize) -> usize {
    let wanted = ROWS.div_ceil(tokens.max(1));
    chunk(batch).max(wanted.min(batch.div_ceil(GROUPS)))
}

/// Drop-path factors of each sample: after attention, and after the feed-forward network.
pub(crate) type Factors = Arc<[[f32; 2]]>;

/// What a block is made of.
pub(crate) struct Given<'a> {
    pub(crate) shape: Shape,
    /// In the order of [`Slots`].
    pub(crate) weights: Vec<&'a Tensor>,
    /// None: all 1.
    pub(crate) factors: Option<Factors>,
    /// Keep what the backward pass needs; else it is made again.
    pub(crate) keep: bool,
}

/// One of the blocks.
struct Block {
    shape: Shape,
    weights: Bound,
    /// Tokens of each sample, where there is padding behind them.
    lengths: Option<Arc<[usize]>>,
    factors: Option<Factors>,
    keep: bool,
    /// One a group of samples, filled by the forward pass and taken by the backward pass.
    kept: Mutex<Vec<Option<Kept>>>,
}

/// One group of samples.
struct Group<'a> {
    shape: &'a Shape,
    slots: &'a Slots,
    weights: &'a Weights<'a>,
    /// Tokens of a sample, padding included.
    tokens: usize,
    /// Tokens of each sample that are no padding.
    lengths: Vec<usize>,
    factors: Vec<[f32; 2]>,
}

impl Group<'_> {
    fn rows(&self) -> usize {
        self.tokens * self.lengths.len()
    }

    /// Room for a matrix of `width` values a row that is written row by row, but for those of padding.
    fn unpadded(&self, width: usize) -> Scratch {
        if self.lengths.iter().all(|l| *l == self.tokens) {
            return Scratch::any(self.rows() * width);
        }
        Scratch::zeros(self.rows() * width)
    }

    fn weight(&self, slot: &Range<usize>) -> &[f32] {
        self.weights.of(slot)
    }
}

impl Block {
    /// The samples of group `i`, each of `n` tokens.
    fn group<'a>(
        &'a self,
        slots: &'a Slots,
        weights: &'a Weights<'a>,
        samples: Range<usize>,
        n: usize,
    ) -> Group<'a> {
        let length = |i: usize| self.lengths.as_ref().map_or(n, |l| l[i].min(n));
        let factor = |i: usize| self.factors.as_ref().map_or([1.0; 2], |f| f[i]);
        Group {
            shape: &self.shape,
            slots,
            weights,
            tokens: n,
            lengths: samples.clone().map(length).collect(),
            factors: samples.map(factor).collect(),
        }
    }

    /// The weights' values, of a block that fits `b` samples of tokens of `d` values.
    fn checked(&self, b: usize, d: usize, slots: &Slots) -> Result<Weights<'_>> {
        let s = &self.shape;
        let weights = Weights::new(slots, self.weights.values()?);
        let fits = d == s.width && s.heads > 0 && d.is_multiple_of(s.heads);
        let Some(weights) = weights.filter(|_| fits) else {
            bail!("block of {s:?} with tokens of {d} values, or with other weights");
        };
        let fits = |n: Option<usize>| n.is_none_or(|n| n == b);
        if !fits(self.lengths.as_ref().map(|l| l.len()))
            || !fits(self.factors.as_ref().map(|f| f.len()))
        {
            bail!("block of {b} samples with lengths or factors of another number");
        }
        Ok(weights)
    }

    /// out ← the block on `x`, both [b, n, d].
    fn forward(&self, x: &[f32], [b, n, d]: [usize; 3], out: &mut [f32]) -> Result<()> {
        let slots = Slots::of(&self.shape);
        let weights = self.checked(b, d, &slots)?;
        let size = group_size(b, n);
        let kept: Vec<Option<Kept>> = out
            .par_chunks_mut(size * n * d)
            .zip(x.par_chunks(size * n * d))
            .enumerate()
            .map(|(i, (out, x))| {
                let samples = i * size..i * size + x.len() / (n * d);
                let group = self.group(&slots, &weights, samples, n);
                let kept = group.forward(x, Some(out));
                self.keep.then_some(kept)
            })
            .collect();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(())
    }

    /// The gradient of `x` from that of the result, `g`; leaves those of the weights.
    fn backward(&self, x: &[f32], g: &[f32], [b, n, d]: [usize; 3]) -> Result<Scratch> {
        let slots = Slots::of(&self.shape);
        let weights = self.checked(b, d, &slots)?;
        let size = group_size(b, n);
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        let mut kept: Vec<Option<Kept>> = kept;
        kept.resize_with(b.div_ceil(size), || None);
        let mut dx = Scratch::any(x.len());
        let parts: Vec<Scratch> = dx
            .par_chunks_mut(size * n * d)
            .zip(x.par_chunks(size * n * d))
            .zip(g.par_chunks(size * n * d))
            .zip(kept)
            .enumerate()
            .map(|(i, (((dx, x), g), kept))| {
                let samples = i * size..i * size + x.len() / (n * d);
                let group = self.group(&slots, &weights, samples, n);
                let kept = kept.unwrap_or_else(|| group.forward(x, None));
                group.backward(x, g, kept, dx)
            })
            .collect();
        let mut dw = slots.add_up(&parts);
        slots.scale_back(&self.shape, &weights, &mut dw);
        self.weights.leave(dw);
        Ok(dx)
    }
}

/// Arguments x [B, N, width] and the token of all weights.
struct Blocks {
    blocks: Vec<Block>,
    /// Whether there can be a backward pass.
    tracked: bool,
    /// What each block but the first was given, where the backward pass needs it.
    inputs: Mutex<Vec<Scratch>>,
}

/// `x` through all blocks; with `lengths`, sample i has so many tokens and padding behind them.
pub(crate) fn blocks(
    x: &Tensor,
    given: Vec<Given<'_>>,
    lengths: Option<&[usize]>,
) -> Result<Tensor> {
    if given.is_empty() {
        return Ok(x.clone());
    }
    let lengths: Option<Arc<[usize]>> = lengths.map(Into::into);
    let mut last = bound::token()?;
    let mut blocks = Vec::with_capacity(given.len());
    for one in given {
        let (weights, token) = Bound::new(last, &one.weights)?;
        last = token;
        blocks.push(Block {
            shape: one.shape,
            weights,
            lengths: lengths.clone(),
            factors: one.factors,
            keep: one.keep,
            kept: Mutex::default(),
        });
    }
    let all = Blocks {
        blocks,
        tracked: x.track_op() || last.track_op(),
        inputs: Mutex::default(),
    };
    x.contiguous()?.apply_op2(&last, all)
}

impl CustomOp2 for Blocks {
    fn name(&self) -> &'static str {
        "transformer-blocks"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Dims)> {
        let size = lx.shape().dims3()?.into();
        let x = values(x, lx)?;
        let Some((last, before)) = self.blocks.split_last() else {
            bail!("no transformer block");
        };
        let mut made: Vec<Scratch> = Vec::with_capacity(before.len());
        for block in before {
            let mut out = Scratch::any(x.len());
            block.forward(made.last().map_or(x, |last| last), size, &mut out)?;
            if !self.tracked {
                made.clear();
            }
            made.push(out);
        }
        let mut out = vec![0.0; x.len()];
        last.forward(made.last().map_or(x, |last| last), size, &mut out)?;
        if !self.tracked {
            made.clear();
        }
        *self.inputs.lock().unwrap_or_else(PoisonError::into_inner) = made;
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        token: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let size = x.dims3()?.into();
        let grad = grad.contiguous()?;
        let (xs, gs) = (Values::of(x)?, Values::of(&grad)?);
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dx: Option<Scratch> = None;
        for (i, block) in self.blocks.iter().enumerate().rev() {
            let given: &[f32] = match i.checked_sub(1) {
                None => &xs,
                Some(i) => &inputs[i],
            };
            dx = Some(block.backward(given, dx.as_deref().unwrap_or(&gs), size)?);
        }
        let dx = dx.map(|dx| Tensor::from_slice(&dx, x.shape(), x.device()));
        Ok((dx.transpose()?, Some(token.zeros_like()?)))
    }
}
