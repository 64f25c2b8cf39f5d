//! A whole post-norm transformer layer as one operation:
//!
//! ```text
//! y = norm(x + drop(out(attention(q, k, v))))      q, k, v = maps of x, all with biases
//! z = last(y + drop(second(drop(gelu(first(y))))))
//! ```
//!
//! Its matrix products are those of all samples at once, shared by all threads: its weights are large, and
//! what a group of samples would give of their gradients is as large again (`block` is for the other
//! case). Between forward and backward pass it keeps 6 times the width and the hidden width a token,
//! or nothing: then the backward pass makes them again.
//!
//! Its weights are bound to it (`bound`): copying them into one tensor would cost as much as it saves.

mod backward;
mod forward;

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape as Dims, Tensor, bail};

use super::bound::{self, Bound};
use super::cpu::{Values, values};
use crate::kernels::scratch::Scratch;
use crate::rng::Stream;

/// Pairs of weight and bias: the maps to queries, keys and values, of the heads' result, and of the
/// feed-forward network, with the norm behind each part.
pub(crate) const PAIRS: usize = 8;
const Q: usize = 0;
const K: usize = 1;
const V: usize = 2;
const OUT: usize = 3;
const NORM: usize = 4;
const FIRST: usize = 5;
const SECOND: usize = 6;
const LAST: usize = 7;

/// Share and stream of a dropout; none in evaluation.
pub(crate) type Dropout = Option<(f32, Stream)>;

/// Shape of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Heads; divide the width.
    pub(crate) heads: usize,
    /// Epsilon of both norms.
    pub(crate) eps: f32,
    /// Dropout of attention's probabilities.
    pub(crate) attention: Dropout,
    /// Dropout of what attention gives.
    pub(crate) middle: Dropout,
    /// Dropout of the hidden layer after GELU.
    pub(crate) hidden: Dropout,
    /// Dropout of what the feed-forward network gives.
    pub(crate) output: Dropout,
}

/// What the backward pass needs; rows are tokens.
struct Kept {
    /// Queries, keys and values, [rows, width] each.
    qkv: [Scratch; 3],
    /// The heads' result, [rows, width].
    heads: Scratch,
    /// What the first norm is given, [rows, width].
    middle: Scratch,
    /// The hidden layer before GELU, [rows, hidden].
    hidden: Scratch,
    /// What the last norm is given, [rows, width].
    output: Scratch,
}

/// Arguments x [B, N, width] and its weights' token.
pub(crate) struct Layer {
    shape: Shape,
    /// Those of each pair, one after the other.
    weights: Bound,
    keep: bool,
    kept: Mutex<Option<Kept>>,
}

/// The layer on `x`; `keep` holds what the backward pass needs.
pub(crate) fn layer(
    x: &Tensor,
    weights: [[&Tensor; 2]; PAIRS],
    shape: Shape,
    keep: bool,
) -> Result<Tensor> {
    let (weights, token) = Bound::new(bound::token()?, weights.as_flattened())?;
    let layer = Layer {
        shape,
        weights,
        keep,
        kept: Mutex::default(),
    };
    layer.check(x)?;
    x.contiguous()?.apply_op2(&token, layer)
}

/// The weights' values and the sizes of a batch.
struct Batch<'a> {
    shape: Shape,
    weights: [[Values<'a>; 2]; PAIRS],
    samples: usize,
    tokens: usize,
    width: usize,
    hidden: usize,
}

impl Batch<'_> {
    fn rows(&self) -> usize {
        self.samples * self.tokens
    }

    fn head(&self) -> usize {
        self.width / self.shape.heads
    }
}

impl Layer {
    /// Weight and bias of a pair.
    fn pair(&self, pair: usize) -> Result<[&Tensor; 2]> {
        match self.weights.tensors().get(2 * pair..2 * pair + 2) {
            Some([weight, bias]) => Ok([weight, bias]),
            _ => bail!("a transformer layer has {PAIRS} pairs of weights"),
        }
    }

    fn check(&self, x: &Tensor) -> Result<()> {
        let (_, _, d) = x.dims3()?;
        let hidden = self.pair(FIRST)?[0].dim(0)?;
        let maps = [
            (Q, d, d),
            (K, d, d),
            (V, d, d),
            (OUT, d, d),
            (FIRST, hidden, d),
            (SECOND, d, hidden),
        ];
        let mut fits = true;
        for (pair, n_out, n_in) in maps {
            let [w, b] = self.pair(pair)?;
            fits &= w.dims() == [n_out, n_in] && b.dims() == [n_out];
        }
        for pair in [NORM, LAST] {
            fits &= self.pair(pair)?.iter().all(|t| t.dims() == [d]);
        }
        let heads = self.shape.heads;
        if !fits || heads == 0 || d % heads != 0 || x.elem_count() == 0 {
            bail!("transformer layer of {heads} heads on {:?}", x.dims());
        }
        Ok(())
    }

    fn batch(&self, x: &[usize]) -> Result<Batch<'_>> {
        let &[samples, tokens, width] = x else {
            bail!("transformer layer on {x:?}");
        };
        let mut values = self.weights.values()?.into_iter();
        let mut weights = Vec::with_capacity(PAIRS);
        while let (Some(w), Some(b)) = (values.next(), values.next()) {
            weights.push([w, b]);
        }
        let Ok(weights) = <[_; PAIRS]>::try_from(weights) else {
            bail!("a transformer layer has {PAIRS} pairs of weights");
        };
        Ok(Batch {
            shape: self.shape,
            weights,
            samples,
            tokens,
            width,
            hidden: self.pair(FIRST)?[0].dim(0)?,
        })
    }
}

impl CustomOp2 for Layer {
    fn name(&self) -> &'static str {
        "transformer-layer"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Dims)> {
        let x = values(x, lx)?;
        let mut out = vec![0.0; x.len()];
        let kept = self.batch(lx.dims())?.forward(x, Some(&mut out));
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = self.keep.then_some(kept);
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        token: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (xs, gs) = (Values::of(x)?, Values::of(&grad)?);
        let batch = self.batch(x.dims())?;
        let kept = self.kept.lock();
        let kept = kept.unwrap_or_else(PoisonError::into_inner).take();
        let kept = kept.unwrap_or_else(|| batch.forward(&xs, None));
        let (dx, gradients) = batch.backward(&xs, &gs, kept);
        self.weights.leave(gradients.into_iter().flatten());
        let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
        Ok((Some(dx), Some(token.zeros_like()?)))
    }
}
