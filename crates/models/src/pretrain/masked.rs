//! Masked-code prediction: which code hides behind a mask. Variable names equal the published
//! `labram-base.pth` (`student.*`, `lm_head.*`).

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use crate::encoder::{
    ClassRow, EPS, EncoderConfig, INIT_STD, Layout, PATCH, PatchEncoder, Size, Trunk, patches_of,
};
use crate::error::{Error, Result};
use crate::layers::{LayerNorm, Linear};
use crate::model::Mode;
use crate::ops;
use crate::params::{Init, Params};
use crate::rng::Stream;

/// Shape of the masked model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskedConfig {
    /// The student.
    pub encoder: EncoderConfig,
    /// Codes to choose from.
    pub codes: usize,
    /// Share of the tokens of a sample that are hidden.
    pub mask_ratio: f64,
    /// Predicts the complement of the mask in a second pass too.
    pub symmetric: bool,
}

impl MaskedConfig {
    /// A named size with LaBraM's settings.
    pub fn new(size: Size) -> Self {
        Self {
            encoder: EncoderConfig::labram(size),
            codes: 8192,
            mask_ratio: 0.5,
            symmetric: true,
        }
    }
}

/// Losses of one batch.
#[derive(Debug, Clone)]
pub struct MaskedLoss {
    /// Sum of both passes.
    pub total: Tensor,
    /// Cross-entropy at the masked tokens.
    pub masked: Tensor,
    /// Cross-entropy at the others, hidden in the second pass.
    pub complement: Option<Tensor>,
    /// Share of right guesses, first pass.
    pub accuracy: f64,
}

/// Which of `n` tokens of `b` samples are hidden, row by row: a uniform draw a token, the smallest
/// int(n·(1 − ratio)) of a sample stay.
pub fn random_mask(stream: Stream, b: usize, n: usize, ratio: f64) -> Vec<bool> {
    let keep = ((n as f64) * (1.0 - ratio)) as usize;
    let mut mask = Vec::with_capacity(b * n);
    for sample in 0..b as u64 {
        let own = stream.child(sample);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|i| (own.bits(*i as u64), *i));
        let mut row = vec![true; n];
        for i in order.into_iter().take(keep) {
            if let Some(r) = row.get_mut(i) {
                *r = false;
            }
        }
        mask.extend(row);
    }
    mask
}

/// Mean over rows of −log softmax of `logits` [N, K] at `labels` [N] (u32), and the share of rows
/// whose largest logit is the label's.
///
/// # Errors
/// Those of the tensor library, also for a label that is no column.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<(Tensor, f64)> {
    let (n, _) = logits.dims2()?;
    let log_p = ops::log_softmax(logits)?;
    let picked = log_p.gather(&labels.unsqueeze(1)?, 1)?;
    let loss = (picked.sum_all()? * (-1.0 / n.max(1) as f64))?;
    let best = logits.detach().argmax(D::Minus1)?;
    let hits: f32 = best
        .eq(labels)?
        .to_dtype(candle_core::DType::F32)?
        .sum_all()?
        .to_scalar()?;
    Ok((loss, f64::from(hits) / n.max(1) as f64))
}

/// Tokens with the hidden ones replaced by `token` [1, 1, D].
pub(super) fn hide(tokens: &Tensor, token: &Tensor, mask: &[bool]) -> Result<Tensor> {
    let (b, n, _) = tokens.dims3()?;
    let hidden: Vec<f32> = mask.iter().map(|m| f32::from(u8::from(*m))).collect();
    let hidden = Tensor::from_vec(hidden, (b, n, 1), tokens.device())?.to_dtype(tokens.dtype())?;
    let kept = tokens.broadcast_mul(&hidden.affine(-1.0, 1.0)?)?;
    Ok((kept + hidden.broadcast_mul(token)?)?)
}

/// Rows of `tokens` [B, N, D] where the mask is `value`, and their labels of `codes` [B, N].
pub(super) fn select(
    tokens: &Tensor,
    codes: &Tensor,
    mask: &[bool],
    value: bool,
) -> Result<Option<(Tensor, Tensor)>> {
    let (b, n, d) = tokens.dims3()?;
    let rows: Vec<u32> = (0..)
        .zip(mask)
        .filter(|(_, m)| **m == value)
        .map(|(i, _)| i)
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let count = rows.len();
    let rows = Tensor::from_vec(rows, count, tokens.device())?;
    Ok(Some((
        tokens
            .contiguous()?
            .reshape((b * n, d))?
            .index_select(&rows, 0)?,
        codes.reshape(b * n)?.index_select(&rows, 0)?,
    )))
}

