//! CALRA as the paper writes it, Eqs. 4 to 9, on pairs of vectors.
//!
//! 1. type aligner: a linear map by kind of sound and modality, identity at the start;
//! 2. bi-directional cross-attention with residual and layer norm. Each side is one vector, so
//!    there is one key and its weight is one whatever the query: the query and key maps have no
//!    effect and no gradient, and the block adds a linear image of the other vector. They are kept
//!    because the paper has them;
//! 3. feed-forward network with residual and layer norm (the paper gives its size, not its place);
//! 4. shared low-rank product, fed back with residual and layer norm.

use candle_core::Tensor;

use super::config::FusionConfig;
use super::types::TypeAligner;
use crate::error::Result;
use crate::layers::{LayerNorm, Linear};
use crate::model::Mode;
use crate::ops;
use crate::params::{Init, Params};

/// PyTorch's default epsilon.
const EPS: f64 = 1e-5;

pub(super) fn linear(params: &mut Params, name: &str, n_in: usize, n_out: usize) -> Result<Linear> {
    Linear::new(params, name, n_in, n_out, true, Init::glorot(n_in, n_out))
}

pub(super) fn norm(params: &mut Params, name: &str, size: usize) -> Result<LayerNorm> {
    LayerNorm::new(params, name, size, EPS)
}

/// Linear, GELU, dropout, linear: `{name}.0` and `{name}.3`.
#[derive(Debug, Clone)]
pub(super) struct FeedForward {
    name: String,
    first: Linear,
    second: Linear,
    dropout: f32,
}

impl FeedForward {
    pub(super) fn new(params: &mut Params, name: &str, c: &FusionConfig) -> Result<Self> {
        Ok(Self {
            first: linear(params, &format!("{name}.0"), c.width, c.hidden)?,
            second: linear(params, &format!("{name}.3"), c.hidden, c.width)?,
            dropout: c.dropout,
            name: name.to_string(),
        })
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = ops::gelu(&self.first.forward(x)?)?;
        let x = ops::dropout(&x, self.dropout, mode.stream(&format!("{}.2", self.name)))?;
        self.second.forward(&x)
    }
}

/// Multi-head attention of one vector on another.
#[derive(Debug, Clone)]
struct CrossAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    proj: Linear,
    heads: usize,
}

impl CrossAttention {
    fn new(params: &mut Params, name: &str, c: &FusionConfig) -> Result<Self> {
        let mut map = |part: &str| linear(params, &format!("{name}_{part}"), c.width, c.width);
        Ok(Self {
            query: map("query")?,
            key: map("key")?,
            value: map("value")?,
            proj: map("proj")?,
            heads: c.heads,
        })
    }

    fn forward(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        let (p, d) = own.dims2()?;
        let head = d / self.heads;
        let split = |x: Tensor| x.reshape((p, self.heads, 1, head));
        let (q, k, v) = (
            split(self.query.forward(own)?)?,
            split(self.key.forward(other)?)?,
            split(self.value.forward(other)?)?,
        );
        let y = ops::attention(&q, &k, &v, 1.0 / (head as f64).sqrt())?;
        self.proj.forward(&y.reshape((p, d))?)
    }
}

/// One modality's half.
#[derive(Debug, Clone)]
struct Side {
    name: &'static str,
    aligner: Option<TypeAligner>,
    attention: Option<(CrossAttention, LayerNorm)>,
    feed_forward: Option<(FeedForward, LayerNorm)>,
    /// U, D and the last norm.
    low_rank: Option<(Linear, Linear, LayerNorm)>,
}

impl Side {
    fn new(
        params: &mut Params,
        prefix: &str,
        name: &'static str,
        c: &FusionConfig,
    ) -> Result<Self> {
        let at = |part: &str| format!("{prefix}{name}_{part}");
        Ok(Self {
            name,
            aligner: match c.type_aligner {
                true => Some(TypeAligner::identity(params, &at("aligner"), c)?),
                false => None,
            },
            attention: match c.attention {
                true => Some((
                    CrossAttention::new(params, &at("cross"), c)?,
                    norm(params, &at("norm1"), c.width)?,
                )),
                false => None,
            },
            feed_forward: match c.feed_forward {
                true => Some((
                    FeedForward::new(params, &at("ffn"), c)?,
                    norm(params, &at("norm2"), c.width)?,
                )),
                false => None,
            },
            low_rank: match c.low_rank {
                true => Some((
                    linear(params, &format!("{prefix}W_U_{name}"), c.width, c.rank)?,
                    linear(params, &format!("{prefix}W_D_{name}"), c.rank, c.width)?,
                    norm(params, &at("norm3"), c.width)?,
                )),
                false => None,
            },
        })
    }

    fn align(&self, x: &Tensor, types: &[u32]) -> Result<Tensor> {
        match &self.aligner {
            Some(a) => a.forward(x, types),
            None => Ok(x.clone()),
        }
    }

    /// h_E or h_A from the aligned vectors.
    fn refine(&self, own: &Tensor, other: &Tensor, dropout: f32, mode: Mode) -> Result<Tensor> {
        let stream = |part: &str| mode.stream(&format!("fusion.{}.{part}", self.name));
        let mut x = own.clone();
        if let Some((attention, norm)) = &self.attention {
            let y = ops::dropout(&attention.forward(own, other)?, dropout, stream("cross"))?;
            x = norm.forward(&(&x + y)?)?;
        }
        if let Some((ffn, norm)) = &self.feed_forward {
            let y = ops::dropout(&ffn.forward(&x, mode)?, dropout, stream("ffn"))?;
            x = norm.forward(&(&x + y)?)?;
        }
        Ok(x)
    }
}

/// The module.
#[derive(Debug, Clone)]
pub(super) struct CalraPaper {
    eeg: Side,
    audio: Side,
    /// H, applied to the product.
    shared: Option<Linear>,
    dropout: f32,
}

impl CalraPaper {
    pub(super) fn new(params: &mut Params, prefix: &str, c: &FusionConfig) -> Result<Self> {
        Ok(Self {
            eeg: Side::new(params, prefix, "eeg", c)?,
            audio: Side::new(params, prefix, "audio", c)?,
            shared: match c.low_rank {
                true => Some(linear(
                    params,
                    &format!("{prefix}shared_interaction.0"),
                    c.rank,
                    c.rank,
                )?),
                false => None,
            },
            dropout: c.dropout,
        })
    }

    pub(super) fn forward(
        &self,
        e: &Tensor,
        a: &Tensor,
        types: &[u32],
        mode: Mode,
    ) -> Result<(Tensor, Tensor)> {
        let (e, a) = (self.eeg.align(e, types)?, self.audio.align(a, types)?);
        let h_e = self.eeg.refine(&e, &a, self.dropout, mode)?;
        let h_a = self.audio.refine(&a, &e, self.dropout, mode)?;
        let (Some(shared), Some((u_e, d_e, norm_e)), Some((u_a, d_a, norm_a))) =
            (&self.shared, &self.eeg.low_rank, &self.audio.low_rank)
        else {
            return Ok((h_e, h_a));
        };
        let product = (u_e.forward(&h_e)? * u_a.forward(&h_a)?)?;
        let z = ops::gelu(&shared.forward(&product)?)?;
        Ok((
            norm_e.forward(&(&h_e + d_e.forward(&z)?)?)?,
            norm_a.forward(&(&h_a + d_a.forward(&z)?)?)?,
        ))
    }
}
