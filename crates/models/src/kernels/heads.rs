//! Attention of one head of one sample, forward and backward. Probabilities are made for some queries at
//! a time, so that what they give stays in the cache, and made again in the backward pass.

use multiversion::{multiversion, target::target_cfg_f};

use super::gemm::{Mat, matmul};
use super::scratch::Scratch;
use super::vector::{exp, mul_add};
use crate::rng::Stream;

/// Queries that are held against all keys at once.
const QUERIES: usize = 64;

/// Sizes of a head, and what becomes of its probabilities.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Values of a query.
    pub(crate) width: usize,
    /// Tokens, those of padding not counted.
    pub(crate) tokens: usize,
    /// What products of queries and keys are multiplied by.
    pub(crate) scale: f32,
    /// Dropout of the probabilities.
    pub(crate) drop: Option<Dropout>,
}

/// Dropout of probabilities: that of query i, key j is draw number `first` + i·`row` + j.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout {
    pub(crate) share: f32,
    pub(crate) stream: Stream,
    pub(crate) first: u64,
    pub(crate) row: u64,
}

impl Dropout {
    /// `x` [keys, queries from `from` on] after dropout.
    fn apply(&self, x: &mut [f32], from: usize, queries: usize) {
        let scale = 1.0 / (1.0 - self.share);
        for (j, row) in (0..).zip(x.chunks_exact_mut(queries)) {
            for (i, x) in (from as u64..).zip(row) {
                let draw = self.stream.uniform(self.first + i * self.row + j);
                *x = if draw < self.share { 0.0 } else { *x * scale };
            }
        }
    }
}

/// Queries, keys, values or gradients of a head: rows of `data` that are `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
}

impl<'a> Part<'a> {
    fn from(self, row: usize) -> Mat<'a> {
        Mat::new(&self.data[row * self.stride..], self.stride, 1)
    }
}

/// Where the rows of a result go: as wide as a head, `stride` apart.
pub(crate) struct Target<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) stride: usize,
}

/// Room for probabilities and results, of any head of at most so many tokens and values.
pub(crate) struct Room {
    p: Scratch,
    other: Scratch,
    turned: Scratch,
}

impl Room {
    pub(crate) fn new(tokens: usize, width: usize) -> Self {
        let queries = QUERIES.min(tokens);
        Self {
            p: Scratch::any(queries * tokens),
            other: Scratch::any(queries * tokens),
            turned: Scratch::any(queries * width),
        }
    }
}

/// Rows of `out` from `from` on ← the `columns` columns of `x`.
fn turn(x: &[f32], columns: usize, from: usize, out: &mut Target<'_>) {
    for i in 0..columns {
        let row = &mut out.data[(from + i) * out.stride..];
        for (o, x) in row.iter_mut().zip(x[i..].iter().step_by(columns)) {
            *o = *x;
        }
    }
}

// Probabilities are [keys, queries]: then softmax goes down columns, many queries at once, and what is
// summed over keys has queries side by side, which a head of few values has not.
impl Head {
    /// softmax(q·kᵀ·scale) of queries `from..to` into `p`.
    fn probabilities(&self, q: Part<'_>, k: Part<'_>, (from, to): (usize, usize), p: &mut [f32]) {
        let queries = to - from;
        let size = (self.tokens, self.width, queries);
        matmul(
            size,
            self.scale,
            k.from(0),
            q.from(from).t(),
            false,
            p,
            queries,
        );
        softmax_columns(p, queries);
    }

