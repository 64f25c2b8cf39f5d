//! Convolution over time on the CPU.
//!
//! Depthwise kernels and long dense ones slide over rows. The others are one matrix product a
//! sample over channels-last data, whose windows are rows with an overlapping stride, so nothing
//! is unfolded.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::TimeConv;
use super::cpu::{Values, add_up, chunk, values};
use crate::kernels::gemm::{Mat, matmul};
use crate::kernels::rows::row_sums;
use crate::kernels::slide::correlate;
use crate::kernels::windows::Windows;

/// Taps from which dense kernels slide over rows.
const SLIDE_FROM: usize = 8;
/// Filters up to which they do: with more, packing windows for a matrix product pays.
const SLIDE_FILTERS: usize = 16;

/// Arguments x [..., Cin, T], weight [Cout, Cin / groups, K] and, with three, bias [Cout].
pub(super) struct ConvTime {
    pub(super) conv: TimeConv,
}

/// Sizes of one convolution.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) b: usize,
    pub(super) n_in: usize,
    pub(super) t: usize,
    pub(super) n_out: usize,
    k: usize,
    pub(super) t_out: usize,
    /// Samples of a padded row.
    pub(super) padded: usize,
    pub(super) conv: TimeConv,
}

impl ConvTime {
    /// Whether there is a kernel: dense, or depthwise with stride 1.
    pub(super) fn fits(&self, n_in: usize, per_group: usize, k: usize) -> bool {
        let c = &self.conv;
        c.groups == 1
            || (c.groups == n_in
                && per_group == 1
                && c.stride == 1
                && c.pad_left < k
                && c.pad_right < k)
    }

    pub(super) fn sizes(&self, x: &[usize], w: &[usize]) -> Result<Sizes> {
        let (&[ref before @ .., n_in, t], &[n_out, per_group, k]) = (x, w) else {
            bail!("convolution over time of shapes {x:?} and {w:?}");
        };
        let conv = self.conv;
        if conv.stride == 0
            || conv.groups == 0
            || per_group * conv.groups != n_in
            || n_out % conv.groups != 0
            || k == 0
        {
            bail!(
                "convolution over time of {n_in} channels with weight {w:?} in {} groups",
                conv.groups
            );
        }
        let Some(t_out) = conv.output_len(t, k) else {
            bail!("kernel of {k} does not fit {t} samples");
        };
        Ok(Sizes {
            b: before.iter().product(),
            n_in,
            t,
            n_out,
            k,
            t_out,
            padded: t + conv.pad_left + conv.pad_right,
            conv,
        })
    }
}

impl Sizes {
    /// Whether each output channel sees one input channel, in steps of one: rows are slid over.
    fn depthwise(&self) -> bool {
        let c = &self.conv;
        c.groups == self.n_in && c.stride == 1 && c.pad_left < self.k && c.pad_right < self.k
    }

    /// Whether a dense convolution slides too: a matrix product with few filters spends its time
    /// on packing windows, and long kernels keep the slide busy.
    fn slides(&self) -> bool {
        let c = &self.conv;
        c.groups == 1
            && c.stride == 1
            && self.k >= SLIDE_FROM
            && self.n_out <= SLIDE_FILTERS
            && c.pad_left < self.k
            && c.pad_right < self.k
    }

    /// Filters of output channel `o` begin here: one a channel that it sees.
    fn filters(&self, o: usize) -> impl Iterator<Item = (usize, usize)> {
        let seen = self.n_in / self.conv.groups;
        let first = o / (self.n_out / self.conv.groups) * seen;
        let k = self.k;
        (0..seen).map(move |i| (first + i, (o * seen + i) * k))
    }

    /// A row with its zeros around it.
    fn pad_row(&self, x: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        out[self.conv.pad_left..self.conv.pad_left + self.t].copy_from_slice(x);
    }

