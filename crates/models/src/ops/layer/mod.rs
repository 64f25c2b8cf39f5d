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
//! An operation has at most three arguments, and copying the weights into one would cost as much as it
//! saves. So the operation reads its weights where they are, and they are bound to it by a chain of
//! [`Binding`]s: each takes two weights and the one before it and gives a token, the last of which is an
//! argument of the layer. In the backward pass the layer comes first and leaves the gradients of all its
//! weights; each binding hands over those of its two.

mod backward;
mod forward;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape as Dims, Tensor, bail};

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

/// Gradients of each pair, between the layer's backward pass and that of the pair's binding.
type Gradients = Mutex<[Option<[Vec<f32>; 2]>; PAIRS]>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Arguments: the token before it, a weight and a bias; gives the next token.
struct Binding {
    pair: usize,
    gradients: Arc<Gradients>,
}

impl CustomOp3 for Binding {
    fn name(&self) -> &'static str {
        "layer-weights"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Dims)> {
        Ok((CpuStorage::F32(vec![0.0]), Dims::from(1)))
    }

    fn bwd(
        &self,
        token: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _res: &Tensor,
        _grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some([dw, db]) = locked(&self.gradients)[self.pair].take() else {
            bail!("a transformer layer left no gradient for its weights");
        };
        Ok((
            Some(token.zeros_like()?),
            Some(Tensor::from_vec(dw, weight.shape(), weight.device())?),
            Some(Tensor::from_vec(db, bias.shape(), bias.device())?),
        ))
    }
}

/// Arguments x [B, N, width] and the last binding's token.
pub(crate) struct Layer {
    shape: Shape,
    weights: [[Tensor; 2]; PAIRS],
    keep: bool,
    kept: Mutex<Option<Kept>>,
    gradients: Arc<Gradients>,
}

/// The layer on `x`; `keep` holds what the backward pass needs.
pub(crate) fn layer(
    x: &Tensor,
    weights: [[&Tensor; 2]; PAIRS],
    shape: Shape,
    keep: bool,
) -> Result<Tensor> {
    let gradients = Arc::new(Gradients::default());
    let mut token = Tensor::zeros(1, x.dtype(), x.device())?;
    let mut bound = Vec::with_capacity(PAIRS);
    for (pair, [weight, bias]) in weights.into_iter().enumerate() {
        let (weight, bias) = (weight.contiguous()?, bias.contiguous()?);
        if weight.track_op() || bias.track_op() {
            let gradients = gradients.clone();
            token = token.apply_op3(&weight, &bias, Binding { pair, gradients })?;
        }
        bound.push([weight.detach(), bias.detach()]);
    }
    let Ok(weights) = <[_; PAIRS]>::try_from(bound) else {
        bail!("a transformer layer has {PAIRS} pairs of weights");
    };
    let layer = Layer {
        shape,
        weights,
        keep,
        kept: Mutex::default(),
        gradients,
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
    fn check(&self, x: &Tensor) -> Result<()> {
        let (_, _, d) = x.dims3()?;
        let hidden = self.weights[FIRST][0].dim(0)?;
        let maps = [
            (Q, d, d),
            (K, d, d),
            (V, d, d),
            (OUT, d, d),
            (FIRST, hidden, d),
            (SECOND, d, hidden),
        ];
        let fits = maps.iter().all(|&(pair, n_out, n_in)| {
            let [w, b] = &self.weights[pair];
            w.dims() == [n_out, n_in] && b.dims() == [n_out]
        });
        let norms = [NORM, LAST].map(|pair| self.weights[pair].each_ref().map(|t| t.dims() == [d]));
        let heads = self.shape.heads;
        if !fits || norms != [[true; 2]; 2] || heads == 0 || d % heads != 0 || x.elem_count() == 0 {
            bail!("transformer layer of {heads} heads on {:?}", x.dims());
        }
        Ok(())
    }

    fn batch(&self, x: &[usize]) -> Result<Batch<'_>> {
        let &[samples, tokens, width] = x else {
            bail!("transformer layer on {x:?}");
        };
        let mut weights = Vec::with_capacity(PAIRS);
        for [w, b] in &self.weights {
            weights.push([Values::of(w)?, Values::of(b)?]);
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
            hidden: self.weights[FIRST][0].dim(0)?,
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
        *locked(&self.kept) = self.keep.then_some(kept);
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
        let kept = locked(&self.kept).take();
        let kept = kept.unwrap_or_else(|| batch.forward(&xs, None));
        let (dx, gradients) = batch.backward(&xs, &gs, kept);
        *locked(&self.gradients) = gradients.map(Some);
        let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
        Ok((Some(dx), Some(token.zeros_like()?)))
    }
}
