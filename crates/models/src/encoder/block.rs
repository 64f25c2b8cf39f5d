//! One pre-norm transformer block with q/k norm, layer scale and drop path.

use candle_core::Tensor;

use super::config::EncoderConfig;
use crate::error::Result;
use crate::layers::{LayerNorm, Linear};
use crate::model::Mode;
use crate::ops;
use crate::params::{Init, Params};

/// Epsilon of all layer norms of the transformer.
pub(crate) const EPS: f64 = 1e-6;
/// Standard deviation of the initial weights.
pub(crate) const INIT_STD: f64 = 0.02;

#[derive(Debug, Clone)]
struct Attention {
    qkv: Linear,
    /// Biases of queries and values.
    qv_bias: Option<(Tensor, Tensor)>,
    qk_norm: Option<(LayerNorm, LayerNorm)>,
    proj: Linear,
    heads: usize,
}

impl Attention {
    fn new(params: &mut Params, name: &str, c: &EncoderConfig, out_std: f64) -> Result<Self> {
        let d = c.width();
        let qkv = Linear::new(
            params,
            &format!("{name}.qkv"),
            d,
            3 * d,
            false,
            Init::TruncNormal(INIT_STD),
        )?;
        let qv_bias = if c.qkv_bias {
            let q = params.weight(&format!("{name}.q_bias"), d, Init::Const(0.0))?;
            Some((
                q,
                params.weight(&format!("{name}.v_bias"), d, Init::Const(0.0))?,
            ))
        } else {
            None
        };
        let qk_norm = if c.qk_norm {
            let q = LayerNorm::new(params, &format!("{name}.q_norm"), c.head_width(), EPS)?;
            Some((
                q,
                LayerNorm::new(params, &format!("{name}.k_norm"), c.head_width(), EPS)?,
            ))
        } else {
            None
        };
        let proj = Linear::new(
            params,
            &format!("{name}.proj"),
            d,
            d,
            true,
            Init::TruncNormal(out_std),
        )?;
        Ok(Self {
            qkv,
            qv_bias,
            qk_norm,
            proj,
            heads: c.heads,
        })
    }

    fn forward(&self, x: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
        let (b, n, d) = x.dims3()?;
        let head = d / self.heads;
        let qkv = self.qkv.forward(x)?;
        // Rows of the fused weight: queries, keys, values, each head-major.
        let part = |i: usize, bias: Option<&Tensor>| -> Result<Tensor> {
            let p = qkv.narrow(2, i * d, d)?;
            let p = match bias {
                Some(bias) => p.broadcast_add(bias)?,
                None => p,
            };
            Ok(p.reshape((b, n, self.heads, head))?
                .transpose(1, 2)?
                .contiguous()?)
        };
        let (q_bias, v_bias) = match &self.qv_bias {
            Some((q, v)) => (Some(q), Some(v)),
            None => (None, None),
        };
        let (mut q, mut k, v) = (part(0, q_bias)?, part(1, None)?, part(2, v_bias)?);
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            (q, k) = (q_norm.forward(&q)?, k_norm.forward(&k)?);
        }
        let scale = 1.0 / (head as f64).sqrt();
        let y = match lengths {
            None => ops::attention(&q, &k, &v, scale)?,
            Some(lengths) => ops::attention_padded(&q, &k, &v, scale, lengths)?,
        };
        self.proj
            .forward(&y.transpose(1, 2)?.contiguous()?.reshape((b, n, d))?)
    }
}

/// The block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    name: String,
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    gammas: Option<(Tensor, Tensor)>,
    drop_path: f32,
}

impl Block {
    /// Adds the variables of `{prefix}blocks.{index}`.
    pub(super) fn new(
        params: &mut Params,
        prefix: &str,
        index: usize,
        c: &EncoderConfig,
    ) -> Result<Self> {
        let name = format!("{prefix}blocks.{index}");
        let d = c.width();
        // The published initialisation divides the two output maps by sqrt(2·layer).
        let out_std = INIT_STD / (2.0 * (index + 1) as f64).sqrt();
        let gammas = match c.layer_scale {
            Some(start) => {
                let first = params.weight(&format!("{name}.gamma_1"), d, Init::Const(start))?;
                Some((
                    first,
                    params.weight(&format!("{name}.gamma_2"), d, Init::Const(start))?,
                ))
            }
            None => None,
        };
        let rate = if c.depth > 1 {
            c.drop_path * index as f32 / (c.depth - 1) as f32
        } else {
            0.0
        };
        Ok(Self {
            norm1: LayerNorm::new(params, &format!("{name}.norm1"), d, EPS)?,
            attn: Attention::new(params, &format!("{name}.attn"), c, out_std)?,
            norm2: LayerNorm::new(params, &format!("{name}.norm2"), d, EPS)?,
            fc1: Linear::new(
                params,
                &format!("{name}.mlp.fc1"),
                d,
                c.mlp,
                true,
                Init::TruncNormal(INIT_STD),
            )?,
            fc2: Linear::new(
                params,
                &format!("{name}.mlp.fc2"),
                c.mlp,
                d,
                true,
                Init::TruncNormal(out_std),
            )?,
            gammas,
            drop_path: rate,
            name,
        })
    }

    /// [B, N, D] → [B, N, D]; with `lengths`, sample i has so many tokens and padding behind them.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        lengths: Option<&[usize]>,
        mode: Mode,
    ) -> Result<Tensor> {
        let (g1, g2) = match &self.gammas {
            Some((a, b)) => (Some(a), Some(b)),
            None => (None, None),
        };
        let y = self.attn.forward(&self.norm1.forward(x)?, lengths)?;
        let x = self.residual(x, y, g1, mode, "attn")?;
        let y = self
            .fc2
            .forward(&ops::gelu(&self.fc1.forward(&self.norm2.forward(&x)?)?)?)?;
        self.residual(&x, y, g2, mode, "mlp")
    }

    fn residual(
        &self,
        x: &Tensor,
        y: Tensor,
        gamma: Option<&Tensor>,
        mode: Mode,
        part: &str,
    ) -> Result<Tensor> {
        let y = match gamma {
            Some(g) => y.broadcast_mul(g)?,
            None => y,
        };
        let y = ops::drop_path(
            &y,
            self.drop_path,
            mode.stream(&format!("{}.drop_path.{part}", self.name)),
        )?;
        Ok((x + y)?)
    }
}
