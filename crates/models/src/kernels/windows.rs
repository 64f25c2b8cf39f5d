//! Convolution over time of channels-last signals as matrix products: windows are rows of the signal
//! itself, with a step shorter than the row, so nothing is unfolded and nothing folded back.

use super::gemm::{Mat, matmul};

/// Sizes of a dense convolution of signals [t, n_in] to [t_out, n_out] without padding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    /// Taps.
    pub(crate) k: usize,
    pub(crate) stride: usize,
    /// Windows; the signal is at least as long as they reach.
    pub(crate) t_out: usize,
}

impl Windows {
    /// Values of a window.
    pub(crate) fn width(&self) -> usize {
        self.k * self.n_in
    }

    /// The windows of a signal as a matrix [windows, width].
    pub(crate) fn of<'a>(&self, signal: &'a [f32]) -> Mat<'a> {
        Mat::new(signal, self.stride * self.n_in, 1)
    }

    /// dw += gᵀ·windows for `g` [t_out, n_out] and `dw` [n_out, width].
    pub(crate) fn weight_grad(&self, signal: &[f32], g: Mat<'_>, dw: &mut [f32]) {
        let size = (self.n_out, self.t_out, self.width());
        matmul(size, 1.0, g.t(), self.of(signal), true, dw, self.width());
    }

    /// Rows of zeros that [`Windows::signal_grad`] wants before and behind the gradient.
    pub(crate) fn reach(&self) -> usize {
        self.k.div_ceil(self.stride).saturating_sub(1)
    }

    /// Taps that samples `phase`, `phase` + stride, … of the signal meet.
    fn taps(&self, phase: usize) -> usize {
        self.k.saturating_sub(phase).div_ceil(self.stride)
    }

    /// Weights [n_out, n_in, k] in the order of [`Windows::signal_grad`]: for each phase [taps, n_out, n_in],
    /// the last tap first.
    pub(crate) fn back_weights(&self, w: &[f32]) -> Vec<f32> {
        let mut out = Vec::with_capacity(w.len());
        for phase in 0..self.stride.min(self.k) {
            for j in (0..self.taps(phase)).rev() {
                let tap = phase + j * self.stride;
                for filter in w.chunks_exact(self.width()) {
                    out.extend(filter[tap..].iter().step_by(self.k));
                }
            }
        }
        out
    }

    /// Writes the gradient of the signal [t, n_in] from `g` [reach + t_out + reach, n_out] with zeros at its
    /// ends.
    ///
    /// Samples that are a stride apart meet the same taps, and what they meet of `g` are windows of it:
    /// one product for each phase of the stride.
    pub(crate) fn signal_grad(&self, back_weights: &[f32], g: &[f32], out: &mut [f32]) {
        let (n, stride, reach) = (self.n_in, self.stride, self.reach());
        let seen = ((self.t_out - 1) * stride + self.k) * n;
        let unwritten = if self.k < stride { 0 } else { seen };
        out[unwritten..].fill(0.0);
        let mut at = 0;
        for phase in 0..stride.min(self.k) {
            let taps = self.taps(phase);
            let inner = taps * self.n_out;
            matmul(
                (self.t_out + taps - 1, inner, n),
                1.0,
                Mat::new(&g[(reach + 1 - taps) * self.n_out..], self.n_out, 1),
                Mat::new(&back_weights[at..], n, 1),
                false,
                &mut out[phase * n..],
                stride * n,
            );
            at += inner * n;
        }
    }

    /// [n_out, n_in, k] → [n_out, k, n_in], the order of a window.
    pub(crate) fn window_weights(&self, w: &[f32]) -> Vec<f32> {
        turned(w, self.n_in, self.k)
    }

    /// The inverse of [`Windows::window_weights`].
    pub(crate) fn plain_weights(&self, w: &[f32]) -> Vec<f32> {
        turned(w, self.k, self.n_in)
    }
}

/// Each matrix [rows, columns] turned to [columns, rows].
fn turned(w: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    if rows == 1 || columns == 1 {
        return w.to_vec();
    }
    let mut out = Vec::with_capacity(w.len());
    for matrix in w.chunks_exact(rows * columns) {
        for c in 0..columns {
            out.extend(matrix[c..].iter().step_by(columns));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ⟨conv(x, w), g⟩ is linear in x and in w: the gradients give it back.
    #[test]
    fn gradients_are_the_adjoint() {
        for (n_in, n_out, k, stride, t) in [
            (3, 2, 3, 2, 12),
            (1, 4, 10, 5, 33),
            (2, 3, 2, 2, 9),
            (2, 1, 1, 3, 8),
            (1, 1, 7, 1, 7),
            (2, 2, 5, 2, 14),
        ] {
            let s = Windows {
                n_in,
                n_out,
                k,
                stride,
                t_out: (t - k) / stride + 1,
            };
            let wave = |n: usize, f: f32| (0..n).map(|i| (i as f32 * f).sin()).collect::<Vec<_>>();
            let x = wave(t * n_in, 0.7);
            let w = wave(n_out * s.width(), 1.3);
            let g = wave(s.t_out * n_out, 2.1);
            let mut y = vec![0.0; s.t_out * n_out];
            let size = (s.t_out, s.width(), n_out);
            let weights = Mat::new(&w, s.width(), 1).t();
            matmul(size, 1.0, s.of(&x), weights, false, &mut y, n_out);
            let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
            let want = dot(&y, &g);
            let mut dx = vec![9.0; x.len()];
            let mut dw = vec![0.0; w.len()];
            s.weight_grad(&x, Mat::new(&g, n_out, 1), &mut dw);
            let ends = vec![0.0; s.reach() * n_out];
            let padded = [&ends[..], &g, &ends].concat();
            s.signal_grad(&s.back_weights(&s.plain_weights(&w)), &padded, &mut dx);
            for found in [dot(&x, &dx), dot(&w, &dw)] {
                assert!((found - want).abs() < 1e-3, "{s:?}: {found} {want}");
            }
            assert_eq!(s.window_weights(&s.plain_weights(&w)), w);
        }
    }
}
