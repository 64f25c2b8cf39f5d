//! Validation of stage 2 by honest scoring: every pair of EEG and sound is scored by itself, however
//! the network was trained.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use mmpipe_models::Mode;

use super::contrast::{Contrast, Pairs};
use crate::data::{ASKING, batches, shuffled};
use crate::stage::Validation;
use crate::{Error, Result};

/// Examples whose sounds are told from each other: the pool of a retrieval.
const POOL: usize = 64;

/// Sums over examples.
#[derive(Default)]
struct Sums {
    n: f64,
    loss: f64,
    top1: f64,
    top5: f64,
    pool: f64,
    /// Examples that have rivals, and the share of them that was answered rightly.
    rivals: f64,
    right: f64,
}

/// Mean −log probability of the heard sound among the different sounds of a pool of examples, how
/// often it is the first and among the first five (`val_top1`, `val_top5`; equal scores share the
/// place), how many sounds a pool has on average (`val_pool`; chance is one in so many), and, where
/// examples have rivals of the attended sound, how often the attended one has the highest score
/// (`val_candidate_accuracy`).
pub(super) fn validate(of: &Contrast<'_>, examples: &[usize]) -> Result<Option<Validation>> {
    if examples.is_empty() {
        return Ok(None);
    }
    // Neighbours of one trial are no fair pool: mix them, the same way after each pass.
    let order = shuffled(examples, of.cfg.steps.seed, ASKING);
    let mut sums = Sums::default();
    for range in batches(order.len(), POOL) {
        pool(of, &order[range], &mut sums)?;
    }
    let loss = sums.loss / sums.n;
    if !loss.is_finite() {
        let meta = |i: &usize| of.features.source.meta(*i).epoch_id;
        return Err(Error::Diverged {
            step: 0,
            reason: format!("the validation loss is {loss}"),
            epoch_ids: examples.iter().take(POOL).map(meta).collect(),
        });
    }
    let mean = |sum: f64| sum / sums.n;
    let mut named: Vec<(String, f64)> = [
        ("val_top1", mean(sums.top1)),
        ("val_top5", mean(sums.top5)),
        ("val_pool", mean(sums.pool)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if sums.rivals > 0.0 {
        named.push(("val_candidate_accuracy".into(), sums.right / sums.rivals));
    }
    Ok(Some(Validation {
        loss,
        balanced_accuracy: None,
        named,
    }))
}

fn pool(of: &Contrast<'_>, examples: &[usize], sums: &mut Sums) -> Result<()> {
    let pairs = of.pairs(examples, false)?;
    let eeg = of.eeg(&pairs, || Mode::Eval)?;
    let heard = of.embed_once(&pairs.sounds, &pairs.ids, Mode::Eval)?;
    // Each sound once, at the row that has it first.
    let mut place: HashMap<u64, usize> = HashMap::new();
    let mut rows: Vec<u32> = Vec::new();
    for (row, id) in pairs.ids.iter().enumerate() {
        place.entry(*id).or_insert_with(|| {
            rows.push(row as u32);
            rows.len() - 1
        });
    }
    let m = rows.len();
    let types: Vec<u32> = rows.iter().map(|r| pairs.types[*r as usize]).collect();
    let sounds = heard.index_select(&Tensor::from_vec(rows, m, heard.device())?, 0)?;
    let logits = of
        .net
        .crossed_logits(&eeg, &sounds, &types)?
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .to_vec2::<f64>()?;
    for (row, id) in logits.iter().zip(&pairs.ids) {
        let Some(own) = place.get(id).and_then(|at| row.get(*at)) else {
            continue;
        };
        let top = row.iter().copied().fold(f64::MIN, f64::max);
        let all = row.iter().map(|s| (s - top).exp()).sum::<f64>().ln() + top;
        let (above, level) = stand(row, *own);
        sums.n += 1.0;
        sums.loss += all - own;
        sums.top1 += within(above, level, 1);
        sums.top5 += within(above, level, 5);
        sums.pool += m as f64;
    }
    candidates(of, &pairs, &eeg, sums)
}

/// Scores above `own`, and those equal to it, itself among them.
fn stand(scores: &[f64], own: f64) -> (usize, usize) {
    let above = scores.iter().filter(|s| **s > own).count();
    let level = scores.iter().filter(|s| **s == own).count();
    (above, level.max(1))
}

/// The chance that one of `level` equal ones behind `above` others is among the first `k`.
fn within(above: usize, level: usize, k: usize) -> f64 {
    let places = k.saturating_sub(above).min(level);
    places as f64 / level as f64
}

/// The examples among those of `pairs` (one a row of `eeg`) that have rivals of the attended sound.
fn candidates(of: &Contrast<'_>, pairs: &Pairs, eeg: &Tensor, sums: &mut Sums) -> Result<()> {
    let (source, examples) = (of.features.source, &pairs.examples);
    let mut by_number: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, i) in examples.iter().enumerate() {
        let k = source.meta(*i).candidates;
        if k > 1 {
            by_number.entry(k).or_default().push(row);
        }
    }
    for (k, rows) in by_number {
        let mut sounds = Vec::new();
        for row in &rows {
            for c in 0..k {
                sounds.extend_from_slice(&of.features.sound(examples[*row], c)?);
            }
        }
        let n = rows.len();
        let sounds = of.features.sounds(sounds, &[n * k])?;
        let sounds = of.embed(&sounds, Mode::Eval)?;
        let width = sounds.dim(1)?;
        let index: Vec<u32> = rows.iter().map(|r| *r as u32).collect();
        let eeg = eeg.index_select(&Tensor::from_vec(index, n, eeg.device())?, 0)?;
        let of_row = |row: &usize| std::iter::repeat_n(pairs.types[*row], k);
        let types: Vec<u32> = rows.iter().flat_map(of_row).collect();
        let scores = of
            .net
            .score(&eeg, &sounds.reshape((n, k, width))?, &types)?
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?
            .to_vec2::<f64>()?;
        for row in scores {
            let (above, level) = stand(&row, row[0]);
            sums.rivals += 1.0;
            sums.right += within(above, level, 1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{stand, within};

    #[test]
    fn equal_scores_share_their_places() {
        let scores = [0.5, 0.9, 0.5, 0.1];
        let (above, level) = stand(&scores, 0.5);
        assert_eq!((above, level), (1, 2));
        assert_eq!(within(above, level, 1), 0.0);
        assert_eq!(within(above, level, 2), 0.5);
        assert_eq!(within(above, level, 5), 1.0);
        // A network that gives every sound the same score is right as often as a guess.
        let (above, level) = stand(&[1.0; 4], 1.0);
        assert_eq!(within(above, level, 1), 0.25);
    }
}
