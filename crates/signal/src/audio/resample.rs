//! One channel from one rate to another, block by block.
//!
//! One symmetric windowed sinc by overlap-add: the transform of a block, times that of the sinc,
//! cut off or filled up with zeros, and back. Two blocks go through one complex transform, the
//! second as the imaginary part: the sinc is real, so that they stay apart, and nothing is spent
//! on taking apart what a transform of real numbers gives. The sinc and its cutoff are those of
//! rubato's `Fft` resampler, against which it is tested; that takes twice as long (the bench
//! `sound` has both) and is further from what it makes in f64.

use std::f64::consts::PI;
use std::sync::Arc;

use num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

/// A block is so many times as long as the sinc, unless that is long itself.
const BLOCKS: usize = 3;
const LONG: usize = 1 << 14;

pub(super) struct Resampler {
    /// Samples of a block, before and after.
    block: usize,
    made: usize,
    /// The transform of the sinc up to the lower of the two Nyquist frequencies.
    filter: Vec<Complex32>,
    forward: Arc<dyn Fft<f32>>,
    back: Arc<dyn Fft<f32>>,
    /// Two blocks and their transform, before and after.
    before: Vec<Complex32>,
    after: Vec<Complex32>,
    scratch: Vec<Complex32>,
    /// What the last block adds to the next.
    overlap: Vec<f32>,
}

impl Resampler {
    /// From `sinc` samples to `made`; the sinc is that long. `sinc` and `made` are even.
    pub(super) fn new(sinc: usize, made: usize) -> Resampler {
        let blocks = if sinc < LONG { BLOCKS } else { 1 };
        let (before, after) = ((blocks + 1) * sinc, (blocks + 1) * made);
        let mut planner = FftPlanner::new();
        let forward = planner.plan_fft_forward(before);
        let back = planner.plan_fft_inverse(after);
        let room = (forward.get_inplace_scratch_len()).max(back.get_inplace_scratch_len());
        let mut scratch = vec![Complex32::ZERO; room];
        // A transform and the way back multiply by the length.
        let taps = taps(sinc, made).into_iter();
        let mut filter: Vec<Complex32> = taps
            .map(|tap| Complex32::from((tap / before as f64) as f32))
            .collect();
        filter.resize(before, Complex32::ZERO);
        forward.process_with_scratch(&mut filter, &mut scratch);
        filter.truncate(before.min(after) / 2);
        Resampler {
            block: blocks * sinc,
            made: blocks * made,
            filter,
            forward,
            back,
            before: vec![Complex32::ZERO; before],
            after: vec![Complex32::ZERO; after],
            scratch,
            overlap: vec![0.0; made],
        }
    }

    /// Samples that are taken at once: two blocks.
    pub(super) fn taken(&self) -> usize {
        2 * self.block
    }

    /// Samples made that come before the first of the result.
    pub(super) fn delay(&self) -> usize {
        self.overlap.len() / 2
    }

    /// Takes two blocks, and adds what they become to `out`.
    pub(super) fn run(&mut self, blocks: &[f32], out: &mut Vec<f32>) {
        let (first, second) = blocks.split_at(self.block);
        let (filled, rest) = self.before.split_at_mut(self.block);
        for (to, (re, im)) in filled.iter_mut().zip(first.iter().zip(second)) {
            *to = Complex32::new(*re, *im);
        }
        rest.fill(Complex32::ZERO);
        self.forward
            .process_with_scratch(&mut self.before, &mut self.scratch);
        // Frequencies below zero are at the end, the highest of them first.
        let kept = self.filter.len();
        let end = self.after.len() - kept;
        self.after[kept..=end].fill(Complex32::ZERO);
        for ((to, x), h) in self.after.iter_mut().zip(&self.before).zip(&self.filter) {
            *to = x * h;
        }
        let below = self.after.iter_mut().rev().zip(self.before.iter().rev());
        for ((to, x), h) in below.zip(&self.filter[1..]) {
            *to = x * h.conj();
        }
        self.back
            .process_with_scratch(&mut self.after, &mut self.scratch);
        self.add(out, |x| x.re);
        self.add(out, |x| x.im);
    }

    /// A block that came back, with what the last one adds to it.
    fn add(&mut self, out: &mut Vec<f32>, part: impl Fn(&Complex32) -> f32) {
        let (block, rest) = self.after.split_at(self.made);
        let (begin, own) = block.split_at(self.overlap.len());
        out.extend(
            begin
                .iter()
                .zip(&self.overlap)
                .map(|(x, before)| part(x) + before),
        );
        out.extend(own.iter().map(&part));
        for (to, x) in self.overlap.iter_mut().zip(rest) {
            *to = part(x);
        }
    }
}

/// A windowed sinc of so many samples, whose sum is one: a Blackman-Harris window, squared, and
/// the highest cutoff with which nothing is left at the lower Nyquist frequency, as fitted for
/// rubato.
fn taps(samples: usize, made: usize) -> Vec<f64> {
    let fewer = samples.min(made) as f64;
    let fit = 13.745202940783823 + (121.73532586374934 + 5964.163279612051 / fewer) / fewer;
    let cutoff = fewer / (fewer + fit) * fewer / samples as f64;
    let tap = |k: usize| {
        let angle = 2.0 * PI * k as f64 / samples as f64;
        let cosines = [
            0.48829 * angle.cos(),
            0.14128 * (2.0 * angle).cos(),
            0.01168 * (3.0 * angle).cos(),
        ];
        let window = 0.35875 - cosines[0] + cosines[1] - cosines[2];
        let x = PI * (k as f64 - (samples / 2) as f64) * cutoff;
        let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
        window * window * sinc
    };
    let taps: Vec<f64> = (0..samples).map(tap).collect();
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|tap| tap / sum).collect()
}