/// Refuses a mask or codes that do not fit the tokens, and a ratio that hides nothing or all.
pub(super) fn check_mask(codes: &Tensor, mask: &[bool], b: usize, n: usize) -> Result<()> {
    if codes.dims() != [b, n] || mask.len() != b * n || !mask.contains(&true) {
        return Err(Error::Shape {
            what: "codes and mask",
            found: [codes.dims(), &[mask.len()]].concat(),
            expected: format!("[{b}, {n}] each, at least one token hidden"),
        });
    }
    Ok(())
}

/// The masked model.
#[derive(Debug, Clone)]
pub struct Masked {
    config: MaskedConfig,
    params: Params,
    patch: PatchEncoder,
    mask_token: Tensor,
    trunk: Trunk,
    norm: LayerNorm,
    head: Linear,
}

impl Masked {
    /// Builds the network in `params` (an empty set).
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &MaskedConfig, mut params: Params) -> Result<Self> {
        config.encoder.check()?;
        if config.codes == 0 {
            return Err(Error::config("codes", config.codes, "at least 1"));
        }
        if !(config.mask_ratio > 0.0 && config.mask_ratio < 1.0) {
            return Err(Error::config(
                "mask_ratio",
                config.mask_ratio,
                "above 0 and below 1",
            ));
        }
        let (p, d) = (&mut params, config.encoder.width());
        let init = Init::TruncNormal(INIT_STD);
        let c = &config.encoder;
        Ok(Self {
            patch: PatchEncoder::new(p, "student.patch_embed.", c.conv_channels)?,
            mask_token: p.embedding("student.mask_token", (1, 1, d), init)?,
            trunk: Trunk::new(c, p, "student.")?,
            norm: LayerNorm::new(p, "student.norm", d, EPS)?,
            head: Linear::new(p, "lm_head", d, config.codes, true, init)?,
            config: config.clone(),
            params,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &MaskedConfig {
        &self.config
    }

    /// The variables.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The mask of a training step.
    pub fn mask(&self, seed: u64, step: u64, b: usize, n: usize) -> Vec<bool> {
        let stream = Stream::named(seed, "mask").child(step);
        random_mask(stream, b, n, self.config.mask_ratio)
    }

    /// Losses of `x` [B, C, A·200] with its `codes` [B, C·A] (u32), hidden where `mask` says.
    ///
    /// # Errors
    /// [`Error::Shape`] where codes or mask do not fit.
    pub fn loss(
        &self,
        x: &Tensor,
        ch_names: &[String],
        codes: &Tensor,
        mask: &[bool],
        mode: Mode,
    ) -> Result<MaskedLoss> {
        let (b, c, a) = patches_of(x)?;
        check_mask(codes, mask, b, c * a)?;
        let at = Layout::new(&self.config.encoder, ch_names, c, a)?
            .with_class_row(ClassRow::FirstElectrode);
        let tokens = self.patch.forward(&x.reshape((b, c * a, PATCH))?, None)?;
        let pass = |mask: &[bool]| -> Result<Option<(Tensor, f64)>> {
            let hidden = hide(&tokens, &self.mask_token, mask)?;
            let y = self
                .trunk
                .forward(&hidden, &at, mode)?
                .narrow(1, 1, c * a)?;
            let Some((rows, labels)) = select(&self.norm.forward(&y)?, codes, mask, true)? else {
                return Ok(None);
            };
            cross_entropy(&self.head.forward(&rows)?, &labels).map(Some)
        };
        let first = pass(mask)?;
        let (masked, accuracy) = match first {
            Some(f) => f,
            // The check above holds this off.
            None => return Err(Error::config("mask", "nothing hidden", "a hidden token")),
        };
        let complement = match self.config.symmetric {
            true => {
                let other: Vec<bool> = mask.iter().map(|m| !m).collect();
                pass(&other)?.map(|(loss, _)| loss)
            }
            false => None,
        };
        let total = match &complement {
            Some(c) => (&masked + c)?,
            None => masked.clone(),
        };
        Ok(MaskedLoss {
            total,
            masked,
            complement,
            accuracy,
        })
    }
}
