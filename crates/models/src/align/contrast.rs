//! The contrast: scores of pairs, the temperature, InfoNCE.

use candle_core::{Tensor, Var};

use super::config::Pairs;
use super::fusion::Fusion;
use crate::error::{Error, Result};
use crate::model::Mode;
use crate::ops;
use crate::params::{Init, Params};

/// Length below which a vector is not divided by its own (PyTorch's `normalize`).
const COSINE_EPS: f64 = 1e-12;
/// Largest scale: exp(ln 100), CLIP's limit (Radford et al. 2021).
pub const MAX_LOGIT_SCALE: f64 = 4.605_170_185_988_092;

/// Pairs that are fused at once. What a chunk holds in memory is a few times its pairs; all pairs of
/// 64 epochs at once.
pub(super) const CHUNK: usize = 4096;

/// The learnable temperature: logits are cosines times exp(`logit_scale`).
#[derive(Debug, Clone)]
pub struct Temperature {
    var: Var,
    scale: Tensor,
}

impl Temperature {
    /// Adds the scalar `{name}`, ln(1 / `temperature`) at the start (published: 0.07).
    ///
    /// # Errors
    /// [`Error::Config`] unless the temperature lies in (0.01, ∞): the scale is clamped at 100.
    pub fn new(params: &mut Params, name: &str, temperature: f64) -> Result<Self> {
        let start = -temperature.ln();
        if !start.is_finite() || start > MAX_LOGIT_SCALE {
            return Err(Error::config("temperature", temperature, "0.01 or more"));
        }
        let scale = params.weight(name, (), Init::Const(start))?;
        let var =
            params
                .get(name)
                .map(|p| p.var.clone())
                .ok_or_else(|| Error::DuplicateParameter {
                    name: name.to_string(),
                })?;
        Ok(Self { var, scale })
    }

    /// exp(min(`logit_scale`, ln 100)), a scalar. The clamp shifts the value and leaves the slope, so
    /// a scale that stands at the limit can come back.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn factor(&self) -> Result<Tensor> {
        let value = self.scale.detach();
        let over = (value.affine(1.0, -MAX_LOGIT_SCALE)?).relu()?;
        Ok((&self.scale - over)?.exp()?)
    }

    /// Puts the variable back to the limit; to be called after every optimiser step.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn constrain(&self) -> Result<()> {
        let value = self.var.as_tensor().detach();
        Ok(self.var.set(&value.minimum(MAX_LOGIT_SCALE)?)?)
    }
}

/// Cosines of vectors of the last dimension, the other dimensions broadcast.
pub(crate) fn cosine(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = (
        ops::l2_normalise(a, COSINE_EPS)?,
        ops::l2_normalise(b, COSINE_EPS)?,
    );
    Ok(a.broadcast_mul(&b)?.sum(candle_core::D::Minus1)?)
}

/// Rows of `x` [B, D] each `times` times in a row: [B·times, D].
fn repeat_rows(x: &Tensor, times: usize) -> Result<Tensor> {
    let (b, d) = x.dims2()?;
    Ok(x.unsqueeze(1)?
        .broadcast_as((b, times, d))?
        .contiguous()?
        .reshape((b * times, d))?)
}

/// `x` [B, D] one after the other `times` times: [times·B, D].
fn tile_rows(x: &Tensor, times: usize) -> Result<Tensor> {
    let (b, d) = x.dims2()?;
    Ok(x.unsqueeze(0)?
        .broadcast_as((times, b, d))?
        .contiguous()?
        .reshape((b * times, d))?)
}