    /// [Cin, T] → padded [T', Cin].
    pub(super) fn channels_last(&self, x: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        for (c, row) in x.chunks_exact(self.t).enumerate() {
            for (o, v) in out[self.conv.pad_left * self.n_in + c..]
                .iter_mut()
                .step_by(self.n_in)
                .zip(row)
            {
                *o = *v;
            }
        }
    }

    /// Whether windows are the signal itself: kernel 1, stride 1, no padding.
    fn pointwise(&self) -> bool {
        self.k == 1 && self.conv.stride == 1 && self.padded == self.t
    }

    /// Those of one of its groups.
    pub(super) fn of_group(self) -> Self {
        let groups = self.conv.groups;
        Self {
            n_in: self.n_in / groups,
            n_out: self.n_out / groups,
            conv: TimeConv {
                groups: 1,
                ..self.conv
            },
            ..self
        }
    }

    /// Room for a padded channels-last signal and for its gradient between zeros.
    pub(super) fn room(&self) -> [Vec<f32>; 2] {
        let rows = self.t_out + 2 * self.windows().reach();
        [self.padded * self.n_in, rows * self.n_out].map(|n| vec![0.0; n])
    }

    /// dx [Cin, T] from `g` [Cout, T_out] of one sample.
    pub(super) fn signal_grad(
        &self,
        back_weights: &[f32],
        g: &[f32],
        [signal, turned]: [&mut [f32]; 2],
        dx: &mut [f32],
    ) {
        let windows = self.windows();
        let before = windows.reach() * self.n_out;
        for (c, row) in g.chunks_exact(self.t_out).enumerate() {
            let own = turned[before + c..].iter_mut().step_by(self.n_out);
            own.zip(row).for_each(|(o, v)| *o = *v);
        }
        windows.signal_grad(back_weights, turned, signal);
        // Take the channels apart again.
        for (c, row) in dx.chunks_exact_mut(self.t).enumerate() {
            let own = signal[self.conv.pad_left * self.n_in + c..].iter();
            let own = own.step_by(self.n_in);
            row.iter_mut().zip(own).for_each(|(d, v)| *d = *v);
        }
    }

    /// The windows of the padded channels-last signal.
    pub(super) fn windows(&self) -> Windows {
        Windows {
            n_in: self.n_in,
            n_out: self.n_out,
            k: self.k,
            stride: self.conv.stride,
            t_out: self.t_out,
        }
    }
}

impl ConvTime {
    fn forward(
        &self,
        x: (&CpuStorage, &Layout),
        w: (&CpuStorage, &Layout),
        bias: &[f32],
    ) -> Result<(CpuStorage, Shape)> {
        let mut dims = x.1.dims().to_vec();
        let s = self.sizes(&dims, w.1.dims())?;
        let (x, w) = (values(x.0, x.1)?, values(w.0, w.1)?);
        // The products are added to what is there: the bias, or nothing.
        let mut out = vec![0.0; s.b * s.n_out * s.t_out];
        if !bias.is_empty() {
            if bias.len() != s.n_out {
                bail!("bias of {} values for {} channels", bias.len(), s.n_out);
            }
            for (row, b) in out.chunks_exact_mut(s.t_out).zip(bias.iter().cycle()) {
                row.fill(*b);
            }
        }
        if s.depthwise() || s.slides() {
            slide_forward(&s, x, w, &mut out);
        } else {
            dense_forward(&s, x, w, &mut out);
        }
        let last = dims.len() - 2;
        dims[last..].copy_from_slice(&[s.n_out, s.t_out]);
        Ok((CpuStorage::F32(out), dims.into()))
    }

    fn backward(&self, x: &Tensor, w: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Tensor)> {
        let s = self.sizes(x.dims(), w.dims())?;
        let (xs, ws, g) = (Values::of(x)?, Values::of(w)?, Values::of(grad)?);
        // The recording itself needs no gradient: skip the larger half of the work.
        let wanted = x.track_op();
        let (dx, dw) = match s.depthwise() || s.slides() {
            true => slide_backward(&s, &xs, &ws, &g, wanted),
            false => dense_backward(&s, &xs, &ws, &g, wanted),
        };
        let dx = dx
            .map(|d| Tensor::from_vec(d, x.shape(), x.device()))
            .transpose()?;
        Ok((dx, Tensor::from_vec(dw, w.shape(), w.device())?))
    }
}

