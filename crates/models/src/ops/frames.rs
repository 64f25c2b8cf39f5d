//! Strided convolutions over channels-last signals with GELU in the same pass: what turns a waveform into
//! frames. Channels-last, a window is a row, so nothing is transposed between one and the next.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{Values, add_up, chunk, values};
use crate::kernels::gemm::{Mat, matmul};
use crate::kernels::scratch::Scratch;
use crate::kernels::vector;
use crate::kernels::windows::Windows;

/// Rows of a result that one task makes: enough to pay for packing the weights.
const ROWS: usize = 1024;

/// Arguments x [B, T, Cin] and weight [Cout, Cin, K]; gives [B, T', Cout].
pub(super) struct FrameConv {
    stride: usize,
    gelu: bool,
    /// Keep what GELU was given for the backward pass; else it is made again.
    keep: bool,
    /// One a sample.
    kept: Mutex<Vec<Scratch>>,
}

impl FrameConv {
    pub(super) fn new(stride: usize, gelu: bool, keep: bool) -> Self {
        Self {
            stride,
            gelu,
            keep: keep && gelu,
            kept: Mutex::default(),
        }
    }

    fn windows(&self, x: &[usize], w: &[usize]) -> Result<(usize, Windows)> {
        match (x, w) {
            (&[_, t, n_in], &[n_out, c, k])
                if c == n_in && n_in * n_out * k * self.stride > 0 && k <= t =>
            {
                let t_out = (t - k) / self.stride + 1;
                let stride = self.stride;
                let windows = Windows {
                    n_in,
                    n_out,
                    k,
                    stride,
                    t_out,
                };
                Ok((t * n_in, windows))
            }
            _ => bail!("convolution of frames {x:?} with weight {w:?}"),
        }
    }
}

/// given ← windows of one sample by the weights [n_out, width], and `out` what GELU makes of it.
fn products(s: &Windows, x: &[f32], weights: &[f32], given: &mut [f32], out: Option<&mut [f32]>) {
    let weights = Mat::new(weights, s.width(), 1).t();
    let product = |i: usize, given: &mut [f32]| {
        let rows = (given.len() / s.n_out, s.width(), s.n_out);
        let x = s.of(&x[i * ROWS * s.stride * s.n_in..]);
        matmul(rows, 1.0, x, weights, false, given, s.n_out);
    };
    let blocks = given.par_chunks_mut(ROWS * s.n_out).enumerate();
    match out {
        None => blocks.for_each(|(i, given)| product(i, given)),
        Some(out) => {
            blocks
                .zip(out.par_chunks_mut(ROWS * s.n_out))
                .for_each(|((i, given), out)| {
                    product(i, given);
                    vector::gelu(given, out);
                })
        }
    }
}

impl CustomOp2 for FrameConv {
    fn name(&self) -> &'static str {
        "frame-conv"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (size, s) = self.windows(lx.dims(), lw.dims())?;
        let (x, w) = (values(x, lx)?, values(w, lw)?);
        let weights = s.window_weights(w);
        let of_sample = s.t_out * s.n_out;
        let mut out = vec![0.0; x.len() / size * of_sample];
        let samples = out.par_chunks_mut(of_sample).zip(x.par_chunks(size));
        let kept: Vec<Option<Scratch>> = samples
            .map(|(out, x)| {
                if !self.gelu {
                    products(&s, x, &weights, out, None);
                    return None;
                }
                let mut given = Scratch::any(of_sample);
                products(&s, x, &weights, &mut given, Some(out));
                self.keep.then_some(given)
            })
            .collect();
        let kept = kept.into_iter().flatten().collect();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        let shape = Shape::from((x.len() / size, s.t_out, s.n_out));
        Ok((CpuStorage::F32(out), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (size, s) = self.windows(x.dims(), w.dims())?;
        let grad = grad.contiguous()?;
        let (xs, ws, gs) = (Values::of(x)?, Values::of(w)?, Values::of(&grad)?);
        let wanted = x.track_op();
        let (weights, back) = (s.window_weights(&ws), s.back_weights(&ws));
        let b = xs.len() / size;
        let (step, of_sample) = (chunk(b), s.t_out * s.n_out);
        let mut dx = vec![0.0; if wanted { xs.len() } else { 0 }];
        let mut kept = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *kept).into_iter()
        };
        // One task a group of samples; an absent dx has no samples to write.
        let mut gradients = dx.chunks_exact_mut(size);
        let groups: Vec<_> = (0..b)
            .step_by(step)
            .map(|first| {
                let n = step.min(b - first);
                let dx: Vec<&mut [f32]> = gradients.by_ref().take(n).collect();
                let kept: Vec<Scratch> = kept.by_ref().take(n).collect();
                (first..first + n, dx, kept)
            })
            .collect();
        let parts: Vec<Scratch> = groups
            .into_par_iter()
            .map(|(samples, dx, kept)| {
                let mut dw = Scratch::zeros(ws.len());
                let ends = s.reach() * s.n_out;
                let mut g = Scratch::any(of_sample + 2 * ends);
                g[..ends].fill(0.0);
                g[ends + of_sample..].fill(0.0);
                let (mut dx, mut kept) = (dx.into_iter(), kept.into_iter());
                for i in samples {
                    let x = &xs[i * size..(i + 1) * size];
                    let from = &gs[i * of_sample..(i + 1) * of_sample];
                    let inner = &mut g[ends..ends + of_sample];
                    if self.gelu {
                        let given = kept.next().unwrap_or_else(|| {
                            let mut given = Scratch::any(of_sample);
                            products(&s, x, &weights, &mut given, None);
                            given
                        });
                        vector::gelu_grad(&given, from, inner);
                    } else {
                        inner.copy_from_slice(from);
                    }
                    s.weight_grad(x, Mat::new(inner, s.n_out, 1), &mut dw);
                    if let Some(dx) = dx.next() {
                        s.signal_grad(&back, &g, dx);
                    }
                }
                dw
            })
            .collect();
        let dw = s.plain_weights(&add_up(&parts, ws.len()));
        let dx = wanted
            .then(|| Tensor::from_vec(dx, x.shape(), x.device()))
            .transpose()?;
        Ok((dx, Some(Tensor::from_vec(dw, w.shape(), w.device())?)))
    }
}