    /// out ← softmax(q·kᵀ·scale)·v.
    pub(crate) fn forward(
        &self,
        [q, k, v]: [Part<'_>; 3],
        mut out: Target<'_>,
        Room { p, turned, .. }: &mut Room,
    ) {
        let n = self.tokens;
        for from in (0..n).step_by(QUERIES) {
            let to = (from + QUERIES).min(n);
            let queries = to - from;
            let p = &mut p[..queries * n];
            self.probabilities(q, k, (from, to), p);
            if let Some(drop) = &self.drop {
                drop.apply(p, from, queries);
            }
            let size = (self.width, n, queries);
            let turned = &mut turned[..self.width * queries];
            let weights = Mat::new(p, queries, 1);
            matmul(size, 1.0, v.from(0).t(), weights, false, turned, queries);
            turn(turned, queries, from, &mut out);
        }
    }

    /// Gradients of queries, keys and values from that of the result.
    pub(crate) fn backward(
        &self,
        [q, k, v]: [Part<'_>; 3],
        g: Part<'_>,
        [mut dq, dk, dv]: [Target<'_>; 3],
        Room { p, other, turned }: &mut Room,
    ) {
        let (n, width, scale) = (self.tokens, self.width, self.scale);
        for from in (0..n).step_by(QUERIES) {
            let to = (from + QUERIES).min(n);
            let queries = to - from;
            // The sums over queries go on from one block to the next.
            let later = from > 0;
            let (p, dp) = (&mut p[..queries * n], &mut other[..queries * n]);
            self.probabilities(q, k, (from, to), p);
            let over_queries = (n, queries, width);
            let weights: &[f32] = match &self.drop {
                None => p,
                Some(drop) => {
                    dp.copy_from_slice(p);
                    drop.apply(dp, from, queries);
                    dp
                }
            };
            let weights = Mat::new(weights, queries, 1);
            let into = (&mut *dv.data, dv.stride);
            matmul(
                over_queries,
                1.0,
                weights,
                g.from(from),
                later,
                into.0,
                into.1,
            );
            let size = (n, width, queries);
            matmul(size, 1.0, v.from(0), g.from(from).t(), false, dp, queries);
            if let Some(drop) = &self.drop {
                drop.apply(dp, from, queries);
            }
            softmax_columns_grad(p, dp, queries);
            let dp = Mat::new(dp, queries, 1);
            let over_keys = (width, n, queries);
            let turned = &mut turned[..width * queries];
            matmul(over_keys, scale, k.from(0).t(), dp, false, turned, queries);
            turn(turned, queries, from, &mut dq);
            let into = (&mut *dk.data, dk.stride);
            matmul(over_queries, scale, dp, q.from(from), later, into.0, into.1);
        }
    }
}

/// Softmax of each of `columns` columns in place. The maximum is taken away first.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
fn softmax_columns(x: &mut [f32], columns: usize) {
    let fused = target_cfg_f!(target_feature = "fma");
    let (mut top, mut sum) = ([f32::NEG_INFINITY; QUERIES], [0.0; QUERIES]);
    let (top, sum) = (&mut top[..columns], &mut sum[..columns]);
    for row in x.chunks_exact(columns) {
        for (t, v) in top.iter_mut().zip(row) {
            *t = if *v > *t { *v } else { *t };
        }
    }
    for row in x.chunks_exact_mut(columns) {
        for ((v, t), s) in row.iter_mut().zip(top.iter()).zip(sum.iter_mut()) {
            *v = exp(fused, *v - t);
            *s += *v;
        }
    }
    sum.iter_mut().for_each(|s| *s = 1.0 / *s);
    for row in x.chunks_exact_mut(columns) {
        for (v, s) in row.iter_mut().zip(sum.iter()) {
            *v *= s;
        }
    }
}

/// g ← p·(g − Σ p·g) of each column, the gradient of [`softmax_columns`] from its result.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
fn softmax_columns_grad(p: &[f32], g: &mut [f32], columns: usize) {
    let fused = target_cfg_f!(target_feature = "fma");
    let mut inner = [0.0; QUERIES];
    let inner = &mut inner[..columns];
    for (p, g) in p.chunks_exact(columns).zip(g.chunks_exact(columns)) {
        for ((s, p), g) in inner.iter_mut().zip(p).zip(g) {
            *s = mul_add(fused, *p, *g, *s);
        }
    }
    for (p, g) in p.chunks_exact(columns).zip(g.chunks_exact_mut(columns)) {
        for ((g, p), s) in g.iter_mut().zip(p).zip(inner.iter()) {
            *g = p * (*g - s);
        }
    }
}
