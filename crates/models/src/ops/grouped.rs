//! Convolution over time whose channels are in groups that do not see each other, each a dense
//! convolution of its own with the weights of its place.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::conv::{ConvTime, Sizes};
use super::cpu::{Values, values};
use crate::kernels::gemm::{Mat, matmul};

/// Arguments x [B, Cin, T] and weight [Cout, Cin / groups, K].
pub(super) struct GroupConv(pub(super) ConvTime);

impl GroupConv {
    /// Sizes of one group of one sample, and the number of groups.
    fn sizes(&self, x: &[usize], w: &[usize]) -> Result<(Sizes, usize)> {
        let all = self.0.sizes(x, w)?;
        Ok((all.of_group(), all.conv.groups))
    }
}

impl CustomOp2 for GroupConv {
    fn name(&self) -> &'static str {
        "conv-groups"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (s, groups) = self.sizes(lx.dims(), lw.dims())?;
        let (x, w) = (values(x, lx)?, values(w, lw)?);
        let windows = s.windows();
        let w = windows.window_weights(w);
        let size = (s.n_out, windows.width(), s.t_out);
        let mut out = vec![0.0; s.b * groups * s.n_out * s.t_out];
        out.par_chunks_mut(s.n_out * s.t_out)
            .zip(x.par_chunks(s.n_in * s.t))
            .enumerate()
            .for_each_init(
                || vec![0.0; s.padded * s.n_in],
                |signal, (i, (out, x))| {
                    s.channels_last(x, signal);
                    let w = &w[i % groups * size.0 * size.1..];
                    let signal = windows.of(signal).t();
                    matmul(
                        size,
                        1.0,
                        Mat::new(w, size.1, 1),
                        signal,
                        false,
                        out,
                        s.t_out,
                    );
                },
            );
        let shape = Shape::from((s.b, groups * s.n_out, s.t_out));
        Ok((CpuStorage::F32(out), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (s, groups) = self.sizes(x.dims(), w.dims())?;
        let grad = grad.contiguous()?;
        let (xs, ws, gs) = (Values::of(x)?, Values::of(w)?, Values::of(&grad)?);
        let windows = s.windows();
        let of_group = ws.len() / groups;
        let (of_x, of_g) = (s.n_in * s.t, s.n_out * s.t_out);
        let back: Vec<Vec<f32>> = ws
            .chunks_exact(of_group)
            .map(|w| windows.back_weights(w))
            .collect();
        let mut dx = vec![0.0; xs.len()];
        dx.par_chunks_mut(of_x)
            .zip(gs.par_chunks(of_g))
            .enumerate()
            .for_each_init(
                || s.room(),
                |room, (i, (dx, g))| {
                    let [signal, turned] = room;
                    s.signal_grad(&back[i % groups], g, [signal, turned], dx);
                },
            );
        // A task a group, which adds its samples up in order.
        let mut dw = vec![0.0; ws.len()];
        dw.par_chunks_mut(of_group).enumerate().for_each_init(
            || vec![0.0; s.padded * s.n_in],
            |signal, (group, dw)| {
                for i in (group..s.b * groups).step_by(groups) {
                    s.channels_last(&xs[i * of_x..(i + 1) * of_x], signal);
                    let g = Mat::new(&gs[i * of_g..(i + 1) * of_g], s.t_out, 1);
                    windows.weight_grad(signal, g.t(), dw);
                }
            },
        );
        let dw = windows.plain_weights(&dw);
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dw, w.shape(), w.device())?),
        ))
    }
}
