//! The penalty by leaving trials out.

use rayon::prelude::*;

use super::decoder::Factor;
use super::moments::Moments;
use crate::{Error, Result};

/// A chosen penalty and how each penalty did.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The penalty, one of those offered.
    pub lambda: f64,
    /// Mean correlation of the reconstruction with the taught stream over what was left out, one a
    /// penalty offered; empty where there was a single trial and nothing could be left out.
    pub correlations: Vec<f64>,
}

/// Chooses among `lambdas` by leaving out each of up to `groups` groups of whole trials in turn:
/// the penalty with the highest mean correlation on what was left out, the larger one of equals.
/// `trials`: sums and the stream that is taught. Trials go to groups in turn.
///
/// With a single trial nothing can be left out, and the middle penalty is taken.
///
/// # Errors
/// [`Error::Empty`] for no trial or no penalty; as [`Moments::pool`] and [`Factor::new`].
pub fn choose(trials: &[(&Moments, usize)], lambdas: &[f64], groups: usize) -> Result<Choice> {
    let middle = lambdas.get(lambdas.len() / 2).copied();
    let middle = middle.ok_or(Error::Empty { what: "lambdas" })?;
    if trials.len() < 2 {
        return Ok(Choice {
            lambda: middle,
            correlations: Vec::new(),
        });
    }
    let groups = groups.clamp(2, trials.len());
    let left_out: Vec<Result<Vec<f64>>> = (0..groups)
        .into_par_iter()
        .map(|g| {
            let is_out = |k: &usize| k % groups == g;
            let part = |out: bool| -> Vec<(&Moments, usize)> {
                let kept = (0..trials.len()).filter(|k| is_out(k) == out);
                kept.map(|k| trials[k]).collect()
            };
            let (rest, test) = (Moments::pool(&part(false))?, Moments::pool(&part(true))?);
            let one = |lambda: &f64| -> Result<f64> {
                let weights = Factor::new(&rest, *lambda)?.solve(&rest, 0)?;
                test.correlation(&weights, 0)
            };
            lambdas.iter().map(one).collect()
        })
        .collect();
    let mut correlations = vec![0.0; lambdas.len()];
    for row in left_out {
        for (sum, r) in correlations.iter_mut().zip(row?) {
            *sum += r / groups as f64;
        }
    }
    let best = correlations
        .iter()
        .zip(lambdas)
        .max_by(|(a, x), (b, y)| a.total_cmp(b).then(x.total_cmp(y)));
    Ok(Choice {
        lambda: best.map_or(middle, |(_, lambda)| *lambda),
        correlations,
    })
}
