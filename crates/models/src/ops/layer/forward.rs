//! The forward pass, and what it shares with the backward pass.

use rayon::prelude::*;

use super::{Batch, Dropout, FIRST, K, Kept, LAST, NORM, OUT, Q, SECOND, V};
use crate::kernels::gemm::{Mat, matmul_shared};
use crate::kernels::heads::{self, Head, Part, Room, Target};
use crate::kernels::scratch::Scratch;
use crate::kernels::tokens::{Rows, fill_rows, norm_rows, residual, row_moments};
use crate::kernels::vector;

/// Rows that one task works through where it makes no matrix product.
pub(super) const ROWS: usize = 32;

/// `x` after dropout, its first value number `first` of the draws, into `out`.
pub(super) fn dropped(x: &[f32], drop: Dropout, first: usize, out: &mut [f32]) {
    match drop {
        None => out.copy_from_slice(x),
        Some((share, stream)) => vector::dropout(x, share, stream, first as u64, out),
    }
}

impl Batch<'_> {
    /// out ← x·weightᵀ + bias.
    fn map(&self, x: &[f32], pair: usize, out: &mut [f32]) {
        let [weight, bias] = &self.weights[pair];
        let (n_out, n_in) = (bias.len(), weight.len() / bias.len());
        out.par_chunks_mut(ROWS * n_out)
            .for_each(|out| fill_rows(bias, out));
        let weight = Mat::new(weight, n_in, 1).t();
        let size = (self.rows(), n_in, n_out);
        matmul_shared(size, Mat::new(x, n_in, 1), weight, true, out);
    }

    /// out ← norm(x).
    pub(super) fn norm(&self, x: &[f32], pair: usize, out: &mut [f32]) {
        let d = self.width;
        let [weight, bias] = &self.weights[pair];
        out.par_chunks_mut(ROWS * d)
            .zip(x.par_chunks(ROWS * d))
            .for_each(|(out, x)| {
                let (rows, mut own) = (Rows::part(x, d, 0, d), [0.0; 2 * ROWS]);
                row_moments(rows, d, self.shape.eps, &mut own);
                norm_rows(rows, d, &own, [weight, bias], out);
            });
    }

    /// y ← x + drop(y).
    fn add(&self, x: &[f32], drop: Dropout, y: &mut [f32]) {
        let size = ROWS * self.width;
        let chunks = y.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate();
        chunks.for_each_init(
            || vec![0.0; size],
            |own, (i, (y, x))| {
                let own = &mut own[..y.len()];
                dropped(y, drop, i * size, own);
                residual(x, own, &[], 1.0, self.width, y);
            },
        );
    }

    /// out ← drop(gelu(hidden)).
    pub(super) fn activate(&self, hidden: &[f32], out: &mut [f32]) {
        let size = ROWS * self.hidden;
        let chunks = out.par_chunks_mut(size).zip(hidden.par_chunks(size));
        chunks.enumerate().for_each_init(
            || vec![0.0; size],
            |own, (i, (out, hidden))| match self.shape.hidden {
                None => vector::gelu(hidden, out),
                drop => {
                    let own = &mut own[..out.len()];
                    vector::gelu(hidden, own);
                    dropped(own, drop, i * size, out);
                }
            },
        );
    }

    /// Head `h` of sample `i`.
    pub(super) fn one_head(&self, i: usize, h: usize) -> Head {
        let n = self.tokens;
        Head {
            width: self.head(),
            tokens: n,
            scale: 1.0 / (self.head() as f32).sqrt(),
            drop: self.shape.attention.map(|(share, stream)| heads::Dropout {
                share,
                stream,
                first: ((i * self.shape.heads + h) * n * n) as u64,
                row: n as u64,
            }),
        }
    }

    fn attend(&self, qkv: &[Scratch; 3], out: &mut [f32]) {
        let (d, size) = (self.width, self.tokens * self.width);
        out.par_chunks_mut(size).enumerate().for_each_init(
            || Room::new(self.tokens, self.head()),
            |room, (i, out)| {
                for h in 0..self.shape.heads {
                    let at = h * self.head();
                    let parts = qkv.each_ref().map(|x| Part {
                        data: &x[i * size + at..],
                        stride: d,
                    });
                    let (data, stride) = (&mut out[at..], d);
                    self.one_head(i, h)
                        .forward(parts, Target { data, stride }, room);
                }
            },
        );
    }

    /// Tokens [rows, width] through the layer; without `out` only what is kept is made.
    pub(super) fn forward(&self, x: &[f32], out: Option<&mut [f32]>) -> Kept {
        let size = self.rows() * self.width;
        let qkv = [Q, K, V].map(|pair| {
            let mut own = Scratch::any(size);
            self.map(x, pair, &mut own);
            own
        });
        let mut heads = Scratch::any(size);
        self.attend(&qkv, &mut heads);
        let mut middle = Scratch::any(size);
        self.map(&heads, OUT, &mut middle);
        self.add(x, self.shape.middle, &mut middle);

        let mut normed = Scratch::any(size);
        self.norm(&middle, NORM, &mut normed);
        let mut hidden = Scratch::any(self.rows() * self.hidden);
        self.map(&normed, FIRST, &mut hidden);
        let mut active = Scratch::any(hidden.len());
        self.activate(&hidden, &mut active);
        let mut output = Scratch::any(size);
        self.map(&active, SECOND, &mut output);
        self.add(&normed, self.shape.output, &mut output);
        if let Some(out) = out {
            self.norm(&output, LAST, out);
        }
        Kept {
            qkv,
            heads,
            middle,
            hidden,
            output,
        }
    }
}
