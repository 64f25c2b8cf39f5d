//! Uncertainty: means over folds and subjects, exact intervals, permutation and bootstrap.
//!
//! Epochs of one trial share their state, so they are not independent observations. The interval
//! and the test that a report leads with therefore work on *units* (trials or subjects); the exact
//! binomial interval is offered for counts that really are independent.

use std::collections::BTreeMap;

use rand::Rng;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::metrics::Confusion;
use crate::{Error, Result};

mod beta;
mod share;

pub use beta::betainc;
pub use share::bootstrap_share;

/// Mean and sample standard deviation of a few scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanStd {
    /// How many values.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation with n − 1 in the denominator (`ddof=1`); `None` for a single value.
    pub std: Option<f64>,
}

/// Mean and standard deviation (`ddof=1`); `None` for no values.
pub fn mean_std(values: &[f64]) -> Option<MeanStd> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let std = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
    Some(MeanStd { n, mean, std })
}

/// Level that guessing reaches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Chance {
    /// Classes among the labels.
    pub classes: usize,
    /// Balanced accuracy of any constant or random guess: 1 / classes. Where rows have different
    /// numbers of answers, that of guessing among each row's own.
    pub balanced_accuracy: f64,
    /// Plain accuracy of always saying the most frequent class.
    pub majority_accuracy: f64,
}

/// Chance level of the labels of a table; `None` when it is empty.
pub fn chance(confusion: &Confusion) -> Option<Chance> {
    let classes = confusion.label_classes().len();
    let majority_accuracy = confusion.majority_share()?;
    Some(Chance {
        classes,
        balanced_accuracy: 1.0 / classes as f64,
        majority_accuracy,
    })
}

/// A confidence interval and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Nominal coverage, e.g. 0.95.
    pub level: f64,
    /// How it was made, in words.
    pub method: String,
    /// What is treated as independent: `epoch`, `trial` or `subject`.
    pub unit: String,
    /// How many such units there were.
    pub units: usize,
}

/// Exact binomial (Clopper–Pearson) interval of a share: `successes` of `n` independent tries.
///
/// Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404; the ends are beta quantiles.
///
/// # Errors
/// When `n` is zero, `successes > n` or `level` is not inside (0, 1).
pub fn clopper_pearson(successes: u64, n: u64, level: f64) -> Result<(f64, f64)> {
    if n == 0 {
        return Err(Error::Empty {
            what: "binomial interval",
        });
    }
    if successes > n {
        return Err(Error::Domain {
            what: "successes",
            expected: "at most the number of tries",
            found: successes as f64,
        });
    }
    check_level(level)?;
    let alpha = (1.0 - level) / 2.0;
    let (k, rest) = (successes as f64, (n - successes) as f64);
    let low = if successes == 0 {
        0.0
    } else {
        beta::quantile(alpha, k, rest + 1.0)
    };
    let high = if successes == n {
        1.0
    } else {
        beta::quantile(1.0 - alpha, k + 1.0, rest)
    };
    Ok((low, high))
}

fn check_level(level: f64) -> Result<()> {
    if level > 0.0 && level < 1.0 {
        Ok(())
    } else {
        Err(Error::Domain {
            what: "level",
            expected: "a number between 0 and 1",
            found: level,
        })
    }
}

/// Outcome of a permutation test of the balanced accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Permutation {
    /// Balanced accuracy with the true labels.
    pub observed: f64,
    /// One-sided p: (1 + permutations at least as good) / (1 + permutations).
    pub p: f64,
    /// Permutations drawn.
    pub permutations: usize,
    /// Mean of the balanced accuracy under permuted labels: the chance level as measured.
    pub null_mean: f64,
    /// 95th percentile of the balanced accuracy under permuted labels.
    pub null_95: f64,
    /// What keeps its label as a whole, e.g. `trial`.
    pub unit: String,
    /// Units whose labels were exchanged.
    pub units: usize,
    /// Inside what labels were exchanged, e.g. `subject`, or `everything`.
    pub within: String,
}

/// Names of the grouping used by [`permutation_test`] and [`bootstrap`], for the record.
#[derive(Debug, Clone, Copy)]
pub struct Grouping<'a> {
    /// Unit of each epoch: epochs of one unit share a label and are not independent.
    pub units: &'a [u64],
    /// What a unit is: `trial`, `subject`, `epoch`.
    pub unit: &'a str,
    /// Stratum of each epoch: labels are exchanged between units of one stratum only.
    pub strata: &'a [u64],
    /// What a stratum is: `subject`, `everything`.
    pub within: &'a str,
}

/// One unit folded to what a permutation needs: how often it was predicted as each class.
struct Unit {
    label: i32,
    stratum: u64,
    said: BTreeMap<i32, u64>,
}

fn fold_units(labels: &[i32], predicted: &[i32], by: &Grouping<'_>) -> Result<Vec<Unit>> {
    let n = labels.len();
    for (what, found) in [
        ("predicted", predicted.len()),
        ("units", by.units.len()),
        ("strata", by.strata.len()),
    ] {
        if found != n {
            return Err(Error::Length {
                what,
                expected: n,
                found,
            });
        }
    }
    let mut units: BTreeMap<u64, Unit> = BTreeMap::new();
    let rows = labels.iter().zip(predicted).zip(by.units).zip(by.strata);
    for (((&label, &predicted), &unit), &stratum) in rows {
        let entry = units.entry(unit).or_insert_with(|| Unit {
            label,
            stratum,
            said: BTreeMap::new(),
        });
        if entry.label != label {
            return Err(Error::MixedUnit { unit });
        }
        *entry.said.entry(predicted).or_insert(0) += 1;
    }
    Ok(units.into_values().collect())
}