/// Cosines [N, M] of every EEG with every sound, each from its own fused pair. `eeg` [N, D],
/// `audio` [M, D], one type a sound. Pairs are fused `chunk` at a time.
///
/// # Errors
/// Those of [`Fusion::forward`].
pub fn crossed(
    fusion: &Fusion,
    eeg: &Tensor,
    audio: &Tensor,
    types: &[u32],
    chunk: usize,
    mode: Mode,
) -> Result<Tensor> {
    let ((n, _), (m, _)) = (eeg.dims2()?, audio.dims2()?);
    let rows = (chunk / m.max(1)).clamp(1, n.max(1));
    let mut parts = Vec::with_capacity(n.div_ceil(rows));
    for (part, from) in (0..n).step_by(rows).enumerate() {
        let now = rows.min(n - from);
        let e = repeat_rows(&eeg.narrow(0, from, now)?, m)?;
        let a = tile_rows(audio, now)?;
        let types: Vec<u32> = types.iter().copied().cycle().take(now * m).collect();
        let (e, a) = fusion.forward(&e, &a, &types, piece(mode, part))?;
        parts.push(cosine(&e, &a)?.reshape((now, m))?);
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// Masks of one piece differ from those of the next.
fn piece(mode: Mode, part: usize) -> Mode {
    match mode {
        Mode::Train { seed, step } if part > 0 => Mode::Train {
            seed: crate::rng::Stream::named(seed, "piece").bits(part as u64),
            step,
        },
        mode => mode,
    }
}

/// Cosines [B, K] of each EEG with its own K candidates, each from its own fused pair. `eeg` [B, D],
/// `candidates` [B, K, D], `types` [B·K].
///
/// # Errors
/// Those of [`Fusion::forward`].
pub fn own_candidates(
    fusion: &Fusion,
    eeg: &Tensor,
    candidates: &Tensor,
    types: &[u32],
    mode: Mode,
) -> Result<Tensor> {
    let (b, k, d) = candidates.dims3()?;
    let (e, a) = fusion.forward(
        &repeat_rows(eeg, k)?,
        &candidates.contiguous()?.reshape((b * k, d))?,
        types,
        mode,
    )?;
    Ok(cosine(&e, &a)?.reshape((b, k))?)
}

/// The sounds of a batch as the contrast sees them.
#[derive(Debug, Clone)]
pub struct Sounds {
    /// Projected matching sounds [B, D].
    pub audio: Tensor,
    /// Kind of each ([`super::UNKNOWN_TYPE`] where not known).
    pub types: Vec<u32>,
    /// What makes two sounds the same (a hash of stimulus and segment): equal ones are never each
    /// other's negatives.
    pub ids: Vec<u64>,
    /// Simultaneous unattended sounds [B, K, D] as hard negatives, their types and ids [B·K].
    pub others: Option<(Tensor, Vec<u32>, Vec<u64>)>,
}

/// Logits of a batch and which of them are no negatives.
#[derive(Debug, Clone)]
pub struct Logits {
    /// [B, B + K]: the target of row i is column i.
    pub logits: Tensor,
    /// [B, B + K] row by row: the sound is the row's own heard again.
    pub same: Vec<bool>,
}

/// Scores of every EEG with every sound of the batch, and with its own hard negatives.
///
/// # Errors
/// [`Error::Shape`] when counts do not fit.
pub fn logits(
    fusion: &Fusion,
    eeg: &Tensor,
    sounds: &Sounds,
    pairs: Pairs,
    temperature: &Temperature,
    mode: Mode,
) -> Result<Logits> {
    let (b, _) = eeg.dims2()?;
    if sounds.audio.dim(0)? != b || sounds.ids.len() != b || sounds.types.len() != b {
        return Err(Error::Shape {
            what: "sounds of the batch",
            found: vec![sounds.audio.dim(0)?, sounds.ids.len(), sounds.types.len()],
            expected: format!("{b} vectors, ids and types, one an epoch"),
        });
    }
    let mut cosines = match pairs {
        Pairs::Crossed => crossed(fusion, eeg, &sounds.audio, &sounds.types, CHUNK, mode)?,
        Pairs::Diagonal => {
            let (e, a) = fusion.forward(eeg, &sounds.audio, &sounds.types, mode)?;
            let e = ops::l2_normalise(&e, COSINE_EPS)?;
            e.matmul(&ops::l2_normalise(&a, COSINE_EPS)?.t()?)?
        }
    };
    let mut k = 0;
    if let Some((others, types, ids)) = &sounds.others {
        k = others.dim(1)?;
        if others.dim(0)? != b || ids.len() != b * k || types.len() != b * k {
            return Err(Error::Shape {
                what: "hard negatives",
                found: vec![others.dim(0)?, ids.len(), types.len()],
                expected: format!("{b} × {k} vectors, ids and types"),
            });
        }
        let columns = match pairs {
            Pairs::Crossed => own_candidates(fusion, eeg, others, types, mode)?,
            Pairs::Diagonal => {
                // EEG that has seen its own sound against the others, as the released evaluator.
                let (e, _) = fusion.forward(eeg, &sounds.audio, &sounds.types, mode)?;
                let d = others.dim(2)?;
                let flat = others.contiguous()?.reshape((b * k, d))?;
                let (_, a) = fusion.forward(&repeat_rows(eeg, k)?, &flat, types, mode)?;
                cosine(&e.unsqueeze(1)?, &a.reshape((b, k, d))?)?
            }
        };
        cosines = Tensor::cat(&[cosines, columns], 1)?;
    }
    let mut same = Vec::with_capacity(b * (b + k));
    for (i, id) in sounds.ids.iter().enumerate() {
        same.extend(
            sounds
                .ids
                .iter()
                .enumerate()
                .map(|(j, other)| i != j && id == other),
        );
        if let Some((_, _, ids)) = &sounds.others {
            same.extend(ids.iter().skip(i * k).take(k).map(|other| id == other));
        }
    }
    Ok(Logits {
        logits: cosines.broadcast_mul(&temperature.factor()?)?,
        same,
    })
}

/// InfoNCE (van den Oord et al. 2018): mean over rows of −log softmax at the diagonal, columns that
/// hold the row's own sound again left out. `symmetric` adds the direction sound → EEG over the
/// first B columns and halves the sum; the published code has EEG → sound alone.
///
/// # Errors
/// [`Error::Shape`] when the mask does not fit.
pub fn info_nce(scores: &Logits, symmetric: bool) -> Result<Tensor> {
    let (b, m) = scores.logits.dims2()?;
    if scores.same.len() != b * m || m < b {
        return Err(Error::Shape {
            what: "logits",
            found: vec![b, m, scores.same.len()],
            expected: "[batch, batch + others] with a mask of that size".to_string(),
        });
    }
    let mask: Vec<f32> = scores
        .same
        .iter()
        .map(|s| if *s { -1e30 } else { 0.0 })
        .collect();
    let (dtype, device) = (scores.logits.dtype(), scores.logits.device());
    let masked = (&scores.logits + Tensor::from_vec(mask, (b, m), device)?.to_dtype(dtype)?)?;
    let own = Tensor::eye(b, dtype, device)?;
    let diagonal = |x: &Tensor| -> Result<Tensor> {
        let square = ops::log_softmax(x)?.narrow(1, 0, b)?;
        // Masked columns are very negative and not on the diagonal: choose, do not multiply.
        let picked = square.mul(&own)?.sum_all()?;
        Ok((picked * (-1.0 / b as f64))?)
    };
    let forth = diagonal(&masked)?;
    if !symmetric {
        return Ok(forth);
    }
    let back = diagonal(&masked.narrow(1, 0, b)?.t()?.contiguous()?)?;
    Ok(((forth + back)? * 0.5)?)
}