impl CustomOp2 for ConvTime {
    fn name(&self) -> &'static str {
        "conv-time"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, lx), (w, lw), &[])
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = self.backward(x, w, &grad.contiguous()?)?;
        Ok((dx, Some(dw)))
    }
}

impl CustomOp3 for ConvTime {
    fn name(&self) -> &'static str {
        "conv-time-bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, lx), (w, lw), values(b, lb)?)
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (dx, dw) = self.backward(x, w, &grad)?;
        let s = self.sizes(x.dims(), w.dims())?;
        let (n, c, t) = (s.b, s.n_out, s.t_out);
        let g = Values::of(&grad)?;
        let g: &[f32] = &g;
        let db: Vec<f32> = (0..c)
            .into_par_iter()
            .map(|ch| {
                let rows = (0..n).map(|s| &g[(s * c + ch) * t..(s * c + ch + 1) * t]);
                rows.map(|r| f64::from(row_sums(r, 0.0).0)).sum::<f64>() as f32
            })
            .collect();
        Ok((dx, Some(dw), Some(Tensor::from_vec(db, c, b.device())?)))
    }
}

fn slide_forward(s: &Sizes, x: &[f32], w: &[f32], out: &mut [f32]) {
    out.par_chunks_mut(s.n_out * s.t_out)
        .zip(x.par_chunks(s.n_in * s.t))
        .for_each_init(
            || vec![0.0; s.n_in * s.padded],
            |rows, (out, x)| {
                for (row, x) in rows.chunks_exact_mut(s.padded).zip(x.chunks_exact(s.t)) {
                    s.pad_row(x, row);
                }
                for (o, out) in out.chunks_exact_mut(s.t_out).enumerate() {
                    for (c, f) in s.filters(o) {
                        correlate(&rows[c * s.padded..(c + 1) * s.padded], &w[f..f + s.k], out);
                    }
                }
            },
        );
}

fn slide_backward(
    s: &Sizes,
    x: &[f32],
    w: &[f32],
    g: &[f32],
    wanted: bool,
) -> (Option<Vec<f32>>, Vec<f32>) {
    let reversed: Vec<f32> = w
        .chunks_exact(s.k)
        .flat_map(|w| w.iter().rev().copied())
        .collect();
    let step = chunk(s.b);
    let mut dx = vec![0.0; if wanted { x.len() } else { 0 }];
    // One task a group of samples; an absent dx is a group of empty slices.
    let groups: Vec<&mut [f32]> = match wanted {
        true => dx.chunks_mut(step * s.n_in * s.t).collect(),
        false => (0..s.b.div_ceil(step))
            .map(|_| Default::default())
            .collect(),
    };
    // The gradient between K − 1 − pad zeros: sliding the reversed kernel over it gives dx.
    let before = s.k - 1 - s.conv.pad_left;
    let parts: Vec<Vec<f32>> = groups
        .into_par_iter()
        .zip(x.par_chunks(step * s.n_in * s.t))
        .zip(g.par_chunks(step * s.n_out * s.t_out))
        .map(|((dx, x), g)| {
            let mut dw = vec![0.0; w.len()];
            let mut rows = vec![0.0; s.n_in * s.padded];
            let mut spread = vec![0.0; s.t + s.k - 1];
            let mut dx = dx.chunks_exact_mut(s.n_in * s.t);
            for (x, g) in x
                .chunks_exact(s.n_in * s.t)
                .zip(g.chunks_exact(s.n_out * s.t_out))
            {
                for (row, x) in rows.chunks_exact_mut(s.padded).zip(x.chunks_exact(s.t)) {
                    s.pad_row(x, row);
                }
                let mut dx = dx.next();
                for (o, g) in g.chunks_exact(s.t_out).enumerate() {
                    spread[before..before + s.t_out].copy_from_slice(g);
                    for (c, f) in s.filters(o) {
                        correlate(
                            &rows[c * s.padded..(c + 1) * s.padded],
                            g,
                            &mut dw[f..f + s.k],
                        );
                        if let Some(dx) = dx.as_deref_mut() {
                            correlate(
                                &spread,
                                &reversed[f..f + s.k],
                                &mut dx[c * s.t..(c + 1) * s.t],
                            );
                        }
                    }
                }
            }
            dw
        })
        .collect();
    (wanted.then_some(dx), add_up(&parts, w.len()))
}

