//! Cross-entropy over scores, with class weights and label smoothing.

use candle_core::{D, Tensor};

use crate::Result;

/// log softmax over the last axis, from operations that have a backward.
pub(crate) fn log_softmax(scores: &Tensor) -> Result<Tensor> {
    // The shift changes no value and no gradient; detached, it costs nothing in the backward.
    let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?;
    let norm = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok(shifted.broadcast_sub(&norm)?)
}

/// Weighted mean of −log p(target), smoothed: a share `smoothing` of each target goes to all
/// classes evenly. The mean divides by the sum of weights, as PyTorch's does.
///
/// `scores` [n, classes]; `weights` one a class, empty = all 1. `total` is what the sum is divided
/// by, [`total_weight`] of the targets of the whole batch of which these may be a part.
pub(crate) fn cross_entropy(
    scores: &Tensor,
    targets: &[u32],
    weights: &[f32],
    smoothing: f64,
    total: f64,
) -> Result<Tensor> {
    let (n, classes) = scores.dims2()?;
    let mut share = vec![0f32; n * classes];
    let weight = |class: usize| weights.get(class).copied().unwrap_or(1.0);
    for (row, &target) in share.chunks_mut(classes).zip(targets) {
        for (class, cell) in row.iter_mut().enumerate() {
            let hit = f64::from(u8::from(class == target as usize));
            *cell = ((1.0 - smoothing) * hit + smoothing / classes as f64) as f32 * weight(class);
        }
    }
    let share = Tensor::from_vec(share, (n, classes), scores.device())?;
    let sum = (log_softmax(scores)? * share)?.sum_all()?;
    Ok((sum * (-1.0 / total.max(f64::MIN_POSITIVE)))?)
}

/// Sum of the targets' class weights.
pub(crate) fn total_weight(targets: &[u32], weights: &[f32]) -> f64 {
    let weight = |t: &u32| weights.get(*t as usize).copied().unwrap_or(1.0);
    targets.iter().map(|t| f64::from(weight(t))).sum()
}

/// Index of the highest score; the first of equals.
pub(crate) fn argmax(scores: &[f32]) -> usize {
    let mut best = 0;
    for (i, s) in scores.iter().enumerate() {
        if *s > scores[best] {
            best = i;
        }
    }
    best
}

/// Log-probabilities of one row of scores, in f64.
pub(crate) fn log_probabilities(scores: &[f32]) -> Vec<f64> {
    let max = scores.iter().fold(f32::NEG_INFINITY, |m, s| m.max(*s));
    let norm = scores
        .iter()
        .map(|s| f64::from(*s - max).exp())
        .sum::<f64>()
        .ln();
    scores.iter().map(|s| f64::from(*s - max) - norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// `torch.nn.functional.cross_entropy(torch.tensor([[1.,2.,0.5],[0.,-1.,3.]]),
    /// torch.tensor([1,0]), weight=torch.tensor([1.,2.,3.]), label_smoothing=s)`, whose formula is
    /// written out here in f64.
    #[test]
    fn agrees_with_the_formula_and_its_gradient() {
        let rows = [[1f32, 2.0, 0.5], [0.0, -1.0, 3.0]];
        let (targets, weights) = ([1u32, 0], [1f32, 2.0, 3.0]);
        for smoothing in [0.0, 0.1] {
            let value = |rows: &[[f32; 3]; 2]| {
                let mut sum = 0.0;
                for (row, t) in rows.iter().zip(targets) {
                    let lp = log_probabilities(row);
                    for (c, lp) in lp.iter().enumerate() {
                        let hit = if c == t as usize {
                            1.0 - smoothing
                        } else {
                            0.0
                        };
                        sum -= f64::from(weights[c]) * (hit + smoothing / 3.0) * lp;
                    }
                }
                sum / f64::from(weights[1] + weights[0])
            };
            let scores = Var::new(&rows, &Device::Cpu).unwrap();
            let total = total_weight(&targets, &weights);
            let loss = cross_entropy(&scores, &targets, &weights, smoothing, total).unwrap();
            let found = f64::from(loss.to_scalar::<f32>().unwrap());
            assert!((found - value(&rows)).abs() < 1e-6);
            let grads = loss.backward().unwrap();
            let grad = grads.get(&scores).unwrap().to_vec2::<f32>().unwrap();
            for r in 0..2 {
                for c in 0..3 {
                    let (mut up, mut down) = (rows, rows);
                    up[r][c] += 1e-2;
                    down[r][c] -= 1e-2;
                    let slope = (value(&up) - value(&down)) / 2e-2;
                    assert!((f64::from(grad[r][c]) - slope).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn large_scores_stay_finite() {
        let scores = Tensor::new(&[[1e4f32, -1e4]], &Device::Cpu).unwrap();
        let loss = cross_entropy(&scores, &[1], &[], 0.0, 1.0).unwrap();
        assert_eq!(loss.to_scalar::<f32>().unwrap(), 2e4);
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
    }
}
