//! Layers: variables bound to the operations that use them.

use candle_core::{Tensor, Var};

use crate::error::Result;
use crate::model::Mode;
use crate::ops::{self, Norm};
use crate::params::{Init, Params};

/// y = x·Wᵀ + b, W [out, in].
#[derive(Debug, Clone)]
pub struct Linear {
    /// [out, in].
    pub weight: Tensor,
    /// [out].
    pub bias: Option<Tensor>,
}

impl Linear {
    /// Adds `{name}.weight` and, if wanted, `{name}.bias` (zeros).
    pub fn new(
        params: &mut Params,
        name: &str,
        n_in: usize,
        n_out: usize,
        bias: bool,
        init: Init,
    ) -> Result<Self> {
        let weight = params.weight(&format!("{name}.weight"), (n_out, n_in), init)?;
        let bias = if bias {
            Some(params.weight(&format!("{name}.bias"), n_out, Init::Const(0.0))?)
        } else {
            None
        };
        Ok(Self { weight, bias })
    }

    /// Weight, and bias where there is one.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Tensor> {
        std::iter::once(&self.weight).chain(&self.bias)
    }

    /// Weight and bias; none without a bias.
    pub(crate) fn pair(&self) -> Option<[&Tensor; 2]> {
        Some([&self.weight, self.bias.as_ref()?])
    }

    /// [..., in] → [..., out].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut dims = x.dims().to_vec();
        let n_in = self.weight.dim(1)?;
        // One matrix product over all leading dimensions.
        let y = ops::linear(&x.reshape(((), n_in))?, &self.weight, self.bias.as_ref())?;
        if let Some(last) = dims.last_mut() {
            *last = self.weight.dim(0)?;
        }
        Ok(y.reshape(dims)?)
    }
}

/// Layer normalisation of the last dimension.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Adds `{name}.weight` (ones) and `{name}.bias` (zeros).
    pub fn new(params: &mut Params, name: &str, size: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: params.weight(&format!("{name}.weight"), size, Init::Const(1.0))?,
            bias: params.weight(&format!("{name}.bias"), size, Init::Const(0.0))?,
            eps,
        })
    }

    /// Weight and bias.
    pub(crate) fn weights(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }

    /// [..., size] → the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::layer_norm(x, &self.weight, &self.bias, self.eps)?)
    }
}

/// Linear, GELU, layer norm: `{name}.0` and `{name}.2`, MindMix's projection into the common space.
#[derive(Debug, Clone)]
pub struct Projection {
    linear: Linear,
    norm: LayerNorm,
}

impl Projection {
    /// Adds `{name}.0` [n_out, n_in] and the norm `{name}.2` [n_out].
    pub fn new(params: &mut Params, name: &str, n_in: usize, n_out: usize) -> Result<Self> {
        let init = Init::TruncNormal(0.02);
        Ok(Self {
            linear: Linear::new(params, &format!("{name}.0"), n_in, n_out, true, init)?,
            // PyTorch's default epsilon.
            norm: LayerNorm::new(params, &format!("{name}.2"), n_out, 1e-5)?,
        })
    }

    /// [..., n_in] → [..., n_out].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(&ops::gelu(&self.linear.forward(x)?)?)
    }
}

/// Batch normalisation over batch and time (Ioffe and Szegedy 2015), PyTorch's conventions:
/// running ← (1 − momentum)·running + momentum·batch, with the unbiased batch variance stored
/// and the population variance used.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    /// Scale [C].
    pub weight: Tensor,
    /// Shift [C].
    pub bias: Tensor,
    /// Running mean [C].
    pub running_mean: Var,
    /// Running variance [C].
    pub running_var: Var,
    /// Added to the variance.
    pub eps: f64,
    /// Share of the new batch in the running statistics (Keras' momentum is one minus this).
    pub momentum: f64,
}

impl BatchNorm {
    /// Adds `{name}.weight`, `.bias`, `.running_mean` and `.running_var`.
    pub fn new(
        params: &mut Params,
        name: &str,
        channels: usize,
        eps: f64,
        momentum: f64,
    ) -> Result<Self> {
        Ok(Self {
            weight: params.weight(&format!("{name}.weight"), channels, Init::Const(1.0))?,
            bias: params.weight(&format!("{name}.bias"), channels, Init::Const(0.0))?,
            running_mean: params.buffer(&format!("{name}.running_mean"), channels, 0.0)?,
            running_var: params.buffer(&format!("{name}.running_var"), channels, 1.0)?,
            eps,
            momentum,
        })
    }

    /// [B, C, T] → the same shape; in training mode the running statistics move.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.normalise(x, mode, None)
    }

    /// [B, C, T] → [B, C, T / pool]: batch norm, ELU and the mean of `pool` neighbours in one pass.
    pub fn forward_elu_pool(&self, x: &Tensor, pool: usize, mode: Mode) -> Result<Tensor> {
        self.normalise(x, mode, Some(pool))
    }

    fn normalise(&self, x: &Tensor, mode: Mode, elu_pool: Option<usize>) -> Result<Tensor> {
        let norm = match mode {
            Mode::Train { .. } => Norm::Batch,
            Mode::Eval => Norm::Fixed {
                mean: self.running_mean.as_tensor(),
                var: self.running_var.as_tensor(),
            },
        };
        let (y, statistics) =
            ops::batch_norm(x, &self.weight, &self.bias, self.eps, norm, elu_pool)?;
        if let Some(s) = statistics {
            self.update(&s.mean, &s.var, x.elem_count() / x.dim(1)?.max(1))?;
        }
        Ok(y)
    }

    /// Moves the running statistics towards batch statistics [C] taken over `n` values; `var` is
    /// the population variance.
    pub fn update(&self, mean: &Tensor, var: &Tensor, n: usize) -> Result<()> {
        let m = self.momentum;
        let unbias = n as f64 / n.saturating_sub(1).max(1) as f64;
        let mean = ((self.running_mean.as_tensor() * (1.0 - m))? + (mean.detach() * m)?)?;
        let var = ((self.running_var.as_tensor() * (1.0 - m))? + (var.detach() * (m * unbias))?)?;
        self.running_mean.set(&mean.detach())?;
        self.running_var.set(&var.detach())?;
        Ok(())
    }
}

/// Scales rows of a weight (first dimension) down so that no L2 norm exceeds `limit`.
pub fn max_norm(weight: &Var, limit: f64) -> Result<()> {
    let w = weight.as_tensor().detach();
    let rows = w.flatten_from(1)?;
    let norm = rows.sqr()?.sum_keepdim(1)?.sqrt()?;
    // limit / max(norm, limit) is one for rows within the limit.
    let factor = (norm.maximum(limit)?.recip()? * limit)?;
    weight.set(&rows.broadcast_mul(&factor)?.reshape(w.shape())?)?;
    Ok(())
}