fn dense_forward(s: &Sizes, x: &[f32], w: &[f32], out: &mut [f32]) {
    let size = (s.n_out, s.k * s.n_in, s.t_out);
    if s.pointwise() {
        out.par_chunks_mut(s.n_out * s.t)
            .zip(x.par_chunks(s.n_in * s.t))
            .for_each(|(out, x)| {
                matmul(
                    size,
                    1.0,
                    Mat::new(w, s.n_in, 1),
                    Mat::new(x, s.t, 1),
                    true,
                    out,
                    s.t,
                );
            });
        return;
    }
    let windows = s.windows();
    let w = windows.window_weights(w);
    out.par_chunks_mut(s.n_out * s.t_out)
        .zip(x.par_chunks(s.n_in * s.t))
        .for_each_init(
            || vec![0.0; s.padded * s.n_in],
            |signal, (out, x)| {
                s.channels_last(x, signal);
                matmul(
                    size,
                    1.0,
                    Mat::new(&w, s.k * s.n_in, 1),
                    windows.of(signal).t(),
                    true,
                    out,
                    s.t_out,
                );
            },
        );
}

fn dense_backward(
    s: &Sizes,
    x: &[f32],
    w: &[f32],
    g: &[f32],
    wanted: bool,
) -> (Option<Vec<f32>>, Vec<f32>) {
    let windows = s.windows();
    let weights = match (wanted, s.pointwise()) {
        (true, false) => windows.back_weights(w),
        _ => w.to_vec(),
    };
    let step = chunk(s.b);
    let mut dx = vec![0.0; if wanted { x.len() } else { 0 }];
    let groups: Vec<&mut [f32]> = match wanted {
        true => dx.chunks_mut(step * s.n_in * s.t).collect(),
        false => (0..s.b.div_ceil(step))
            .map(|_| Default::default())
            .collect(),
    };
    let parts: Vec<Vec<f32>> = groups
        .into_par_iter()
        .zip(x.par_chunks(step * s.n_in * s.t))
        .zip(g.par_chunks(step * s.n_out * s.t_out))
        .map(|((dx, x), g)| {
            let mut dw = vec![0.0; w.len()];
            let [mut signal, mut turned] = match s.pointwise() {
                true => Default::default(),
                false => s.room(),
            };
            let mut dx = dx.chunks_exact_mut(s.n_in * s.t);
            for (x, g) in x
                .chunks_exact(s.n_in * s.t)
                .zip(g.chunks_exact(s.n_out * s.t_out))
            {
                let grad = Mat::new(g, s.t_out, 1);
                if s.pointwise() {
                    matmul(
                        (s.n_out, s.t, s.n_in),
                        1.0,
                        grad,
                        Mat::new(x, s.t, 1).t(),
                        true,
                        &mut dw,
                        s.n_in,
                    );
                    if let Some(dx) = dx.next() {
                        let w = Mat::new(&weights, s.n_in, 1);
                        matmul((s.n_in, s.n_out, s.t), 1.0, w.t(), grad, false, dx, s.t);
                    }
                    continue;
                }
                s.channels_last(x, &mut signal);
                windows.weight_grad(&signal, grad.t(), &mut dw);
                if let Some(dx) = dx.next() {
                    s.signal_grad(&weights, g, [&mut signal, &mut turned], dx);
                }
            }
            dw
        })
        .collect();
    (
        wanted.then_some(dx),
        windows.plain_weights(&add_up(&parts, w.len())),
    )
}
