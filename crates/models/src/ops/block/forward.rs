//! The forward pass of a group of samples.

use super::{Group, Kept};
use crate::kernels::gemm::{Mat, matmul};
use crate::kernels::scratch::Scratch;
use crate::kernels::tokens::{Rows, fill_rows, norm_rows, residual};
use crate::kernels::vector;

/// Rows of queries that are held against all keys at once: what they give stays in the cache.
pub(super) const QUERIES: usize = 64;

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

    /// Queries and keys as they meet, [rows, width] each: normed where the block does so.
    pub(super) fn queries_and_keys(&self, qkv: &[f32]) -> [Scratch; 2] {
        let (d, head) = (self.shape.width, self.shape.head());
        [0, 1].map(|k| {
            let mut out = Scratch::any(self.rows() * d);
            let [w, b] = &self.slots.qk_norm[k];
            let from = Rows::part(qkv, 3 * d, k * d, d);
            if self.shape.qk_norm {
                let (w, b) = (self.weight(w), self.weight(b));
                norm_rows(from, head, w, b, self.shape.eps, &mut out);
            } else {
                for (o, row) in out.chunks_exact_mut(d).zip(qkv.chunks_exact(3 * d)) {
                    o.copy_from_slice(&row[k * d..(k + 1) * d]);
                }
            }
            out
        })
    }

    /// softmax(q·kᵀ/√head) of queries `from..to` of one head against `n` keys, into `p`. `q` and `k` start
    /// at the sample's head and go on by the width.
    pub(super) fn probabilities(
        &self,
        q: &[f32],
        k: &[f32],
        (from, to): (usize, usize),
        n: usize,
        p: &mut [f32],
    ) {
        let (d, head) = (self.shape.width, self.shape.head());
        let scale = 1.0 / (head as f32).sqrt();
        let q = Mat::new(&q[from * d..], d, 1);
        let k = Mat::new(k, d, 1).t();
        matmul((to - from, head, n), scale, q, k, false, p, n);
        p.chunks_exact_mut(n).for_each(vector::softmax);
    }

    /// The heads' result, [rows, width]; zero for padding.
    fn attend(&self, qkv: &[f32]) -> Scratch {
        let (d, head, n) = (self.shape.width, self.shape.head(), self.tokens);
        let [q, k] = self.queries_and_keys(qkv);
        let mut out = self.unpadded(d);
        let mut p = Scratch::any(QUERIES.min(n) * n);
        for (i, &length) in self.lengths.iter().enumerate() {
            for at in (0..d).step_by(head) {
                let first = i * n * d + at;
                let (q, k) = (&q[first..], &k[first..]);
                let v = Mat::new(&qkv[i * n * 3 * d + 2 * d + at..], 3 * d, 1);
                for from in (0..length).step_by(QUERIES) {
                    let to = (from + QUERIES).min(length);
                    let p = &mut p[..(to - from) * length];
                    self.probabilities(q, k, (from, to), length, p);
                    let p = Mat::new(p, length, 1);
                    let out = &mut out[first + from * d..];
                    matmul((to - from, length, head), 1.0, p, v, false, out, d);
                }
            }
        }
        out
    }

    /// The group's tokens [rows, width] through the block; without `out` only what is kept is made.
    pub(super) fn forward(&self, x: &[f32], out: Option<&mut [f32]>) -> Kept {
        let s = self.shape;
        let (d, m, rows) = (s.width, s.hidden, self.rows());
        let mut wide = Scratch::any(rows * d);
        let [w, b] = &self.slots.norm1;
        let all = |x| Rows::part(x, d, 0, d);
        norm_rows(all(x), d, self.weight(w), self.weight(b), s.eps, &mut wide);

        let mut qkv = Scratch::any(rows * 3 * d);
        let [q_bias, v_bias] = &self.slots.qv_bias;
        let bias = s.qv_bias.then(|| {
            let keys = vec![0.0; d];
            [self.weight(q_bias), &keys, self.weight(v_bias)].concat()
        });
        let weight = self.weight(&self.slots.qkv);
        self.map(&wide, (d, 3 * d), weight, bias.as_deref(), &mut qkv);

        let heads = self.attend(&qkv);
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

        let [w, b] = &self.slots.norm2;
        norm_rows(
            all(&middle),
            d,
            self.weight(w),
            self.weight(b),
            s.eps,
            &mut wide,
        );
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
