//! The backward pass.

use rayon::prelude::*;

use super::forward::{ROWS, dropped};
use super::{Batch, Dropout, FIRST, K, Kept, LAST, NORM, OUT, PAIRS, Q, SECOND, V};
use crate::kernels::gemm::{Mat, matmul_shared};
use crate::kernels::heads::{Part, Room, Target};
use crate::kernels::scratch::Scratch;
use crate::kernels::tokens::{Rows, add_columns, norm_rows_grad, row_moments};
use crate::kernels::vector;
use crate::ops::cpu::add_up;

/// Gradients of a pair: of the weight and of the bias.
type Pair = [Vec<f32>; 2];

impl Batch<'_> {
    /// Gradients of a map from that of its result, `g`, and what it was given.
    fn map_grad(&self, x: &[f32], g: &[f32], pair: usize) -> Pair {
        let [weight, bias] = &self.weights[pair];
        let (n_out, n_in) = (bias.len(), weight.len() / bias.len());
        let mut dw = vec![0.0; weight.len()];
        let size = (n_out, self.rows(), n_in);
        let rows = Mat::new(x, n_in, 1);
        matmul_shared(size, Mat::new(g, n_out, 1).t(), rows, false, &mut dw);
        let parts: Vec<Vec<f32>> = g
            .par_chunks(ROWS * n_out)
            .map(|g| {
                let mut sums = vec![0.0; n_out];
                add_columns(g, &mut sums);
                sums
            })
            .collect();
        [dw, add_up(&parts, n_out)]
    }

    /// out ← g·weight, or that added to it.
    fn map_back(&self, g: &[f32], pair: usize, add: bool, out: &mut [f32]) {
        let [weight, bias] = &self.weights[pair];
        let (n_out, n_in) = (bias.len(), weight.len() / bias.len());
        let size = (self.rows(), n_out, n_in);
        let weight = Mat::new(weight, n_in, 1);
        matmul_shared(size, Mat::new(g, n_out, 1), weight, add, out);
    }

    /// dx ← the gradient of what a norm was given; gives those of its weight and bias.
    fn norm_grad(&self, x: &[f32], g: &[f32], pair: usize, dx: &mut [f32]) -> Pair {
        let d = self.width;
        let size = ROWS * d;
        let weight = &self.weights[pair][0];
        let chunks = dx.par_chunks_mut(size).zip(x.par_chunks(size));
        let parts: Vec<Vec<f32>> = chunks
            .zip(g.par_chunks(size))
            .map(|((dx, x), g)| {
                let mut sums = vec![0.0; 2 * d];
                let pair = sums.split_at_mut(d).into();
                let (rows, mut own) = (Rows::part(x, d, 0, d), [0.0; 2 * ROWS]);
                row_moments(rows, d, self.shape.eps, &mut own);
                norm_rows_grad(rows, d, &own, weight, g, (dx, d, 0), false, pair);
                sums
            })
            .collect();
        let mut dw = add_up(&parts, 2 * d);
        let db = dw.split_off(d);
        [dw, db]
    }

    /// `g` after the dropout that its value went through.
    fn dropped_all(&self, g: &[f32], drop: Dropout) -> Scratch {
        let mut out = Scratch::any(g.len());
        let size = ROWS * self.width;
        let chunks = out.par_chunks_mut(size).zip(g.par_chunks(size));
        chunks
            .enumerate()
            .for_each(|(i, (out, g))| dropped(g, drop, i * size, out));
        out
    }

    /// g ← drop(g)·gelu'(hidden).
    fn activate_back(&self, hidden: &[f32], g: &mut [f32]) {
        let size = ROWS * self.hidden;
        let chunks = g.par_chunks_mut(size).zip(hidden.par_chunks(size));
        chunks.enumerate().for_each_init(
            || vec![0.0; size],
            |own, (i, (g, hidden))| {
                let own = &mut own[..g.len()];
                dropped(g, self.shape.hidden, i * size, own);
                vector::gelu_grad(hidden, own, g);
            },
        );
    }

    /// Gradients of queries, keys and values from that of the heads' result.
    fn attend_back(&self, qkv: &[Scratch; 3], g: &[f32]) -> [Scratch; 3] {
        let (d, size) = (self.width, self.tokens * self.width);
        let [mut dq, mut dk, mut dv] = [(); 3].map(|()| Scratch::any(g.len()));
        dq.par_chunks_mut(size)
            .zip(dk.par_chunks_mut(size))
            .zip(dv.par_chunks_mut(size))
            .enumerate()
            .for_each_init(
                || Room::new(self.tokens, self.head()),
                |room, (i, ((dq, dk), dv))| {
                    for h in 0..self.shape.heads {
                        let at = h * self.head();
                        let part = |x: &'_ [f32]| i * size + at..x.len();
                        let parts = qkv.each_ref().map(|x| Part {
                            data: &x[part(x)],
                            stride: d,
                        });
                        let g = Part {
                            data: &g[part(g)],
                            stride: d,
                        };
                        let into = [&mut dq[at..], &mut dk[at..], &mut dv[at..]]
                            .map(|data| Target { data, stride: d });
                        self.one_head(i, h).backward(parts, g, into, room);
                    }
                },
            );
        [dq, dk, dv]
    }

    /// Gradients of the tokens and of every pair of weights.
    pub(super) fn backward(&self, x: &[f32], g: &[f32], kept: Kept) -> (Vec<f32>, [Pair; PAIRS]) {
        let size = self.rows() * self.width;
        let Kept {
            qkv,
            heads,
            middle,
            hidden,
            output,
        } = kept;

        // The feed-forward network.
        let mut dnormed = Scratch::any(size);
        let last = self.norm_grad(&output, g, LAST, &mut dnormed);
        drop(output);
        let mut active = Scratch::any(hidden.len());
        self.activate(&hidden, &mut active);
        let dropped = self.dropped_all(&dnormed, self.shape.output);
        let second = self.map_grad(&active, &dropped, SECOND);
        // The activation has been used: its place takes the gradients.
        let mut dhidden = active;
        self.map_back(&dropped, SECOND, false, &mut dhidden);
        self.activate_back(&hidden, &mut dhidden);
        drop(hidden);
        let mut normed = dropped;
        self.norm(&middle, NORM, &mut normed);
        let first = self.map_grad(&normed, &dhidden, FIRST);
        self.map_back(&dhidden, FIRST, true, &mut dnormed);
        drop(dhidden);

        // Attention.
        let mut dx = vec![0.0; size];
        let norm = self.norm_grad(&middle, &dnormed, NORM, &mut dx);
        drop((middle, normed));
        let dropped = self.dropped_all(&dx, self.shape.middle);
        let out = self.map_grad(&heads, &dropped, OUT);
        let mut dheads = heads;
        self.map_back(&dropped, OUT, false, &mut dheads);
        let [dq, dk, dv] = self.attend_back(&qkv, &dheads);
        let of = |g: &[f32], pair, dx: &mut [f32]| {
            self.map_back(g, pair, true, dx);
            self.map_grad(x, g, pair)
        };
        let q = of(&dq, Q, &mut dx);
        let k = of(&dk, K, &mut dx);
        let v = of(&dv, V, &mut dx);
        (dx, [q, k, v, out, norm, first, second, last])
    }
}