fn balanced(units: &[Unit], labels: impl Iterator<Item = i32>) -> Option<f64> {
    let mut table = Confusion::new();
    for (unit, label) in units.iter().zip(labels) {
        for (&predicted, &count) in &unit.said {
            table.add_n(label, predicted, count);
        }
    }
    table.balanced_accuracy()
}

/// Tests whether predictions know more of the labels than chance.
///
/// The labels of whole units are exchanged inside each stratum, `permutations` times, and the
/// balanced accuracy of the same predictions is computed again. The +1 correction keeps the test
/// exact (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585). Same seed, same result.
///
/// # Errors
/// When columns differ in length, are empty, `permutations` is zero, or a unit holds two labels.
pub fn permutation_test(
    labels: &[i32],
    predicted: &[i32],
    by: &Grouping<'_>,
    permutations: usize,
    seed: u64,
) -> Result<Permutation> {
    let mut units = fold_units(labels, predicted, by)?;
    units.sort_by_key(|u| u.stratum);
    let true_labels: Vec<i32> = units.iter().map(|u| u.label).collect();
    let observed = balanced(&units, true_labels.iter().copied()).ok_or(Error::Empty {
        what: "permutation test",
    })?;
    if permutations == 0 {
        return Err(Error::Domain {
            what: "permutations",
            expected: "at least 1",
            found: 0.0,
        });
    }
    let sizes: Vec<usize> = units
        .chunk_by(|a, b| a.stratum == b.stratum)
        .map(<[Unit]>::len)
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut null = Vec::with_capacity(permutations);
    let mut shuffled = true_labels.clone();
    for _ in 0..permutations {
        let mut rest = shuffled.as_mut_slice();
        for &size in &sizes {
            let (stratum, tail) = rest.split_at_mut(size);
            stratum.shuffle(&mut rng);
            rest = tail;
        }
        null.extend(balanced(&units, shuffled.iter().copied()));
    }
    // The tolerance absorbs the rounding of sums that are equal on paper.
    let at_least = null.iter().filter(|&&v| v >= observed - 1e-12).count();
    let null_mean = null.iter().sum::<f64>() / null.len() as f64;
    null.sort_by(f64::total_cmp);
    Ok(Permutation {
        observed,
        p: (1 + at_least) as f64 / (1 + permutations) as f64,
        permutations,
        null_mean,
        null_95: quantile(&null, 0.95),
        unit: by.unit.to_owned(),
        units: units.len(),
        within: by.within.to_owned(),
    })
}

/// Percentile bootstrap interval of the balanced accuracy over whole units.
///
/// Units are drawn with replacement, inside each stratum, so that the epochs of a unit stay
/// together. Replicates in which a class of the data is missing are drawn again (at most ten
/// times as often as asked). `None` when there are fewer than two units or no replicate holds
/// every class. Here a unit may hold several labels.
///
/// # Errors
/// When columns differ in length, are empty, or `level` is not inside (0, 1).
pub fn bootstrap(
    labels: &[i32],
    predicted: &[i32],
    by: &Grouping<'_>,
    replicates: usize,
    level: f64,
    seed: u64,
) -> Result<Option<Interval>> {
    check_level(level)?;
    let n = labels.len();
    for (what, found) in [
        ("predicted", predicted.len()),
        ("units", by.units.len()),
        ("strata", by.strata.len()),
    ] {
        if found != n {
            return Err(Error::Length {
                what,
                expected: n,
                found,
            });
        }
    }
    if n == 0 {
        return Err(Error::Empty { what: "bootstrap" });
    }
    let mut strata: BTreeMap<u64, BTreeMap<u64, Confusion>> = BTreeMap::new();
    for i in 0..n {
        let units = strata.entry(by.strata[i]).or_default();
        units
            .entry(by.units[i])
            .or_default()
            .add(labels[i], predicted[i]);
    }
    let strata: Vec<Vec<Confusion>> = strata
        .into_values()
        .map(|units| units.into_values().collect())
        .collect();
    let units: usize = strata.iter().map(Vec::len).sum();
    let classes = Confusion::from_slices(labels, predicted)?
        .label_classes()
        .len();
    if units < 2 {
        return Ok(None);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::with_capacity(replicates);
    let mut tries = 0;
    while values.len() < replicates && tries < replicates.saturating_mul(10) {
        tries += 1;
        let mut table = Confusion::new();
        for stratum in &strata {
            for _ in 0..stratum.len() {
                table.merge(&stratum[rng.random_range(0..stratum.len())]);
            }
        }
        if table.label_classes().len() == classes {
            values.extend(table.balanced_accuracy());
        }
    }
    if values.is_empty() {
        return Ok(None);
    }
    values.sort_by(f64::total_cmp);
    let alpha = (1.0 - level) / 2.0;
    Ok(Some(Interval {
        low: quantile(&values, alpha),
        high: quantile(&values, 1.0 - alpha),
        level,
        method: format!(
            "percentile bootstrap over {} {}s, {} replicates",
            units,
            by.unit,
            values.len()
        ),
        unit: by.unit.to_owned(),
        units,
    }))
}

/// Linear-interpolation quantile (NumPy's default) of sorted values; NaN for none.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let (lower, upper) = (at.floor() as usize, at.ceil() as usize);
    let (a, b) = (sorted[lower.min(last)], sorted[upper.min(last)]);
    a + (b - a) * (at - lower as f64)
}
