//! The weights of a block, and where the gradient of each lies beside the others'.

use std::ops::Range;

use rayon::prelude::*;

use super::Shape;
use crate::kernels::scratch::Scratch;
use crate::kernels::vector;
use crate::ops::cpu::{self, Values};

/// Ranges of the gradients, in the order of the weights. Those that a block has not are empty.
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
    /// Those that are not empty.
    pub(super) all: Vec<Range<usize>>,
}

impl Slots {
    pub(super) fn of(s: &Shape) -> Self {
        let (mut at, mut all) = (0, Vec::new());
        let mut next = |n: usize| {
            at += n;
            let range = at - n..at;
            all.extend((n > 0).then(|| range.clone()));
            range
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
            all: Vec::new(),
        };
        slots.all = all;
        slots
    }

    /// Values of all of them.
    pub(super) fn len(&self) -> usize {
        self.all.last().map_or(0, |r| r.end)
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

    /// Where a slot is among those that are not empty.
    fn place(&self, slot: &Range<usize>) -> Option<usize> {
        let found = self.all.binary_search_by_key(&slot.start, |r| r.start);
        found.ok().filter(|_| !slot.is_empty())
    }

    /// The gradient of each weight: the sum of `parts`, in their order.
    pub(super) fn add_up(&self, parts: &[Scratch]) -> Vec<Vec<f32>> {
        let each = self.all.par_iter().with_max_len(1);
        each.map(|slot| {
            let parts: Vec<&[f32]> = parts.iter().map(|part| &part[slot.clone()]).collect();
            cpu::add_up(&parts, slot.len())
        })
        .collect()
    }

    /// The backward pass leaves the gradients of the two output maps as they are before the layer
    /// scale: U = Σ gᵀ·input and s = Σ g. The map's are γ·U and γ·s, and the layer scale's is
    /// Σ g·(W·input + b) = rowsum(W∘U) + b·s, without the map's result.
    pub(super) fn scale_back(&self, s: &Shape, weights: &Weights<'_>, grads: &mut [Vec<f32>]) {
        if !s.scaled {
            return;
        }
        for ([map, bias], gamma) in [&self.proj, &self.fc2].into_iter().zip(&self.gammas) {
            let places = [map, bias, gamma].map(|slot| self.place(slot));
            let [Some(m), Some(b), Some(g)] = places else {
                continue;
            };
            let Ok([maps, biases, gammas]) = grads.get_disjoint_mut([m, b, g]) else {
                continue;
            };
            let width = maps.len() / s.width.max(1);
            let scales = weights.of(gamma).iter().zip(weights.of(bias));
            let given = weights
                .of(map)
                .par_chunks_exact(width)
                .zip(scales.collect::<Vec<_>>());
            maps.par_chunks_exact_mut(width)
                .zip(biases)
                .zip(gammas)
                .zip(given)
                .for_each(|(((u, s), out), (w, (gamma, b)))| {
                    *out = vector::dot(w, u) + b * *s;
                    u.iter_mut().for_each(|u| *u *= gamma);
                    *s *= gamma;
                });
        }
    }
}

/// The values of the weights.
pub(super) struct Weights<'a> {
    /// Where the gradient of each begins.
    starts: Vec<usize>,
    values: Vec<Values<'a>>,
}

impl<'a> Weights<'a> {
    /// None where they are others than those of `slots`.
    pub(super) fn new(slots: &Slots, values: Vec<Values<'a>>) -> Option<Self> {
        let lengths = slots.all.iter().map(|r| r.len());
        let starts = slots.all.iter().map(|r| r.start).collect();
        let fits = lengths.eq(values.iter().map(|v| v.len()));
        fits.then_some(Self { starts, values })
    }

    /// Those of a slot; nothing for one that is empty.
    pub(super) fn of(&self, slot: &Range<usize>) -> &[f32] {
        match self.starts.binary_search(&slot.start) {
            Ok(i) if !slot.is_empty() => &self.values[i],
            _ => &[],
        }
    }
}
