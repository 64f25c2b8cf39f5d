//! The backward pass of a group of samples.

use super::{Group, Kept};
use crate::kernels::gemm::{Mat, matmul};
use crate::kernels::heads::{Part, Room, Target};
use crate::kernels::scratch::Scratch;
use crate::kernels::tokens::{Rows, add_columns, norm_rows_grad, scaled};
use crate::kernels::vector;

impl Group<'_> {
    /// grads[slot] ← Σ over rows of gᵀ·x: the gradient of a map [n_out, n_in].
    fn map_grad(
        &self,
        g: &[f32],
        x: &[f32],
        (n_in, n_out): (usize, usize),
        slot: &std::ops::Range<usize>,
        grads: &mut [f32],
    ) {
        let g = Mat::new(g, n_out, 1).t();
        let x = Mat::new(x, n_in, 1);
        let size = (n_out, self.rows(), n_in);
        matmul(size, 1.0, g, x, false, &mut grads[slot.clone()], n_in);
    }

    /// out ← g·weight, `weight` [n_out, n_in].
    fn map_back(&self, g: &[f32], (n_in, n_out): (usize, usize), weight: &[f32], out: &mut [f32]) {
        let g = Mat::new(g, n_out, 1);
        let weight = Mat::new(weight, n_in, 1);
        matmul((self.rows(), n_out, n_in), 1.0, g, weight, false, out, n_in);
    }

    /// `g` by each sample's factor, and that by γ.
    fn scale(&self, g: &[f32], which: usize) -> [Scratch; 2] {
        let d = self.shape.width;
        let gamma = self.weight(&self.slots.gammas[which]);
        let size = self.tokens * d;
        let (mut plain, mut by_gamma) = (Scratch::any(g.len()), Scratch::any(g.len()));
        let samples = plain
            .chunks_exact_mut(size)
            .zip(by_gamma.chunks_exact_mut(size))
            .zip(g.chunks_exact(size));
        for (((plain, by_gamma), g), factors) in samples.zip(&self.factors) {
            scaled(g, &[], factors[which], d, plain);
            scaled(plain, gamma, 1.0, d, by_gamma);
        }
        [plain, by_gamma]
    }

    /// Gradients of normed queries and keys ([rows, width] each) and of values (into the last third of
    /// `dqkv`), from that of the heads' result.
    fn attend_back(
        &self,
        qkv: &[f32],
        [q, k]: [&[f32]; 2],
        g: &[f32],
        dqkv: &mut [f32],
    ) -> [Scratch; 2] {
        let (d, n) = (self.shape.width, self.tokens);
        let (mut dq, mut dk) = (self.unpadded(d), self.unpadded(d));
        let mut room = Room::new(n, self.shape.head());
        let part = |data, stride| Part { data, stride };
        for i in 0..self.lengths.len() {
            for at in (0..d).step_by(self.shape.head()) {
                let first = i * n * d + at;
                let third = 3 * i * n * d + 2 * d + at;
                let parts = [
                    part(&q[first..], d),
                    part(&k[first..], d),
                    part(&qkv[third..], 3 * d),
                ];
                let into = [
                    (&mut dq[first..], d),
                    (&mut dk[first..], d),
                    (&mut dqkv[third..], 3 * d),
                ]
                .map(|(data, stride)| Target { data, stride });
                let g = part(&g[first..], d);
                self.head(i).backward(parts, g, into, &mut room);
            }
        }
        [dq, dk]
    }

    /// Writes the gradient of the tokens to `dx` and gives that of the weights, those of the two output
    /// maps before the layer scale (see [`super::slots::Slots::scale_back`]).
    pub(super) fn backward(&self, x: &[f32], g: &[f32], kept: Kept, dx: &mut [f32]) -> Scratch {
        let (s, slots) = (self.shape, self.slots);
        let (d, m, rows) = (s.width, s.hidden, self.rows());
        let Kept {
            qkv,
            heads,
            middle,
            hidden,
            norms: [first, second],
            qk_norms,
        } = kept;
        let mut grads = Scratch::any(slots.len());
        for part in slots.sums() {
            grads[part].fill(0.0);
        }
        let all = |x| Rows::part(x, d, 0, d);
        let mut wide = Scratch::any(rows * d);

        // The feed-forward network.
        let [plain, by_gamma] = self.scale(g, 1);
        let mut active = Scratch::any(rows * m);
        vector::gelu(&hidden, &mut active);
        let [w, b] = &slots.fc2;
        self.map_grad(&plain, &active, (m, d), w, &mut grads);
        add_columns(&plain, &mut grads[b.clone()]);
        // The activation has been used: its place takes the gradients.
        self.map_back(&by_gamma, (m, d), self.weight(w), &mut active);
        let mut dhidden = hidden;
        vector::gelu_grad_in_place(&mut dhidden, &active);
        drop(active);
        self.norm(&middle, &second, &slots.norm2, &mut wide);
        let [w, b] = &slots.fc1;
        self.map_grad(&dhidden, &wide, (d, m), w, &mut grads);
        add_columns(&dhidden, &mut grads[b.clone()]);
        self.map_back(&dhidden, (d, m), self.weight(w), &mut wide);
        drop(dhidden);
        let mut dmiddle = Scratch::any(g.len());
        dmiddle.copy_from_slice(g);
        let pair = two(&mut grads, &slots.norm2);
        norm_rows_grad(
            all(&middle),
            d,
            &second,
            self.weight(&slots.norm2[0]),
            &wide,
            (&mut dmiddle, d, 0),
            true,
            pair,
        );

        // Attention.
        let [plain, by_gamma] = self.scale(&dmiddle, 0);
        let [w, b] = &slots.proj;
        self.map_grad(&plain, &heads, (d, d), w, &mut grads);
        add_columns(&plain, &mut grads[b.clone()]);
        self.map_back(&by_gamma, (d, d), self.weight(w), &mut wide);
        let mut dqkv = self.unpadded(3 * d);
        let normed = self.queries_and_keys(&qkv, &qk_norms);
        let both = self.attend_back(&qkv, [&normed[0], &normed[1]], &wide, &mut dqkv);
        for (k, dnormed) in both.iter().enumerate() {
            if s.qk_norm {
                let (from, moments) = (self.part(&qkv, k), &qk_norms[k]);
                let weight = self.weight(&slots.qk_norm[k][0]);
                let pair = two(&mut grads, &slots.qk_norm[k]);
                let into = (&mut dqkv[..], 3 * d, k * d);
                norm_rows_grad(from, s.head(), moments, weight, dnormed, into, false, pair);
            } else {
                for (o, row) in dqkv.chunks_exact_mut(3 * d).zip(dnormed.chunks_exact(d)) {
                    o[k * d..(k + 1) * d].copy_from_slice(row);
                }
            }
        }
        if s.qv_bias {
            let mut sums = vec![0.0; 3 * d];
            add_columns(&dqkv, &mut sums);
            grads[slots.qv_bias[0].clone()].copy_from_slice(&sums[..d]);
            grads[slots.qv_bias[1].clone()].copy_from_slice(&sums[2 * d..]);
        }
        self.norm(x, &first, &slots.norm1, &mut wide);
        self.map_grad(&dqkv, &wide, (d, 3 * d), &slots.qkv, &mut grads);
        self.map_back(&dqkv, (d, 3 * d), self.weight(&slots.qkv), &mut wide);
        dx.copy_from_slice(&dmiddle);
        let pair = two(&mut grads, &slots.norm1);
        let w = self.weight(&slots.norm1[0]);
        norm_rows_grad(all(x), d, &first, w, &wide, (dx, d, 0), true, pair);
        grads
    }
}

/// Weight and bias of a norm, which lie one after the other.
fn two<'a>(grads: &'a mut [f32], [w, b]: &[std::ops::Range<usize>; 2]) -> [&'a mut [f32]; 2] {
    let (first, second) = grads[w.start..b.end].split_at_mut(w.len());
    [first, second]
}
