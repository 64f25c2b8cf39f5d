//! The forward pass of a group of samples.

use std::ops::Range;

use super::{Group, Kept};
use crate::kernels::gemm::{Mat, matmul};
use crate::kernels::heads::{Head, Part, Room, Target};
use crate::kernels::scratch::Scratch;
use crate::kernels::tokens::{Rows, fill_rows, norm_rows, residual, row_moments};
use crate::kernels::vector;

impl Group<'_> {
    /// out ← rows·weightᵀ + bias, `weight` [n_out, n_in].
    fn map(
        &self,
        x: &[f32],
        (n_in, n_out): (usize, usize),
        weight: &[f32],
        bias: Option<&[f32]>,
        out: &mut [f32],
    ) {
        if let Some(bias) = bias {
            fill_rows(bias, out);
        }
        let rows = self.rows();
        let weight = Mat::new(weight, n_in, 1).t();
        let x = Mat::new(x, n_in, 1);
        matmul(
            (rows, n_in, n_out),
            1.0,
            x,
            weight,
            bias.is_some(),
            out,
            n_out,
        );
    }

    /// Moments of parts of `size` values of `x`.
    fn moments(&self, x: Rows<'_>, parts: usize, size: usize) -> Scratch {
        let mut out = Scratch::any(self.rows() * parts * 2);
        row_moments(x, size, self.shape.eps, &mut out);
        out
    }

    /// out ← norm(x), a norm of whole tokens.
    pub(super) fn norm(
        &self,
        x: &[f32],
        moments: &[f32],
        [w, b]: &[Range<usize>; 2],
        out: &mut [f32],
    ) {
        let d = self.shape.width;
        let pair = [self.weight(w), self.weight(b)];
        norm_rows(Rows::part(x, d, 0, d), d, moments, pair, out);
    }

    /// Queries, 0, or keys, 1, of `qkv`.
    pub(super) fn part<'a>(&self, qkv: &'a [f32], k: usize) -> Rows<'a> {
        let d = self.shape.width;
        Rows::part(qkv, 3 * d, k * d, d)
    }

    /// Moments of queries and keys; nothing where the block does not norm them.
    fn qk_moments(&self, qkv: &[f32]) -> [Scratch; 2] {
        let (heads, head) = (self.shape.heads, self.shape.head());
        [0, 1].map(|k| match self.shape.qk_norm {
            true => self.moments(self.part(qkv, k), heads, head),
            false => Scratch::any(0),
        })
    }

    /// Queries and keys as they meet, [rows, width] each: normed where the block does so.
    pub(super) fn queries_and_keys(&self, qkv: &[f32], moments: &[Scratch; 2]) -> [Scratch; 2] {
        let (d, head) = (self.shape.width, self.shape.head());
        [0, 1].map(|k| {
            let mut out = Scratch::any(self.rows() * d);
            if self.shape.qk_norm {
                let pair = self.slots.qk_norm[k].each_ref().map(|w| self.weight(w));
                norm_rows(self.part(qkv, k), head, &moments[k], pair, &mut out);
            } else {
                for (o, row) in out.chunks_exact_mut(d).zip(qkv.chunks_exact(3 * d)) {
                    o.copy_from_slice(&row[k * d..(k + 1) * d]);
                }
            }
            out
        })
    }

    /// One head of sample `i`.
    pub(super) fn head(&self, i: usize) -> Head {
        Head {
            width: self.shape.head(),
            tokens: self.lengths[i],
            scale: 1.0 / (self.shape.head() as f32).sqrt(),
            drop: None,
        }
    }

    /// The heads' result, [rows, width]; zero for padding.
    fn attend(&self, qkv: &[f32], moments: &[Scratch; 2]) -> Scratch {
        let (d, n) = (self.shape.width, self.tokens);
        let [q, k] = self.queries_and_keys(qkv, moments);
        let mut out = self.unpadded(d);
        let mut room = Room::new(n, self.shape.head());
        let part = |data, stride| Part { data, stride };
        for i in 0..self.lengths.len() {
            for at in (0..d).step_by(self.shape.head()) {
                let first = i * n * d + at;
                let v = &qkv[3 * i * n * d + 2 * d + at..];
                let parts = [part(&q[first..], d), part(&k[first..], d), part(v, 3 * d)];
                let (data, stride) = (&mut out[first..], d);
                self.head(i)
                    .forward(parts, Target { data, stride }, &mut room);
            }
        }
        out
    }

    /// The group's tokens [rows, width] through the block; without `out` only what is kept is made.
    pub(super) fn forward(&self, x: &[f32], out: Option<&mut [f32]>) -> Kept {
        let s = self.shape;
        let (d, m, rows) = (s.width, s.hidden, self.rows());
        let mut wide = Scratch::any(rows * d);
        let whole = |x| self.moments(Rows::part(x, d, 0, d), 1, d);
        let first = whole(x);
        self.norm(x, &first, &self.slots.norm1, &mut wide);

        let mut qkv = Scratch::any(rows * 3 * d);
        let [q_bias, v_bias] = &self.slots.qv_bias;
        let bias = s.qv_bias.then(|| {
            let keys = vec![0.0; d];
            [self.weight(q_bias), &keys, self.weight(v_bias)].concat()
        });
        let weight = self.weight(&self.slots.qkv);
        self.map(&wide, (d, 3 * d), weight, bias.as_deref(), &mut qkv);

        let qk_norms = self.qk_moments(&qkv);
        let heads = self.attend(&qkv, &qk_norms);
        let [w, b] = &self.slots.proj;
        self.map(
            &heads,
            (d, d),
            self.weight(w),
            Some(self.weight(b)),
            &mut wide,
        );
        let mut middle = Scratch::any(rows * d);
        self.add(x, &wide, 0, &mut middle);

        let second = whole(&middle);
        self.norm(&middle, &second, &self.slots.norm2, &mut wide);
        let mut hidden = Scratch::any(rows * m);
        let [w, b] = &self.slots.fc1;
        self.map(
            &wide,
            (d, m),
            self.weight(w),
            Some(self.weight(b)),
            &mut hidden,
        );
        if let Some(out) = out {
            let mut active = Scratch::any(rows * m);
            vector::gelu(&hidden, &mut active);
            let [w, b] = &self.slots.fc2;
            self.map(
                &active,
                (m, d),
                self.weight(w),
                Some(self.weight(b)),
                &mut wide,
            );
            self.add(&middle, &wide, 1, out);
        }
        Kept {
            qkv,
            heads,
            middle,
            hidden,
            norms: [first, second],
            qk_norms,
        }
    }

    /// out ← x + factor·γ·y, the factor that of each sample.
    fn add(&self, x: &[f32], y: &[f32], which: usize, out: &mut [f32]) {
        let d = self.shape.width;
        let gamma = self.weight(&self.slots.gammas[which]);
        let size = self.tokens * d;
        let samples = out
            .chunks_exact_mut(size)
            .zip(x.chunks_exact(size))
            .zip(y.chunks_exact(size));
        for (((out, x), y), factors) in samples.zip(&self.factors) {
            residual(x, y, gamma, factors[which], d, out);
        }
    }
}
