//! CALRA as the released code has it, variable names included.
//!
//! For each modality: one scalar a head (query · key / √head width), softmax over the **heads** of
//! the same vector, each head's value scaled by its weight; residual and layer norm; a low-rank
//! product of both vectors fed back (sound's part × 0.3) before the feed-forward network; an output
//! map with a skip to the module's input (sound: 0.3·x + 0.7·input, and the skip × 0.7). Nothing of
//! one modality attends to the other: they meet in the low-rank product alone.

use candle_core::Tensor;

use super::calra_paper::{FeedForward, linear, norm};
use super::config::FusionConfig;
use super::types::TypeAligner;
use crate::error::Result;
use crate::layers::{LayerNorm, Linear};
use crate::model::Mode;
use crate::ops;
use crate::params::Params;

/// Attention of a vector's heads on each other.
#[derive(Debug, Clone)]
struct HeadAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    proj: Linear,
    heads: usize,
}

impl HeadAttention {
    fn new(params: &mut Params, name: &str, c: &FusionConfig) -> Result<Self> {
        let mut map = |part: &str| linear(params, &format!("{name}_self_{part}"), c.width, c.width);
        Ok(Self {
            query: map("query")?,
            key: map("key")?,
            value: map("value")?,
            proj: map("proj")?,
            heads: c.heads,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (p, d) = x.dims2()?;
        let head = d / self.heads;
        let split = |x: Tensor| x.reshape((p, self.heads, head));
        let (q, k, v) = (
            split(self.query.forward(x)?)?,
            split(self.key.forward(x)?)?,
            split(self.value.forward(x)?)?,
        );
        let logits = ((q * k)?.sum(2)? * (1.0 / (head as f64).sqrt()))?;
        let weights = ops::softmax(&logits)?.reshape((p, self.heads, 1))?;
        self.proj
            .forward(&v.broadcast_mul(&weights)?.reshape((p, d))?)
    }
}

/// EEG's map into the low-rank space.
#[derive(Debug, Clone)]
enum RankMap {
    One(Linear),
    Typed(TypeAligner),
}

/// One modality's half.
#[derive(Debug, Clone)]
struct Side {
    name: &'static str,
    attention: Option<HeadAttention>,
    norm1: LayerNorm,
    norm2: LayerNorm,
    ffn: Option<FeedForward>,
    low_rank: Option<(RankMap, Linear)>,
    final_proj: Linear,
}

impl Side {
    fn new(
        params: &mut Params,
        prefix: &str,
        name: &'static str,
        c: &FusionConfig,
    ) -> Result<Self> {
        let at = format!("{prefix}{name}");
        let attention = match c.attention {
            true => Some(HeadAttention::new(params, &at, c)?),
            false => None,
        };
        let low_rank = match c.low_rank {
            true => {
                let typed = c.type_aligner && name == "eeg";
                let u = format!("{prefix}W_U_{name}");
                let into = match typed {
                    true => RankMap::Typed(TypeAligner::low_rank(params, &u, c)?),
                    false => RankMap::One(linear(params, &u, c.width, c.rank)?),
                };
                let back = linear(params, &format!("{prefix}W_D_{name}"), c.rank, c.width)?;
                Some((into, back))
            }
            false => None,
        };
        Ok(Self {
            name,
            attention,
            low_rank,
            norm1: norm(params, &format!("{at}_norm1"), c.width)?,
            norm2: norm(params, &format!("{at}_norm2"), c.width)?,
            ffn: match c.feed_forward {
                true => Some(FeedForward::new(params, &format!("{at}_ffn"), c)?),
                false => None,
            },
            final_proj: linear(params, &format!("{at}_final_proj"), c.width, c.width)?,
        })
    }

    fn drop(&self, x: Tensor, part: &str, rate: f32, mode: Mode) -> Result<Tensor> {
        let stream = mode.stream(&format!("fusion.{}.{part}", self.name));
        Ok(ops::dropout(&x, rate, stream)?)
    }

    /// LN(x + drop(attention)).
    fn attend(&self, x: &Tensor, rate: f32, mode: Mode) -> Result<Tensor> {
        let y = match &self.attention {
            Some(a) => (x + self.drop(a.forward(x)?, "self", rate, mode)?)?,
            None => x.clone(),
        };
        self.norm1.forward(&y)
    }

    fn ranked(&self, x: &Tensor, types: &[u32]) -> Result<Option<Tensor>> {
        match &self.low_rank {
            Some((RankMap::One(u), _)) => Ok(Some(u.forward(x)?)),
            Some((RankMap::Typed(u), _)) => Ok(Some(u.forward(x, types)?)),
            None => Ok(None),
        }
    }

    /// x1 and the shared product → x2 = LN(y + drop(FFN(y))) with y = x1 + gain·drop(feedback).
    fn refine(
        &self,
        x: &Tensor,
        shared: Option<&Tensor>,
        gain: f64,
        rate: f32,
        mode: Mode,
    ) -> Result<Tensor> {
        let mut y = x.clone();
        if let (Some(h), Some((_, back))) = (shared, &self.low_rank) {
            y = (y + (self.drop(back.forward(h)?, "feedback", rate, mode)? * gain)?)?;
        }
        if let Some(ffn) = &self.ffn {
            y = (&y + self.drop(ffn.forward(&y, mode)?, "ffn", rate, mode)?)?;
        }
        self.norm2.forward(&y)
    }
}

/// The module.
#[derive(Debug, Clone)]
pub(super) struct CalraReleased {
    eeg: Side,
    audio: Side,
    shared: Option<Linear>,
    dropout: f32,
}

impl CalraReleased {
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
        let rate = self.dropout;
        let e1 = self.eeg.attend(e, rate, mode)?;
        let a1 = self.audio.attend(a, rate, mode)?;
        let shared = match (
            &self.shared,
            self.eeg.ranked(&e1, types)?,
            self.audio.ranked(&a1, types)?,
        ) {
            (Some(map), Some(u_e), Some(u_a)) => {
                let h = ops::gelu(&map.forward(&(u_e * u_a)?)?)?;
                Some(ops::dropout(
                    &h,
                    rate,
                    mode.stream("fusion.shared_interaction.2"),
                )?)
            }
            _ => None,
        };
        let e2 = self.eeg.refine(&e1, shared.as_ref(), 1.0, rate, mode)?;
        let a2 = self.audio.refine(&a1, shared.as_ref(), 0.3, rate, mode)?;
        let a3 = ((a2 * 0.3)? + (a * 0.7)?)?;
        Ok((
            (self.eeg.final_proj.forward(&e2)? + e)?,
            (self.audio.final_proj.forward(&a3)? + (a * 0.7)?)?,
        ))
    }
}
