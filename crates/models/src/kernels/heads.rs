//! Attention of one head of one sample, forward and backward. Probabilities are made for some queries at
//! a time, so that what they give stays in the cache, and made again in the backward pass.

use super::gemm::{Mat, matmul};
use super::scratch::Scratch;
use super::vector;
use crate::rng::Stream;

/// Rows of queries that are held against all keys at once.
const QUERIES: usize = 64;

/// Sizes of a head, and what becomes of its probabilities.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Values of a query.
    pub(crate) width: usize,
    /// Tokens, those of padding not counted.
    pub(crate) tokens: usize,
    /// Dropout of the probabilities: share and stream. The draws of query i, key j are number
    /// `first` + i·`row` + j.
    pub(crate) drop: Option<(f32, Stream)>,
    pub(crate) first: u64,
    pub(crate) row: u64,
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

/// Where the rows of a result go.
pub(crate) struct Target<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) stride: usize,
}

/// Room for probabilities, of any head of at most so many tokens.
pub(crate) struct Room {
    p: Scratch,
    dropped: Scratch,
    row: Scratch,
}

impl Room {
    pub(crate) fn new(tokens: usize) -> Self {
        let most = QUERIES.min(tokens) * tokens;
        Self {
            p: Scratch::any(most),
            dropped: Scratch::any(most),
            row: Scratch::any(tokens),
        }
    }
}

impl Head {
    /// softmax(q·kᵀ/√width) of queries `from..to` into `p`.
    fn probabilities(&self, q: Part<'_>, k: Part<'_>, (from, to): (usize, usize), p: &mut [f32]) {
        let scale = 1.0 / (self.width as f32).sqrt();
        let size = (to - from, self.width, self.tokens);
        matmul(
            size,
            scale,
            q.from(from),
            k.from(0).t(),
            false,
            p,
            self.tokens,
        );
        p.chunks_exact_mut(self.tokens).for_each(vector::softmax);
    }

    /// `p` after dropout into `out`, for queries from `from` on.
    fn dropped(&self, p: &[f32], from: usize, (share, stream): (f32, Stream), out: &mut [f32]) {
        let n = self.tokens;
        let rows = p.chunks_exact(n).zip(out.chunks_exact_mut(n));
        for (i, (p, out)) in (from as u64..).zip(rows) {
            vector::dropout(p, share, stream, self.first + i * self.row, out);
        }
    }

    /// out ← softmax(q·kᵀ/√width)·v.
    pub(crate) fn forward(
        &self,
        [q, k, v]: [Part<'_>; 3],
        out: Target<'_>,
        Room { p, dropped, .. }: &mut Room,
    ) {
        let n = self.tokens;
        for from in (0..n).step_by(QUERIES) {
            let to = (from + QUERIES).min(n);
            let p = &mut p[..(to - from) * n];
            self.probabilities(q, k, (from, to), p);
            let weights: &[f32] = match self.drop {
                None => p,
                Some(drop) => {
                    let dropped = &mut dropped[..p.len()];
                    self.dropped(p, from, drop, dropped);
                    dropped
                }
            };
            let weights = Mat::new(weights, n, 1);
            let size = (to - from, n, self.width);
            let out = (&mut out.data[from * out.stride..], out.stride);
            matmul(size, 1.0, weights, v.from(0), false, out.0, out.1);
        }
    }

    /// Gradients of queries, keys and values from that of the result.
    pub(crate) fn backward(
        &self,
        [q, k, v]: [Part<'_>; 3],
        g: Part<'_>,
        [dq, dk, dv]: [Target<'_>; 3],
        Room { p, dropped, row }: &mut Room,
    ) {
        let (n, width) = (self.tokens, self.width);
        let scale = 1.0 / (width as f32).sqrt();
        let row = &mut row[..n];
        for from in (0..n).step_by(QUERIES) {
            let to = (from + QUERIES).min(n);
            let rows = to - from;
            // The sums over queries go on from one block to the next.
            let later = from > 0;
            let (p, dp) = (&mut p[..rows * n], &mut dropped[..rows * n]);
            self.probabilities(q, k, (from, to), p);
            let weights: &[f32] = match self.drop {
                None => p,
                Some(drop) => {
                    self.dropped(p, from, drop, dp);
                    dp
                }
            };
            let weights = Mat::new(weights, n, 1).t();
            let size = (n, rows, width);
            matmul(size, 1.0, weights, g.from(from), later, dv.data, dv.stride);
            matmul(
                (rows, width, n),
                1.0,
                g.from(from),
                v.from(0).t(),
                false,
                dp,
                n,
            );
            let each = dp.chunks_exact_mut(n).zip(p.chunks_exact(n));
            for (i, (dp, p)) in (from as u64..).zip(each) {
                match self.drop {
                    None => row.copy_from_slice(dp),
                    Some((share, stream)) => {
                        vector::dropout(dp, share, stream, self.first + i * self.row, row);
                    }
                }
                vector::softmax_grad(p, row, dp);
            }
            let dp = Mat::new(dp, n, 1);
            let out = &mut dq.data[from * dq.stride..];
            matmul(
                (rows, n, width),
                scale,
                dp,
                k.from(0),
                false,
                out,
                dq.stride,
            );
            matmul(size, scale, dp.t(), q.from(from), later, dk.data, dk.stride);
        }
    }
}
