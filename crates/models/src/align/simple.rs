//! The two stand-ins for CALRA of the paper's ablation table. The paper names them and gives no
//! form; these are ours.

use candle_core::Tensor;

use super::calra_paper::{FeedForward, linear, norm};
use super::config::FusionConfig;
use crate::error::Result;
use crate::layers::{LayerNorm, Linear};
use crate::model::Mode;
use crate::ops;
use crate::params::Params;

/// Pieces that co-attention reads a vector as, so that a softmax has something to choose from.
pub(super) const PIECES: usize = 8;

/// One direction of co-attention.
#[derive(Debug, Clone)]
struct Direction {
    name: &'static str,
    query: Linear,
    key: Linear,
    value: Linear,
    proj: Linear,
    norm1: LayerNorm,
    ffn: FeedForward,
    norm2: LayerNorm,
}

impl Direction {
    fn new(
        params: &mut Params,
        prefix: &str,
        name: &'static str,
        c: &FusionConfig,
    ) -> Result<Self> {
        let (at, piece) = (format!("{prefix}{name}"), c.width / PIECES);
        let mut map = |part: &str| linear(params, &format!("{at}_co_{part}"), piece, piece);
        let (query, key, value, proj) = (map("query")?, map("key")?, map("value")?, map("proj")?);
        Ok(Self {
            name,
            query,
            key,
            value,
            proj,
            norm1: norm(params, &format!("{at}_norm1"), c.width)?,
            ffn: FeedForward::new(params, &format!("{at}_ffn"), c)?,
            norm2: norm(params, &format!("{at}_norm2"), c.width)?,
        })
    }

    fn forward(
        &self,
        own: &Tensor,
        other: &Tensor,
        heads: usize,
        rate: f32,
        mode: Mode,
    ) -> Result<Tensor> {
        let (p, d) = own.dims2()?;
        let (piece, head) = (d / PIECES, d / PIECES / heads);
        let stream = |part: &str| mode.stream(&format!("fusion.{}.{part}", self.name));
        let part = |map: &Linear, x: &Tensor| -> Result<Tensor> {
            Ok(map
                .forward(&x.reshape((p, PIECES, piece))?)?
                .reshape((p, PIECES, heads, head))?
                .transpose(1, 2)?
                .contiguous()?)
        };
        let y = ops::attention(
            &part(&self.query, own)?,
            &part(&self.key, other)?,
            &part(&self.value, other)?,
            1.0 / (head as f64).sqrt(),
        )?;
        let y = y
            .transpose(1, 2)?
            .contiguous()?
            .reshape((p, PIECES, piece))?;
        let y = self.proj.forward(&y)?.reshape((p, d))?;
        let x = self
            .norm1
            .forward(&(own + ops::dropout(&y, rate, stream("co"))?)?)?;
        let y = self.ffn.forward(&x, mode)?;
        self.norm2
            .forward(&(&x + ops::dropout(&y, rate, stream("ffn"))?)?)
    }
}

/// A co-attention layer (Lu et al. 2019, arXiv:1908.02265): each vector, read as eight pieces,
/// attends to the pieces of the other; residual, layer norm, feed-forward network.
#[derive(Debug, Clone)]
pub(super) struct CoAttention {
    eeg: Direction,
    audio: Direction,
    heads: usize,
    dropout: f32,
}

impl CoAttention {
    pub(super) fn new(params: &mut Params, prefix: &str, c: &FusionConfig) -> Result<Self> {
        Ok(Self {
            eeg: Direction::new(params, prefix, "eeg", c)?,
            audio: Direction::new(params, prefix, "audio", c)?,
            heads: c.heads,
            dropout: c.dropout,
        })
    }

    pub(super) fn forward(&self, e: &Tensor, a: &Tensor, mode: Mode) -> Result<(Tensor, Tensor)> {
        Ok((
            self.eeg.forward(e, a, self.heads, self.dropout, mode)?,
            self.audio.forward(a, e, self.heads, self.dropout, mode)?,
        ))
    }
}

/// A perceptron over both vectors laid side by side; each half of its result is added to one of
/// them, and layer-normalised.
#[derive(Debug, Clone)]
pub(super) struct ConcatMlp {
    first: Linear,
    second: Linear,
    norms: (LayerNorm, LayerNorm),
    dropout: f32,
}

impl ConcatMlp {
    pub(super) fn new(params: &mut Params, prefix: &str, c: &FusionConfig) -> Result<Self> {
        Ok(Self {
            first: linear(params, &format!("{prefix}mlp.0"), 2 * c.width, c.hidden)?,
            second: linear(params, &format!("{prefix}mlp.3"), c.hidden, 2 * c.width)?,
            norms: (
                norm(params, &format!("{prefix}eeg_norm"), c.width)?,
                norm(params, &format!("{prefix}audio_norm"), c.width)?,
            ),
            dropout: c.dropout,
        })
    }

    pub(super) fn forward(&self, e: &Tensor, a: &Tensor, mode: Mode) -> Result<(Tensor, Tensor)> {
        let d = e.dim(1)?;
        let x = ops::gelu(&self.first.forward(&Tensor::cat(&[e, a], 1)?)?)?;
        let x = ops::dropout(&x, self.dropout, mode.stream("fusion.mlp.2"))?;
        let x = self.second.forward(&x)?;
        Ok((
            self.norms.0.forward(&(e + x.narrow(1, 0, d)?)?)?,
            self.norms.1.forward(&(a + x.narrow(1, d, d)?)?)?,
        ))
    }
}
