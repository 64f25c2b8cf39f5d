//! The weights of a block, and where the gradient of each lies beside the others'.

use std::ops::Range;

use super::Shape;
use crate::ops::cpu::Values;

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

    /// The backward pass leaves the gradients of the two output maps as they are before the layer
    /// scale: U = Σ gᵀ·input and s = Σ g. The map's are γ·U and γ·s, and the layer scale's is
    /// Σ g·(W·input + b) = rowsum(W∘U) + b·s, without the map's result.
    pub(super) fn scale_back(&self, s: &Shape, weights: &Weights<'_>, grads: &mut [f32]) {
        if !s.scaled {
            return;
        }
        for ([map, bias], gamma) in [&self.proj, &self.fc2].into_iter().zip(&self.gammas) {
            let width = map.len() / s.width.max(1);
            let (rows, biases) = (weights.of(map).chunks_exact(width), weights.of(bias));
            let columns = rows.zip(biases).zip(weights.of(gamma));
            for (j, ((w, b), scale)) in columns.enumerate() {
                let row = &mut grads[map.start + j * width..][..width];
                let own: f32 = w.iter().zip(&*row).map(|(w, u)| w * u).sum();
                row.iter_mut().for_each(|u| *u *= scale);
                let at = bias.start + j;
                grads[gamma.start + j] = own + b * grads[at];
                grads[at] *= scale;
            }
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
