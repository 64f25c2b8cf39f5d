//! A map of rows, y = x·Wᵀ + b, in one operation: the bias is where the product starts from, and
//! the gradient of the weight is one product, not one of transposes and sums.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::cpu::{Values, values};
use crate::kernels::gemm::{Mat, matmul_shared};
use crate::kernels::tokens::{add_columns, fill_rows};

/// Arguments x [rows, n_in], weight [n_out, n_in] and perhaps bias [n_out].
pub(super) struct Linear;

fn forward(x: &[f32], w: &[f32], b: Option<&[f32]>, n_in: usize, n_out: usize) -> Vec<f32> {
    let rows = x.len() / n_in;
    let mut out = vec![0.0; rows * n_out];
    if let Some(b) = b {
        fill_rows(b, &mut out);
    }
    let (x, w) = (Mat::new(x, n_in, 1), Mat::new(w, n_in, 1).t());
    matmul_shared((rows, n_in, n_out), x, w, b.is_some(), &mut out);
    out
}

/// Gradients of x, weight and bias.
fn backward(x: &[f32], w: &[f32], g: &[f32], n_in: usize, n_out: usize) -> [Vec<f32>; 3] {
    let rows = x.len() / n_in;
    let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; n_out]);
    let (x, w, by_row) = (
        Mat::new(x, n_in, 1),
        Mat::new(w, n_in, 1),
        Mat::new(g, n_out, 1),
    );
    matmul_shared((rows, n_out, n_in), by_row, w, false, &mut dx);
    matmul_shared((n_out, rows, n_in), by_row.t(), x, false, &mut dw);
    add_columns(g, &mut db);
    [dx, dw, db]
}

fn sizes(x: &Shape, w: &Shape) -> Result<(usize, usize, usize)> {
    let ((rows, n_in), (n_out, width)) = (x.dims2()?, w.dims2()?);
    if n_in != width || rows * n_in * n_out == 0 {
        bail!("linear map of {:?} by {:?}", x.dims(), w.dims());
    }
    Ok((rows, n_in, n_out))
}

/// Gradients of x, weight and bias as tensors.
fn gradients(x: &Tensor, w: &Tensor, grad: &Tensor) -> Result<[Tensor; 3]> {
    let (_, n_in, n_out) = sizes(x.shape(), w.shape())?;
    let grad = grad.contiguous()?;
    let (xs, ws, gs) = (Values::of(x)?, Values::of(w)?, Values::of(&grad)?);
    let [dx, dw, db] = backward(&xs, &ws, &gs, n_in, n_out);
    Ok([
        Tensor::from_vec(dx, x.shape(), x.device())?,
        Tensor::from_vec(dw, w.shape(), w.device())?,
        Tensor::from_vec(db, n_out, w.device())?,
    ])
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, n_in, n_out) = sizes(lx.shape(), lw.shape())?;
        let y = forward(values(x, lx)?, values(w, lw)?, None, n_in, n_out);
        Ok((CpuStorage::F32(y), (rows, n_out).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, _] = gradients(x, w, grad)?;
        Ok((Some(dx), Some(dw)))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let (rows, n_in, n_out) = sizes(lx.shape(), lw.shape())?;
        let bias = values(b, lb)?;
        if bias.len() != n_out {
            bail!("linear map to {n_out} values with {} biases", bias.len());
        }
        let y = forward(values(x, lx)?, values(w, lw)?, Some(bias), n_in, n_out);
        Ok((CpuStorage::F32(y), (rows, n_out).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _b: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] = gradients(x, w, grad)?;
        Ok((Some(dx), Some(dw), Some(db)))
    }
}
