//! Where each weight of a block lies in the packed tensor.

use std::ops::Range;

use super::Shape;

/// Ranges of the packed weights, in their order. Those that a block has not are empty.
#[derive(Debug)]
pub(super) struct Slots {
    /// Weight and bias of the first layer norm, [width] each.
    pub(super) norm1: [Range<usize>; 2],
    /// [3·width, width].
    pub(super) qkv: Range<usize>,
    /// Biases of queries and of values, [width] each.
    pub(super) qv_bias: [Range<usize>; 2],
    /// Weight and bias of the norm of queries, then of keys, [head] each.
    pub(super) qk_norm: [[Range<usize>; 2]; 2],
    /// [width, width] and [width].
    pub(super) proj: [Range<usize>; 2],
    /// Weight and bias of the second layer norm.
    pub(super) norm2: [Range<usize>; 2],
    /// [hidden, width] and [hidden].
    pub(super) fc1: [Range<usize>; 2],
    /// [width, hidden] and [width].
    pub(super) fc2: [Range<usize>; 2],
    /// Layer scales, [width] each.
    pub(super) gammas: [Range<usize>; 2],
    /// All of them.
    pub(super) len: usize,
}

impl Slots {
    pub(super) fn of(s: &Shape) -> Self {
        let mut at = 0;
        let mut next = |n: usize| {
            at += n;
            at - n..at
        };
        let d = s.width;
        let bias = if s.qv_bias { d } else { 0 };
        let head = if s.qk_norm { s.head() } else { 0 };
        let gamma = if s.scaled { d } else { 0 };
        let mut slots = Self {
            norm1: [next(d), next(d)],
            qkv: next(3 * d * d),
            qv_bias: [next(bias), next(bias)],
            qk_norm: [[next(head), next(head)], [next(head), next(head)]],
            proj: [next(d * d), next(d)],
            norm2: [next(d), next(d)],
            fc1: [next(s.hidden * d), next(s.hidden)],
            fc2: [next(d * s.hidden), next(d)],
            gammas: [next(gamma), next(gamma)],
            len: 0,
        };
        slots.len = at;
        slots
    }

    /// What gradients are added to row by row; those of the maps are written at once.
    pub(super) fn sums(&self) -> impl Iterator<Item = Range<usize>> {
        [
            self.norm1[0].start..self.norm1[1].end,
            self.qkv.end..self.proj[0].start,
            self.proj[0].end..self.fc1[0].start,
            self.fc1[1].clone(),
            self.fc2[1].clone(),
        ]
        .into_iter()
    }

    /// The backward pass leaves the gradients of the two output maps as they are before the layer
    /// scale: U = Σ gᵀ·input and s = Σ g. The map's are γ·U and γ·s, and the layer scale's is
    /// Σ g·(W·input + b) = rowsum(W∘U) + b·s, without the map's result.
    pub(super) fn scale_back(&self, s: &Shape, weights: &[f32], grads: &mut [f32]) {
        if !s.scaled {
            return;
        }
        for ([map, bias], gamma) in [&self.proj, &self.fc2].into_iter().zip(&self.gammas) {
            let width = map.len() / s.width.max(1);
            for j in 0..s.width {
                let row = map.start + j * width..map.start + (j + 1) * width;
                let scale = weights[gamma.start + j];
                let own: f32 = weights[row.clone()]
                    .iter()
                    .zip(&grads[row.clone()])
                    .map(|(w, u)| w * u)
                    .sum();
                let at = bias.start + j;
                grads[gamma.start + j] = own + weights[at] * grads[at];
                grads[row].iter_mut().for_each(|u| *u *= scale);
                grads[at] *= scale;
            }
        }
    }
}
