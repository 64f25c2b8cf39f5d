//! One post-norm transformer layer and the positional convolution in front of the first.

use candle_core::Tensor;

use super::config::Wav2Vec2Config;
use crate::error::Result;
use crate::layers::{LayerNorm, Linear};
use crate::model::Mode;
use crate::ops::{self, TimeConv};
use crate::params::{Init, Params};

/// Standard deviation of initial weights, as published.
pub(super) const STD: f64 = 0.02;

fn linear(params: &mut Params, name: &str, n_in: usize, n_out: usize) -> Result<Linear> {
    Linear::new(params, name, n_in, n_out, true, Init::Normal(STD))
}

#[derive(Debug, Clone)]
struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    heads: usize,
    dropout: f32,
}

impl Attention {
    fn new(c: &Wav2Vec2Config, params: &mut Params, name: &str) -> Result<Self> {
        let d = c.hidden_size;
        let mut map = |part: &str| linear(params, &format!("{name}.{part}_proj"), d, d);
        Ok(Self {
            k: map("k")?,
            v: map("v")?,
            q: map("q")?,
            out: map("out")?,
            heads: c.num_attention_heads,
            dropout: c.attention_dropout,
        })
    }

    fn forward(&self, x: &Tensor, name: &str, mode: Mode) -> Result<Tensor> {
        let (b, n, d) = x.dims3()?;
        let head = d / self.heads;
        let split = |map: &Linear| -> Result<Tensor> {
            Ok(map
                .forward(x)?
                .reshape((b, n, self.heads, head))?
                .transpose(1, 2)?
                .contiguous()?)
        };
        let (q, k, v) = (split(&self.q)?, split(&self.k)?, split(&self.v)?);
        let scale = 1.0 / (head as f64).sqrt();
        let y = match mode.stream(&format!("{name}.attention.dropout")) {
            // The fused operation keeps no weights that could be dropped.
            Some(stream) if self.dropout > 0.0 => {
                let logits = ops::matmul(&(q * scale)?, &k.t()?.contiguous()?)?;
                let weights = ops::dropout(&ops::softmax(&logits)?, self.dropout, Some(stream))?;
                ops::matmul(&weights, &v)?
            }
            _ => ops::attention(&q, &k, &v, scale)?,
        };
        self.out
            .forward(&y.transpose(1, 2)?.contiguous()?.reshape((b, n, d))?)
    }
}

/// x ← LN(x + attention(x)); x ← LN(x + FFN(x)).
#[derive(Debug, Clone)]
pub(super) struct Layer {
    name: String,
    attention: Attention,
    norm: LayerNorm,
    first: Linear,
    second: Linear,
    final_norm: LayerNorm,
    hidden_dropout: f32,
    activation_dropout: f32,
    pub(super) drop: f32,
}

impl Layer {
    /// Adds the variables of `{name}`.
    pub(super) fn new(c: &Wav2Vec2Config, params: &mut Params, name: &str) -> Result<Self> {
        let (d, hidden) = (c.hidden_size, c.intermediate_size);
        Ok(Self {
            attention: Attention::new(c, params, &format!("{name}.attention"))?,
            norm: LayerNorm::new(params, &format!("{name}.layer_norm"), d, c.layer_norm_eps)?,
            first: linear(
                params,
                &format!("{name}.feed_forward.intermediate_dense"),
                d,
                hidden,
            )?,
            second: linear(
                params,
                &format!("{name}.feed_forward.output_dense"),
                hidden,
                d,
            )?,
            final_norm: LayerNorm::new(
                params,
                &format!("{name}.final_layer_norm"),
                d,
                c.layer_norm_eps,
            )?,
            hidden_dropout: c.hidden_dropout,
            activation_dropout: c.activation_dropout,
            drop: c.layerdrop,
            name: name.to_string(),
        })
    }

    /// [B, N, D] → [B, N, D].
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let stream = |part: &str| mode.stream(&format!("{}.{part}", self.name));
        if let Some(s) = stream("layerdrop")
            && s.uniform(0) < self.drop
        {
            return Ok(x.clone());
        }
        let y = self.attention.forward(x, &self.name, mode)?;
        let y = ops::dropout(&y, self.hidden_dropout, stream("dropout"))?;
        let x = self.norm.forward(&(x + y)?)?;
        let y = ops::gelu(&self.first.forward(&x)?)?;
        let y = ops::dropout(&y, self.activation_dropout, stream("activation"))?;
        let y = self.second.forward(&y)?;
        let y = ops::dropout(&y, self.hidden_dropout, stream("output"))?;
        self.final_norm.forward(&(x + y)?)
    }
}

/// A grouped convolution over frames with weight norm (Salimans and Kingma 2016) over all but the
/// tap: weight = g·v / |v|, one g a tap.
#[derive(Debug, Clone)]
pub(super) struct Positions {
    g: Tensor,
    v: Tensor,
    bias: Tensor,
    conv: TimeConv,
}

impl Positions {
    /// Adds `{name}.bias`, `.weight_g` and `.weight_v`.
    pub(super) fn new(c: &Wav2Vec2Config, params: &mut Params, name: &str) -> Result<Self> {
        let (d, k, groups) = (
            c.hidden_size,
            c.num_conv_pos_embeddings,
            c.num_conv_pos_embedding_groups,
        );
        let per_group = d / groups;
        // Normal with this deviation, as published; g starts at the length of v, on average.
        let std = 2.0 * (1.0 / (k * d) as f64).sqrt();
        let length = std * ((d * per_group) as f64).sqrt();
        Ok(Self {
            bias: params.weight(&format!("{name}.bias"), d, Init::Const(0.0))?,
            g: params.weight(&format!("{name}.weight_g"), (1, 1, k), Init::Const(length))?,
            v: params.weight(
                &format!("{name}.weight_v"),
                (d, per_group, k),
                Init::Normal(std),
            )?,
            // An even kernel gives one frame too many, of which the last is dropped.
            conv: TimeConv {
                stride: 1,
                pad_left: k / 2,
                pad_right: k - 1 - k / 2,
                groups,
            },
        })
    }

    /// [B, N, D] → [B, N, D].
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let length = self.v.sqr()?.sum_keepdim((0, 1))?.sqrt()?;
        let weight = self.v.broadcast_mul(&self.g.broadcast_div(&length)?)?;
        let x = x.transpose(1, 2)?.contiguous()?;
        let y = ops::conv_time(&x, &weight, Some(&self.bias), &self.conv)?;
        Ok(ops::gelu(&y.transpose(1, 2)?.contiguous()?)?)
    }
}
